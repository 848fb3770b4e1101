-- What a bare ANALYZE reads: tables, roots of partitioned ones and materialized views; not what lies in the catalogue.
-- The partitions of a root are analysed by themselves too, as a bare ANALYZE does.
SELECT n.nspname AS schema, c.relname AS relation
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm')
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND (%(only)s::text[] IS NULL OR c.oid = ANY (%(only)s::text[]::regclass[]))
ORDER BY n.nspname, c.relname
