-- check: invalid_indexes
-- title: Invalid indexes
-- severity: warn, fail from 5
-- phases: all
-- before: warns
-- expected: no index that a failed CREATE INDEX CONCURRENTLY left behind; one that is being built right now is none
-- action: DROP INDEX CONCURRENTLY …, and build it anew where it is needed: queries do not use it, and writes may be paying for it
-- reads: catalogues, pg_stat_progress_create_index
SELECT
    format('%I on %I', index_class.relname, table_class.relname) AS object,
    1::bigint AS found,
    CASE WHEN indisready THEN 'invalid, and kept up to date by every write' ELSE 'invalid' END AS detail
FROM pg_index
JOIN pg_class AS index_class ON index_class.oid = indexrelid
JOIN pg_class AS table_class ON table_class.oid = indrelid
WHERE index_class.relnamespace = 'public'::regnamespace
  AND NOT (indisvalid AND indisready)
  AND NOT EXISTS (
      SELECT
      FROM pg_stat_progress_create_index AS build
      WHERE build.index_relid = indexrelid
         OR (build.relid = indrelid AND build.index_relid = 0)
  )
ORDER BY table_class.relname, index_class.relname
