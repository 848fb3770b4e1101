-- Baseline 04: secondary indexes.
-- requires: 03_tables.sql
-- An index on a partitioned table makes one on each of its four partitions.
-- Seven foreign keys have no index, as in the real system; phase 0 must find them:
--   ai_dataset.created_by, alert_rule.created_by, dashboard_share.shared_by, data_import.connector_id,
--   integration_log.import_id, purchase_order.approved_by, ticket_comment.user_id


------------------------------------
-- Organisations and their people --
------------------------------------

CREATE INDEX organization_plan_type_idx ON organization (plan_type);
CREATE INDEX organization_settings_idx  ON organization USING gin (settings);

CREATE INDEX profile_org_id_idx       ON profile (org_id);
CREATE INDEX profile_org_id_role_idx  ON profile (org_id, role);
CREATE INDEX profile_active_idx       ON profile (org_id) WHERE is_active;
CREATE INDEX profile_last_seen_at_idx ON profile (last_seen_at);


------------------
-- Supply chain --
------------------

CREATE INDEX supplier_org_id_status_idx     ON supplier (org_id, status);
CREATE INDEX supplier_org_id_name_idx       ON supplier (org_id, name);
CREATE INDEX supplier_org_id_risk_score_idx ON supplier (org_id, risk_score DESC);
CREATE INDEX supplier_contact_email_idx     ON supplier (lower(contact_email));
CREATE INDEX supplier_certifications_idx    ON supplier USING gin (certifications);
CREATE INDEX supplier_search_idx            ON supplier USING gin (to_tsvector('simple', name));

CREATE INDEX inventory_item_org_id_category_idx ON inventory_item (org_id, category);
CREATE INDEX inventory_item_org_id_name_idx     ON inventory_item (org_id, name);
CREATE INDEX inventory_item_org_id_location_idx ON inventory_item (org_id, location);
CREATE INDEX inventory_item_supplier_id_idx     ON inventory_item (supplier_id);
CREATE INDEX inventory_item_barcode_idx         ON inventory_item (barcode) WHERE barcode IS NOT NULL;
CREATE INDEX inventory_item_low_stock_idx       ON inventory_item (org_id)
    WHERE is_active AND quantity_on_hand <= reorder_point;
CREATE INDEX inventory_item_search_idx          ON inventory_item USING gin (to_tsvector('simple', name));

CREATE INDEX purchase_order_org_id_status_idx       ON purchase_order (org_id, status);
CREATE INDEX purchase_order_org_id_order_date_idx   ON purchase_order (org_id, order_date DESC);
CREATE INDEX purchase_order_org_id_total_amount_idx ON purchase_order (org_id, total_amount DESC);
CREATE INDEX purchase_order_supplier_id_idx         ON purchase_order (supplier_id);
CREATE INDEX purchase_order_created_by_idx          ON purchase_order (created_by);
CREATE INDEX purchase_order_expected_idx            ON purchase_order (org_id, expected_delivery_date)
    WHERE status IN ('sent', 'acknowledged', 'partially_received');

CREATE INDEX purchase_order_item_purchase_order_id_idx ON purchase_order_item (purchase_order_id);
CREATE INDEX purchase_order_item_inventory_item_id_idx ON purchase_order_item (inventory_item_id);
CREATE INDEX purchase_order_item_outstanding_idx       ON purchase_order_item (inventory_item_id)
    WHERE quantity_received < quantity;


---------------------------
-- Customers and support --
---------------------------

CREATE INDEX customer_org_id_status_idx           ON customer (org_id, status);
CREATE INDEX customer_org_id_segment_idx          ON customer (org_id, segment);
CREATE INDEX customer_org_id_name_idx             ON customer (org_id, name);
CREATE INDEX customer_org_id_email_idx            ON customer (org_id, lower(email));
CREATE INDEX customer_org_id_created_at_idx       ON customer (org_id, created_at DESC);
CREATE INDEX customer_org_id_last_interaction_idx ON customer (org_id, last_interaction_date);
CREATE INDEX customer_org_id_lifetime_value_idx   ON customer (org_id, lifetime_value DESC);
CREATE INDEX customer_phone_idx                   ON customer (phone) WHERE phone IS NOT NULL;
CREATE INDEX customer_tags_idx                    ON customer USING gin (tags);
CREATE INDEX customer_metadata_idx                ON customer USING gin (metadata jsonb_path_ops);
CREATE INDEX customer_search_idx                  ON customer USING gin (to_tsvector('simple', name));

