-- What the application uses before a migration, as far as it can be locked: tables, partitioned ones and their partitions,
-- materialized and other views, with their size in bytes (indexes and TOAST included). The runbook's own are left out.
SELECT
    pg_class.oid::bigint AS oid,
    pg_class.oid::regclass::text AS name,
    relkind IN ('r', 'p') AS is_table,
    CASE WHEN relkind IN ('r', 'm') THEN pg_total_relation_size(pg_class.oid) ELSE 0 END AS bytes
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p', 'm', 'v')
  AND nspname !~ '^pg_'
  AND nspname NOT IN ('information_schema', 'mantis_runbook')
  AND NOT (nspname = 'public' AND relname IN ('schema_migrations', 'migration_backups'))
