-- check: tables_without_primary_key
-- title: Tables without a primary key
-- severity: warn, fail from 5
-- phases: 0,3,4,5
-- before: warns
-- expected: a primary key on every table, or on every partition of it
-- action: add one: backfills walk along it, and logical replication cannot update a row without it
-- reads: catalogues
SELECT relname::text AS object, 1::bigint AS found, 'no primary key' AS detail
FROM pg_class
WHERE relnamespace = 'public'::regnamespace
  AND relkind IN ('r', 'p')
  AND NOT relispartition
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = pg_class.oid AND contype = 'p')
  -- A partitioned table whose key may be NULL cannot have one; each of its partitions can.
  AND NOT (
      relkind = 'p'
      AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = pg_class.oid)
      AND NOT EXISTS (
          SELECT
          FROM pg_inherits
          WHERE inhparent = pg_class.oid
            AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = inhrelid AND contype = 'p')
      )
  )
ORDER BY relname
