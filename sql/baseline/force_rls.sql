-- Row-level security for the tables' owner too, as some deployments have it.
-- requires: 07_policies.sql; loaded on request, takes ACCESS EXCLUSIVE on each table for a moment
-- Superusers and roles with BYPASSRLS remain above it. Partitions are reached through their table.

ALTER TABLE organization          FORCE ROW LEVEL SECURITY;
ALTER TABLE profile               FORCE ROW LEVEL SECURITY;
ALTER TABLE supplier              FORCE ROW LEVEL SECURITY;
ALTER TABLE inventory_item        FORCE ROW LEVEL SECURITY;
ALTER TABLE purchase_order        FORCE ROW LEVEL SECURITY;
ALTER TABLE purchase_order_item   FORCE ROW LEVEL SECURITY;
ALTER TABLE customer              FORCE ROW LEVEL SECURITY;
ALTER TABLE customer_interaction  FORCE ROW LEVEL SECURITY;
ALTER TABLE support_ticket        FORCE ROW LEVEL SECURITY;
ALTER TABLE ticket_comment        FORCE ROW LEVEL SECURITY;
ALTER TABLE ai_conversation       FORCE ROW LEVEL SECURITY;
ALTER TABLE ai_message            FORCE ROW LEVEL SECURITY;
ALTER TABLE ai_dataset            FORCE ROW LEVEL SECURITY;
ALTER TABLE ai_prompt_template    FORCE ROW LEVEL SECURITY;
ALTER TABLE integration_connector FORCE ROW LEVEL SECURITY;
ALTER TABLE automation_pipeline   FORCE ROW LEVEL SECURITY;
ALTER TABLE pipeline_execution    FORCE ROW LEVEL SECURITY;
ALTER TABLE data_import           FORCE ROW LEVEL SECURITY;
ALTER TABLE integration_log       FORCE ROW LEVEL SECURITY;
ALTER TABLE dashboard             FORCE ROW LEVEL SECURITY;
ALTER TABLE widget                FORCE ROW LEVEL SECURITY;
ALTER TABLE widget_data_cache     FORCE ROW LEVEL SECURITY;
ALTER TABLE dashboard_favorite    FORCE ROW LEVEL SECURITY;
ALTER TABLE dashboard_share       FORCE ROW LEVEL SECURITY;
ALTER TABLE alert_rule            FORCE ROW LEVEL SECURITY;
ALTER TABLE system_metric         FORCE ROW LEVEL SECURITY;
ALTER TABLE notification          FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_log             FORCE ROW LEVEL SECURITY;