CREATE INDEX customer_interaction_org_id_timestamp_idx      ON customer_interaction (org_id, timestamp DESC);
CREATE INDEX customer_interaction_customer_id_timestamp_idx ON customer_interaction (customer_id, timestamp DESC);
CREATE INDEX customer_interaction_user_id_timestamp_idx     ON customer_interaction (user_id, timestamp DESC);
CREATE INDEX customer_interaction_org_id_type_idx           ON customer_interaction (org_id, type);
CREATE INDEX customer_interaction_unhappy_idx               ON customer_interaction (org_id, timestamp DESC)
    WHERE sentiment IN ('very_negative', 'negative');

CREATE INDEX support_ticket_org_id_status_idx     ON support_ticket (org_id, status);
CREATE INDEX support_ticket_org_id_priority_idx   ON support_ticket (org_id, priority, created_at DESC);
CREATE INDEX support_ticket_org_id_created_at_idx ON support_ticket (org_id, created_at DESC);
CREATE INDEX support_ticket_org_id_category_idx   ON support_ticket (org_id, category);
CREATE INDEX support_ticket_customer_id_idx       ON support_ticket (customer_id);
CREATE INDEX support_ticket_assigned_to_idx       ON support_ticket (assigned_to, status);
CREATE INDEX support_ticket_unassigned_idx        ON support_ticket (org_id, created_at) WHERE assigned_to IS NULL;
CREATE INDEX support_ticket_sla_due_at_idx        ON support_ticket (sla_due_at)
    WHERE status IN ('open', 'in_progress', 'escalated');
CREATE INDEX support_ticket_tags_idx              ON support_ticket USING gin (tags);
CREATE INDEX support_ticket_search_idx            ON support_ticket USING gin (to_tsvector('simple', title));

CREATE INDEX ticket_comment_ticket_id_created_at_idx ON ticket_comment (ticket_id, created_at);
CREATE INDEX ticket_comment_resolution_idx           ON ticket_comment (ticket_id) WHERE is_resolution;


------------------
-- AI workspace --
------------------

CREATE INDEX ai_conversation_org_id_updated_at_idx  ON ai_conversation (org_id, updated_at DESC);
CREATE INDEX ai_conversation_org_id_model_idx       ON ai_conversation (org_id, model);
CREATE INDEX ai_conversation_user_id_updated_at_idx ON ai_conversation (user_id, updated_at DESC);
CREATE INDEX ai_conversation_pinned_idx             ON ai_conversation (user_id) WHERE is_pinned;
CREATE INDEX ai_conversation_tags_idx               ON ai_conversation USING gin (tags);

CREATE INDEX ai_message_conversation_id_timestamp_idx ON ai_message (conversation_id, timestamp);
CREATE INDEX ai_message_role_timestamp_idx            ON ai_message (role, timestamp DESC);
CREATE INDEX ai_message_timestamp_idx                 ON ai_message (timestamp);

CREATE INDEX ai_dataset_org_id_data_type_idx ON ai_dataset (org_id, data_type);
CREATE INDEX ai_dataset_public_idx           ON ai_dataset (org_id) WHERE is_public;
CREATE INDEX ai_dataset_tags_idx             ON ai_dataset USING gin (tags);

CREATE INDEX ai_prompt_template_org_id_category_idx    ON ai_prompt_template (org_id, category);
CREATE INDEX ai_prompt_template_org_id_usage_count_idx ON ai_prompt_template (org_id, usage_count DESC);
CREATE INDEX ai_prompt_template_created_by_idx         ON ai_prompt_template (created_by);


--------------------------------
-- Integration and automation --
--------------------------------

CREATE INDEX integration_connector_org_id_status_idx   ON integration_connector (org_id, status);
CREATE INDEX integration_connector_org_id_provider_idx ON integration_connector (org_id, provider);
CREATE INDEX integration_connector_created_by_idx      ON integration_connector (created_by);
CREATE INDEX integration_connector_due_idx             ON integration_connector (last_sync_at) WHERE status = 'active';

