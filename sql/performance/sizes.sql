-- Tables outside the catalogue and how many blocks each has, as VACUUM last found it.
-- reads: pg_class, pg_namespace
SELECT format('%I.%I', nspname, relname) AS name, relpages AS blocks
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'm')
  AND relpersistence = 'p'
  AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'mantis_runbook')
ORDER BY name
