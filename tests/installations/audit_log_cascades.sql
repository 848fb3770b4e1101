-- variant: audit_log_cascades
-- kind: audit_log with a default by a function of uuid-ossp's kind, and ON DELETE CASCADE to organization
-- expect: passes

CREATE FUNCTION uuid_generate_v4()
    RETURNS uuid
    LANGUAGE sql
    VOLATILE
    PARALLEL SAFE
AS $$
    SELECT gen_random_uuid()
$$;

ALTER TABLE audit_log
    ALTER COLUMN id SET DEFAULT uuid_generate_v4(),
    ALTER COLUMN timestamp SET DEFAULT clock_timestamp(),
    ALTER COLUMN user_agent SET DEFAULT 'unknown',
    DROP CONSTRAINT audit_log_org_id_fkey,
    ADD CONSTRAINT audit_log_org_id_fkey FOREIGN KEY (org_id) REFERENCES organization ON DELETE CASCADE;
