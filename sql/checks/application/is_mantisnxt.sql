-- check: is_mantisnxt
-- title: Tables and columns by which MantisNXT is known
-- severity: fail
-- phases: all
-- expected: the 28 tables of the baseline, with the columns that the migrations build on
-- action: check that the target names the right database; where it does, ALTER TABLE … ADD COLUMN what is missing, as the application's own schema has it, and leave it empty
-- reads: catalogues
WITH wanted (name, columns) AS (
    VALUES
        ('ai_conversation',
         'id, org_id, user_id, title, model, tags, created_at, updated_at'),
        ('ai_dataset',
         'id, org_id, name, description, file_size_bytes, tags, created_by, created_at, updated_at'),
        ('ai_message',
         'id, conversation_id, role, content, metadata, timestamp'),
        ('ai_prompt_template',
         'id, org_id, name, description, category, variables, usage_count, created_by, created_at, '
         'updated_at'),
        ('alert_rule',
         'id, org_id, name, description, metric_name, is_active, created_by, created_at, updated_at'),
        ('audit_log',
         'id, org_id, user_id, action, table_name, record_id, old_data, new_data, ip_address, '
         'user_agent, timestamp'),
        ('automation_pipeline',
         'id, org_id, name, description, status, created_by, created_at, updated_at'),
        ('customer',
         'id, org_id, name, email, phone, company, segment, status, lifetime_value, acquisition_date, '
         'address, metadata, tags, created_at, updated_at'),
        ('customer_interaction',
         'id, org_id, customer_id, user_id, channel, type, subject, content, sentiment, '
         'duration_minutes, metadata, timestamp'),
        ('dashboard',
         'id, org_id, name, description, created_by, created_at, updated_at'),
        ('dashboard_favorite',
         'id, user_id, created_at'),
        ('dashboard_share',
         'id, shared_by, share_token, expires_at, created_at'),
        ('data_import',
         'id, org_id, connector_id, file_name, file_size_bytes, status, error_log, preview_data, '
         'started_at, completed_at, created_by, created_at, updated_at'),
        ('integration_connector',
         'id, org_id, name, provider, credentials_encrypted, status, error_message, created_by, '
         'created_at, updated_at'),
        ('integration_log',
         'id, org_id, connector_id, pipeline_id, import_id, level, message, metadata, timestamp'),
        ('inventory_item',
         'id, org_id, sku, name, description, category, unit_price, quantity_on_hand, reorder_point, '
         'max_stock_level, supplier_id, location, is_active, created_at, updated_at'),
        ('notification',
         'id, org_id, user_id, type, title, message, metadata, expires_at, created_at'),
        ('organization',
         'id, name, slug, settings, created_at, updated_at'),
        ('pipeline_execution',
         'id, pipeline_id, status, trigger_data, execution_data, error_message, started_at, '
         'completed_at'),
        ('profile',
         'id, org_id, role, display_name, avatar_url, settings, last_seen_at, is_active, created_at, '
         'updated_at'),
        ('purchase_order',
         'id, org_id, supplier_id, status, total_amount, tax_amount, shipping_amount, order_date, '
         'actual_delivery_date, created_by, approved_by, approved_at, notes, created_at, updated_at'),
        ('purchase_order_item',
         'id, purchase_order_id, inventory_item_id, quantity, unit_price, total_price, created_at, '
         'updated_at'),
        ('supplier',
         'id, org_id, name, contact_email, contact_phone, address, status, payment_terms, notes, '
         'created_at, updated_at'),
        ('support_ticket',
         'id, org_id, customer_id, assigned_to, title, description, priority, status, category, tags, '
         'resolution_notes, created_at, updated_at'),
        ('system_metric',
         'id, org_id, metric_name, metric_type, metric_value, unit, tags, source, timestamp'),
        ('ticket_comment',
         'id, user_id, content, attachments, created_at'),
        ('widget',
         'id, org_id, name, description, type, position, created_at, updated_at'),
        ('widget_data_cache',
         'id, cached_data, expires_at, created_at')
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