CREATE INDEX automation_pipeline_org_id_status_idx       ON automation_pipeline (org_id, status);
CREATE INDEX automation_pipeline_org_id_trigger_type_idx ON automation_pipeline (org_id, trigger_type);
CREATE INDEX automation_pipeline_created_by_idx          ON automation_pipeline (created_by);
CREATE INDEX automation_pipeline_due_idx                 ON automation_pipeline (next_execution_at)
    WHERE status = 'active';

CREATE INDEX pipeline_execution_pipeline_id_started_at_idx ON pipeline_execution (pipeline_id, started_at DESC);
CREATE INDEX pipeline_execution_started_at_idx             ON pipeline_execution (started_at);
CREATE INDEX pipeline_execution_unfinished_idx             ON pipeline_execution (started_at)
    WHERE status IN ('pending', 'running');

CREATE INDEX data_import_org_id_status_idx     ON data_import (org_id, status);
CREATE INDEX data_import_org_id_created_at_idx ON data_import (org_id, created_at DESC);
CREATE INDEX data_import_created_by_idx        ON data_import (created_by);

CREATE INDEX integration_log_org_id_timestamp_idx       ON integration_log (org_id, timestamp DESC);
CREATE INDEX integration_log_connector_id_timestamp_idx ON integration_log (connector_id, timestamp DESC);
CREATE INDEX integration_log_pipeline_id_timestamp_idx  ON integration_log (pipeline_id, timestamp DESC);
CREATE INDEX integration_log_errors_idx                 ON integration_log (org_id, timestamp DESC)
    WHERE level IN ('error', 'fatal');


----------------
-- Dashboards --
----------------

CREATE INDEX dashboard_org_id_updated_at_idx ON dashboard (org_id, updated_at DESC);
CREATE INDEX dashboard_created_by_idx        ON dashboard (created_by);
CREATE INDEX dashboard_public_idx            ON dashboard (org_id) WHERE is_public;
CREATE INDEX dashboard_template_category_idx ON dashboard (template_category) WHERE is_template;

CREATE INDEX widget_dashboard_id_idx ON widget (dashboard_id);
CREATE INDEX widget_org_id_type_idx  ON widget (org_id, type);

CREATE INDEX widget_data_cache_widget_id_expires_at_idx ON widget_data_cache (widget_id, expires_at DESC);
CREATE INDEX widget_data_cache_expires_at_idx           ON widget_data_cache (expires_at);

CREATE INDEX dashboard_favorite_dashboard_id_idx ON dashboard_favorite (dashboard_id);

CREATE INDEX dashboard_share_dashboard_id_idx ON dashboard_share (dashboard_id);
CREATE INDEX dashboard_share_shared_with_idx  ON dashboard_share (shared_with);
CREATE INDEX dashboard_share_expires_at_idx   ON dashboard_share (expires_at) WHERE expires_at IS NOT NULL;


-------------------------------------
-- Monitoring, notification, audit --
-------------------------------------

CREATE INDEX alert_rule_org_id_metric_name_idx ON alert_rule (org_id, metric_name);
CREATE INDEX alert_rule_active_idx             ON alert_rule (metric_name) WHERE is_active;

CREATE INDEX system_metric_org_id_name_timestamp_idx ON system_metric (org_id, metric_name, timestamp DESC);
CREATE INDEX system_metric_timestamp_idx             ON system_metric (timestamp);
CREATE INDEX system_metric_tags_idx                  ON system_metric USING gin (tags jsonb_path_ops);

CREATE INDEX notification_user_id_created_at_idx ON notification (user_id, created_at DESC);
CREATE INDEX notification_org_id_created_at_idx  ON notification (org_id, created_at DESC);
CREATE INDEX notification_unread_idx             ON notification (user_id) WHERE read_at IS NULL;
CREATE INDEX notification_expires_at_idx         ON notification (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX notification_metadata_idx           ON notification USING gin (metadata);

CREATE INDEX audit_log_org_id_timestamp_idx        ON audit_log (org_id, timestamp DESC);
CREATE INDEX audit_log_org_id_action_timestamp_idx ON audit_log (org_id, action, timestamp DESC);
CREATE INDEX audit_log_user_id_timestamp_idx       ON audit_log (user_id, timestamp DESC);
CREATE INDEX audit_log_table_name_record_id_idx    ON audit_log (table_name, record_id);
CREATE INDEX audit_log_timestamp_idx               ON audit_log (timestamp DESC);
CREATE INDEX audit_log_ip_address_idx              ON audit_log (ip_address) WHERE ip_address IS NOT NULL;
