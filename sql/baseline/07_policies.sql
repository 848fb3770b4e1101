-- Baseline 07: row-level security, and the rights it works beside.
-- requires: 03_tables.sql, 05_functions.sql (current_org_id)
-- Every table is a tenant table: a row is seen and written by its organisation alone, and nobody's NULL matches none.
-- (SELECT current_org_id()) is asked once a statement; without the SELECT it would be asked once a row.
-- Partitions carry no policies and no rights: they are reached through their table.

ALTER TABLE organization          ENABLE ROW LEVEL SECURITY;
ALTER TABLE profile               ENABLE ROW LEVEL SECURITY;
ALTER TABLE supplier              ENABLE ROW LEVEL SECURITY;
ALTER TABLE inventory_item        ENABLE ROW LEVEL SECURITY;
ALTER TABLE purchase_order        ENABLE ROW LEVEL SECURITY;
ALTER TABLE purchase_order_item   ENABLE ROW LEVEL SECURITY;
ALTER TABLE customer              ENABLE ROW LEVEL SECURITY;
ALTER TABLE customer_interaction  ENABLE ROW LEVEL SECURITY;
ALTER TABLE support_ticket        ENABLE ROW LEVEL SECURITY;
ALTER TABLE ticket_comment        ENABLE ROW LEVEL SECURITY;
ALTER TABLE ai_conversation       ENABLE ROW LEVEL SECURITY;
ALTER TABLE ai_message            ENABLE ROW LEVEL SECURITY;
ALTER TABLE ai_dataset            ENABLE ROW LEVEL SECURITY;
ALTER TABLE ai_prompt_template    ENABLE ROW LEVEL SECURITY;
ALTER TABLE integration_connector ENABLE ROW LEVEL SECURITY;
ALTER TABLE automation_pipeline   ENABLE ROW LEVEL SECURITY;
ALTER TABLE pipeline_execution    ENABLE ROW LEVEL SECURITY;
ALTER TABLE data_import           ENABLE ROW LEVEL SECURITY;
ALTER TABLE integration_log       ENABLE ROW LEVEL SECURITY;
ALTER TABLE dashboard             ENABLE ROW LEVEL SECURITY;
ALTER TABLE widget                ENABLE ROW LEVEL SECURITY;
ALTER TABLE widget_data_cache     ENABLE ROW LEVEL SECURITY;
ALTER TABLE dashboard_favorite    ENABLE ROW LEVEL SECURITY;
ALTER TABLE dashboard_share       ENABLE ROW LEVEL SECURITY;
ALTER TABLE alert_rule            ENABLE ROW LEVEL SECURITY;
ALTER TABLE system_metric         ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification          ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_log             ENABLE ROW LEVEL SECURITY;


----------------------------------
-- The organisation, its people --
----------------------------------

CREATE POLICY organization_is_own ON organization
    USING (id = (SELECT current_org_id()))
    WITH CHECK (id = (SELECT current_org_id()));

-- The own row needs no organisation: current_org_id() reads it to find one, and must not come back here.
CREATE POLICY profile_of_own_organization ON profile
    USING (id = auth.uid() OR org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));


------------------------
-- Tables with org_id --
------------------------

CREATE POLICY supplier_of_own_organization ON supplier
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY inventory_item_of_own_organization ON inventory_item
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY purchase_order_of_own_organization ON purchase_order
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY customer_of_own_organization ON customer
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY customer_interaction_of_own_organization ON customer_interaction
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY support_ticket_of_own_organization ON support_ticket
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY ai_conversation_of_own_organization ON ai_conversation
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY ai_dataset_of_own_organization ON ai_dataset
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY ai_prompt_template_of_own_organization ON ai_prompt_template
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY integration_connector_of_own_organization ON integration_connector
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY automation_pipeline_of_own_organization ON automation_pipeline
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY data_import_of_own_organization ON data_import
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY integration_log_of_own_organization ON integration_log
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY dashboard_of_own_organization ON dashboard
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY widget_of_own_organization ON widget
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY alert_rule_of_own_organization ON alert_rule
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY system_metric_of_own_organization ON system_metric
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY notification_of_own_organization ON notification
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));

CREATE POLICY audit_log_of_own_organization ON audit_log
    USING (org_id = (SELECT current_org_id()))
    WITH CHECK (org_id = (SELECT current_org_id()));


---------------------------------------------
-- Tables that belong through their parent --
---------------------------------------------

CREATE POLICY purchase_order_item_of_own_organization ON purchase_order_item
    USING (purchase_order_id IN (SELECT id FROM purchase_order WHERE org_id = (SELECT current_org_id())))
    WITH CHECK (purchase_order_id IN (SELECT id FROM purchase_order WHERE org_id = (SELECT current_org_id())));

CREATE POLICY ticket_comment_of_own_organization ON ticket_comment
    USING (ticket_id IN (SELECT id FROM support_ticket WHERE org_id = (SELECT current_org_id())))
    WITH CHECK (ticket_id IN (SELECT id FROM support_ticket WHERE org_id = (SELECT current_org_id())));

CREATE POLICY ai_message_of_own_organization ON ai_message
    USING (conversation_id IN (SELECT id FROM ai_conversation WHERE org_id = (SELECT current_org_id())))
    WITH CHECK (conversation_id IN (SELECT id FROM ai_conversation WHERE org_id = (SELECT current_org_id())));

CREATE POLICY pipeline_execution_of_own_organization ON pipeline_execution
    USING (pipeline_id IN (SELECT id FROM automation_pipeline WHERE org_id = (SELECT current_org_id())))
    WITH CHECK (pipeline_id IN (SELECT id FROM automation_pipeline WHERE org_id = (SELECT current_org_id())));

CREATE POLICY widget_data_cache_of_own_organization ON widget_data_cache
    USING (widget_id IN (SELECT id FROM widget WHERE org_id = (SELECT current_org_id())))
    WITH CHECK (widget_id IN (SELECT id FROM widget WHERE org_id = (SELECT current_org_id())));

CREATE POLICY dashboard_favorite_of_own_organization ON dashboard_favorite
    USING (dashboard_id IN (SELECT id FROM dashboard WHERE org_id = (SELECT current_org_id())))
    WITH CHECK (dashboard_id IN (SELECT id FROM dashboard WHERE org_id = (SELECT current_org_id())));

CREATE POLICY dashboard_share_of_own_organization ON dashboard_share
    USING (dashboard_id IN (SELECT id FROM dashboard WHERE org_id = (SELECT current_org_id())))
    WITH CHECK (dashboard_id IN (SELECT id FROM dashboard WHERE org_id = (SELECT current_org_id())));


------------
-- Rights --
------------
-- The audit log is written by its trigger and read by people; nobody signed in may change it.

GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;

GRANT SELECT, INSERT, UPDATE, DELETE ON
    organization,
    profile,
    supplier,
    inventory_item,
    purchase_order,
    purchase_order_item,
    customer,
    customer_interaction,
    support_ticket,
    ticket_comment,
    ai_conversation,
    ai_message,
    ai_dataset,
    ai_prompt_template,
    integration_connector,
    automation_pipeline,
    pipeline_execution,
    data_import,
    integration_log,
    dashboard,
    widget,
    widget_data_cache,
    dashboard_favorite,
    dashboard_share,
    alert_rule,
    system_metric,
    notification
    TO authenticated;

GRANT SELECT ON audit_log TO authenticated;

GRANT ALL ON ALL TABLES IN SCHEMA public TO service_role;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO service_role;
