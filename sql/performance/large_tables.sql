-- Tables of at least so many blocks, whose reading from end to end costs something.
-- reads: pg_class, pg_namespace
SELECT relname AS name
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'm')
  AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND relpages >= %(blocks)s
ORDER BY name
