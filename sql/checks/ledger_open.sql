-- check: ledger_open
-- title: The runbook's own tables are closed
-- severity: warn
-- phases: all
-- expected: no role but the owner has a right on the ledger or on anything in schema mantis_runbook, and row-level security is on
-- action: run phase 0 again, or the next migration, as the tables' owner: both close them; and compare the ledger with the archived runs, since it could be rewritten meanwhile
-- reads: catalogues
WITH kept AS (
    SELECT
        pg_class.oid::regclass::text AS object, relowner AS owner, relacl AS acl, relkind = 'r' AND NOT relrowsecurity AS unguarded
    FROM pg_class
    WHERE relkind IN ('r', 'v', 'm', 'S')
      AND (
          relnamespace = to_regnamespace('mantis_runbook')
          OR (
              relnamespace = 'public'::regnamespace
              AND relname IN ('schema_migrations', 'migration_backups')
              AND obj_description(pg_class.oid, 'pg_class') LIKE 'Mantis Runbook:%'
          )
      )
    UNION ALL
    SELECT oid::regprocedure::text, proowner, coalesce(proacl, acldefault('f', proowner)), false
    FROM pg_proc
    WHERE pronamespace = to_regnamespace('mantis_runbook')
    UNION ALL
    SELECT nspname::text, nspowner, nspacl, false
    FROM pg_namespace
    WHERE nspname = 'mantis_runbook'
)
SELECT
    object,
    1 AS found,
    concat_ws('; ', 'open to ' || reader.names, CASE WHEN unguarded THEN 'row-level security is off' END) AS detail
FROM kept
CROSS JOIN LATERAL (
    SELECT string_agg(DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee)::text END, ', ') AS names
    FROM aclexplode(acl)
    WHERE grantee <> owner
) AS reader
WHERE reader.names IS NOT NULL OR unguarded
ORDER BY object
