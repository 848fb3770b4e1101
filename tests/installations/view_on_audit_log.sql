-- variant: view_on_audit_log
-- kind: a view, a trigger, a unique index and a publication on audit_log, which phase 4 replaces
-- expect: passes or refused
-- names: audit_log
-- reason: they are bound to the table itself and would stay with its old part; only the owner can say what they are for

CREATE VIEW v_audit_of_today AS SELECT id, org_id, action FROM audit_log WHERE timestamp > now() - interval '1 day';
CREATE FUNCTION tell_auditor() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_notify(''audit'', NEW.id::text); RETURN NULL; END';
CREATE TRIGGER tell_auditor AFTER INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION tell_auditor();
CREATE PUBLICATION audits FOR TABLE audit_log;
