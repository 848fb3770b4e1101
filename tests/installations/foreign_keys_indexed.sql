-- variant: foreign_keys_indexed
-- kind: the foreign keys that we would index are indexed already, under other names
-- expect: passes

CREATE INDEX idx_ai_dataset_created_by       ON ai_dataset (created_by);
CREATE INDEX idx_alert_rule_created_by       ON alert_rule (created_by);
CREATE INDEX idx_dashboard_share_shared_by   ON dashboard_share (shared_by);
CREATE INDEX idx_data_import_connector       ON data_import (connector_id);
CREATE INDEX idx_integration_log_import      ON integration_log (import_id);
CREATE INDEX idx_purchase_order_approved_by  ON purchase_order (approved_by, approved_at);
CREATE INDEX idx_ticket_comment_user         ON ticket_comment (user_id);
