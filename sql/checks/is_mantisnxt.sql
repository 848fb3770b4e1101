-- check: is_mantisnxt
-- title: Tables and columns by which MantisNXT is known
-- severity: fail
-- phases: all
-- expected: the 28 tables of the baseline with all their columns
-- action: check that the target names the right database; nothing of this runbook fits another one
-- reads: catalogues
WITH wanted (name, columns) AS (
    VALUES
        ('ai_conversation',
         'id, org_id, user_id, title, model, total_messages, total_tokens_used, tags, is_pinned, '
         'is_archived, created_at, updated_at'),
        ('ai_dataset',
         'id, org_id, name, description, data_type, file_url, file_size_bytes, record_count, '
         'schema_info, tags, is_public, created_by, created_at, updated_at'),
        ('ai_message',
         'id, conversation_id, role, content, tokens_used, response_time_ms, metadata, timestamp'),
        ('ai_prompt_template',
         'id, org_id, name, description, template_text, category, variables, usage_count, '
         'is_public, created_by, created_at, updated_at'),
        ('alert_rule',
         'id, org_id, name, description, metric_name, condition, severity, is_active, '
         'notification_channels, cooldown_minutes, last_triggered_at, created_by, created_at, '
         'updated_at'),
        ('audit_log',
         'id, org_id, user_id, action, table_name, record_id, old_data, new_data, ip_address, '
         'user_agent, timestamp'),
        ('automation_pipeline',
         'id, org_id, name, description, trigger_type, trigger_config, action_config, status, '
         'execution_count, last_execution_at, next_execution_at, error_count, created_by, '
         'created_at, updated_at'),
        ('customer',
         'id, org_id, name, email, phone, company, segment, status, lifetime_value, '
         'acquisition_date, last_interaction_date, address, metadata, tags, created_at, updated_at'),
        ('customer_interaction',
         'id, org_id, customer_id, user_id, channel, type, subject, content, sentiment, '
         'duration_minutes, metadata, timestamp'),
        ('dashboard',
         'id, org_id, name, description, layout_config, theme_config, is_public, is_template, '
         'template_category, view_count, last_viewed_at, refresh_interval_seconds, created_by, '
         'created_at, updated_at'),
        ('dashboard_favorite',
         'id, user_id, dashboard_id, created_at'),
        ('dashboard_share',
         'id, dashboard_id, shared_by, shared_with, share_token, permissions, expires_at, '
         'created_at'),
        ('data_import',
         'id, org_id, connector_id, file_name, file_size_bytes, file_url, target_table, '
         'mapping_config, record_count, processed_count, error_count, status, error_log, '
         'preview_data, started_at, completed_at, created_by, created_at, updated_at'),
        ('integration_connector',
         'id, org_id, name, provider, config, credentials_encrypted, status, last_sync_at, '
         'sync_frequency_minutes, error_message, retry_count, max_retries, created_by, created_at, '
         'updated_at'),
        ('integration_log',
         'id, org_id, connector_id, pipeline_id, import_id, level, message, metadata, timestamp'),
        ('inventory_item',
         'id, org_id, sku, name, description, category, unit_price, quantity_on_hand, '
         'quantity_reserved, reorder_point, max_stock_level, unit_of_measure, supplier_id, '
         'barcode, location, is_active, created_at, updated_at'),
        ('notification',
         'id, org_id, user_id, type, title, message, action_url, metadata, read_at, expires_at, '
         'created_at'),
        ('organization',
         'id, name, slug, plan_type, settings, created_at, updated_at'),
        ('pipeline_execution',
         'id, pipeline_id, status, trigger_data, execution_data, error_message, records_processed, '
         'started_at, completed_at, duration_ms'),
        ('profile',
         'id, org_id, role, display_name, avatar_url, settings, last_seen_at, is_active, '
         'created_at, updated_at'),
        ('purchase_order',
         'id, org_id, supplier_id, po_number, status, total_amount, tax_amount, shipping_amount, '
         'order_date, expected_delivery_date, actual_delivery_date, created_by, approved_by, '
         'approved_at, notes, created_at, updated_at'),
        ('purchase_order_item',
         'id, purchase_order_id, inventory_item_id, quantity, unit_price, total_price, '
         'quantity_received, created_at, updated_at'),
        ('supplier',
         'id, org_id, name, contact_email, contact_phone, address, risk_score, status, '
         'payment_terms, lead_time_days, certifications, notes, created_at, updated_at'),
        ('support_ticket',
         'id, org_id, customer_id, assigned_to, ticket_number, title, description, priority, '
         'status, category, tags, resolution_notes, first_response_at, resolved_at, closed_at, '
         'sla_due_at, created_at, updated_at'),
        ('system_metric',
         'id, org_id, metric_name, metric_type, metric_value, unit, tags, source, timestamp'),
        ('ticket_comment',
         'id, ticket_id, user_id, content, is_internal, is_resolution, attachments, created_at'),
        ('widget',
         'id, org_id, dashboard_id, name, description, type, config, data_source_config, position, '
         'size, is_visible, cache_ttl_seconds, last_refreshed_at, created_at, updated_at'),
        ('widget_data_cache',
         'id, widget_id, data_hash, cached_data, expires_at, created_at')
),
missing AS (
    SELECT name, col, to_regclass('public.' || quote_ident(name)) IS NULL AS whole
    FROM wanted
    CROSS JOIN string_to_table(columns, ', ') AS col
    WHERE NOT EXISTS (
        SELECT
        FROM pg_attribute
        WHERE attrelid = to_regclass('public.' || quote_ident(name)) AND attname = col AND NOT attisdropped
    )
)
SELECT
    name AS object,
    count(*) AS found,
    CASE WHEN whole THEN 'no such table' ELSE 'without ' || string_agg(quote_ident(col), ', ' ORDER BY col) END AS detail
FROM missing
GROUP BY name, whole
ORDER BY name
