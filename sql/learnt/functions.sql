-- Names of the application's own functions: not the server's, no extension's and none of the runbook.
-- reads: pg_depend, pg_namespace, pg_proc
SELECT DISTINCT proname AS name
FROM pg_proc
JOIN pg_namespace ON pg_namespace.oid = pronamespace
WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'mantis_runbook')
  AND NOT EXISTS (
      SELECT FROM pg_depend
      WHERE classid = 'pg_proc'::regclass
        AND objid = pg_proc.oid
        AND deptype = 'e'
  )
