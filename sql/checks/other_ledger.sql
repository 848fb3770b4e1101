-- check: other_ledger
-- title: A ledger of older tooling
-- severity: info
-- phases: 0
-- expected: no public.schema_migrations of another shape than the strategy's
-- action: none is needed: it is left untouched, and the runbook keeps its own in the schema mantis_runbook
-- reads: catalogues
SELECT
    'public.schema_migrations' AS object,
    1::bigint AS found,
    format('columns %s', string_agg(attname, ', ' ORDER BY attnum)) AS detail
FROM pg_attribute
WHERE attrelid = to_regclass('public.schema_migrations')
  AND attnum > 0
  AND NOT attisdropped
HAVING array_agg(attname::text ORDER BY attname) <> '{applied_at,checksum,description,id,rollback_sql,status,version}'
