-- Baseline 06: triggers.
-- requires: 03_tables.sql, 05_functions.sql
-- A trigger on a partitioned table makes one on each of its four partitions.


----------------
-- updated_at --
----------------

CREATE TRIGGER set_updated_at BEFORE UPDATE ON organization          FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON profile               FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON supplier              FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON inventory_item        FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON purchase_order        FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON purchase_order_item   FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON customer              FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON support_ticket        FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON ai_conversation       FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON ai_dataset            FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON ai_prompt_template    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON integration_connector FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON automation_pipeline   FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON data_import           FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON dashboard             FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON widget                FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON alert_rule            FOR EACH ROW EXECUTE FUNCTION set_updated_at();


-----------
-- Audit --
-----------

CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON supplier              FOR EACH ROW EXECUTE FUNCTION record_audit();
CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON inventory_item        FOR EACH ROW EXECUTE FUNCTION record_audit();
CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON purchase_order        FOR EACH ROW EXECUTE FUNCTION record_audit();
CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON purchase_order_item   FOR EACH ROW EXECUTE FUNCTION record_audit();
CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON customer              FOR EACH ROW EXECUTE FUNCTION record_audit();
CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON support_ticket        FOR EACH ROW EXECUTE FUNCTION record_audit();
CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON ticket_comment        FOR EACH ROW EXECUTE FUNCTION record_audit();
CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON ai_conversation       FOR EACH ROW EXECUTE FUNCTION record_audit();
CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON ai_dataset            FOR EACH ROW EXECUTE FUNCTION record_audit();
CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON ai_prompt_template    FOR EACH ROW EXECUTE FUNCTION record_audit();
CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON integration_connector FOR EACH ROW EXECUTE FUNCTION record_audit();
CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON automation_pipeline   FOR EACH ROW EXECUTE FUNCTION record_audit();
CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON data_import           FOR EACH ROW EXECUTE FUNCTION record_audit();
CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON dashboard             FOR EACH ROW EXECUTE FUNCTION record_audit();
CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON widget                FOR EACH ROW EXECUTE FUNCTION record_audit();
CREATE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON alert_rule            FOR EACH ROW EXECUTE FUNCTION record_audit();


---------------------------
-- Totals and statistics --
---------------------------

CREATE TRIGGER keep_conversation_totals
    AFTER INSERT OR DELETE OR UPDATE OF conversation_id, tokens_used ON ai_message
    FOR EACH ROW EXECUTE FUNCTION keep_conversation_totals();

CREATE TRIGGER keep_purchase_order_total
    AFTER INSERT OR DELETE OR UPDATE OF purchase_order_id, quantity, unit_price ON purchase_order_item
    FOR EACH ROW EXECUTE FUNCTION keep_purchase_order_total();

CREATE TRIGGER keep_last_interaction
    AFTER INSERT ON customer_interaction
    FOR EACH ROW EXECUTE FUNCTION keep_last_interaction();

CREATE TRIGGER keep_pipeline_statistics
    AFTER INSERT OR DELETE ON pipeline_execution
    FOR EACH ROW EXECUTE FUNCTION keep_pipeline_statistics();

CREATE TRIGGER keep_pipeline_statistics_when_a_run_ends
    AFTER UPDATE ON pipeline_execution
    FOR EACH ROW
    WHEN (
        OLD.status IS DISTINCT FROM NEW.status
        OR OLD.started_at IS DISTINCT FROM NEW.started_at
        OR OLD.pipeline_id IS DISTINCT FROM NEW.pipeline_id
    )
    EXECUTE FUNCTION keep_pipeline_statistics();

CREATE TRIGGER set_ticket_number
    BEFORE INSERT ON support_ticket
    FOR EACH ROW EXECUTE FUNCTION set_ticket_number();

CREATE TRIGGER keep_first_response
    AFTER INSERT ON ticket_comment
    FOR EACH ROW
    WHEN (NEW.user_id IS NOT NULL AND NEW.is_internal IS NOT TRUE)
    EXECUTE FUNCTION keep_first_response();
