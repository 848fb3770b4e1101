-- variant: broken_audit_trigger
-- kind: the application's own audit trigger reads NEW.org_id where there is none: even it cannot delete an organisation
-- expect: passes

CREATE FUNCTION log_every_change()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO audit_log (org_id, user_id, action, table_name, record_id, old_data, new_data)
    VALUES (
        CASE WHEN TG_OP = 'DELETE' THEN OLD.org_id ELSE NEW.org_id END,
        auth.uid(), TG_OP::audit_action, TG_TABLE_NAME, coalesce(NEW.id, OLD.id), to_jsonb(OLD), to_jsonb(NEW)
    );
    RETURN NULL;
END
$$;

DO $$
DECLARE
    name  text;
BEGIN
    FOREACH name IN ARRAY ARRAY['organization', 'purchase_order_item', 'ticket_comment', 'dashboard_share', 'customer']
    LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS record_audit ON %I', name);
        EXECUTE format(
            'CREATE TRIGGER log_every_change AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION log_every_change()',
            name
        );
    END LOOP;
END
$$;
