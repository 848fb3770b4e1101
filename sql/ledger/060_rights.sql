-- Closes what the runbook keeps in this database: everything in the schema mantis_runbook, and a ledger in public where
-- that is the one in use. No role but the owner keeps a right, whatever default privileges or an earlier version gave,
-- and row-level security is on, so that a later GRANT on all tables does not open them either. Running it again changes
-- nothing. Locks none of the application's tables.
DO $$
DECLARE
    open_to  record;
    unguarded  regclass;
BEGIN
    FOR open_to IN
        WITH relation AS (
            SELECT pg_class.oid, relkind, relowner, relacl
            FROM pg_class
            WHERE relnamespace = 'mantis_runbook'::regnamespace
               OR (
                   relnamespace = 'public'::regnamespace
                   AND relname IN ('schema_migrations', 'migration_backups')
                   AND to_regclass('mantis_runbook.schema_migrations') IS NULL
               )
        ),
        object AS (
            SELECT 'SCHEMA ' || quote_ident(nspname) AS named, nspowner AS owner, nspacl AS acl
            FROM pg_namespace
            WHERE nspname = 'mantis_runbook'
            UNION ALL
            SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || oid::regclass, relowner, relacl
            FROM relation
            WHERE relkind IN ('r', 'v', 'm', 'S')
            UNION ALL
            -- Without a list of rights of its own, a function may be called by PUBLIC.
            SELECT 'ROUTINE ' || oid::regprocedure, proowner, coalesce(proacl, acldefault('f', proowner))
            FROM pg_proc
            WHERE pronamespace = 'mantis_runbook'::regnamespace
        )
        SELECT DISTINCT
            named,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS role
        FROM object, aclexplode(acl)
        WHERE grantee <> owner AND pg_has_role(owner, 'USAGE')
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s CASCADE', open_to.named, open_to.role);
    END LOOP;

    FOR unguarded IN
        SELECT pg_class.oid
        FROM pg_class
        WHERE relkind = 'r' AND NOT relrowsecurity AND pg_has_role(relowner, 'USAGE')
          AND (
              relnamespace = 'mantis_runbook'::regnamespace
              OR (
                  relnamespace = 'public'::regnamespace
                  AND relname IN ('schema_migrations', 'migration_backups')
                  AND to_regclass('mantis_runbook.schema_migrations') IS NULL
              )
          )
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', unguarded);
    END LOOP;
END
$$;
