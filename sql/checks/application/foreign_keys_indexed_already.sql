-- check: foreign_keys_indexed_already
-- title: Names that migration 009 would give to its indexes
-- severity: warn
-- phases: 0,4
-- expected: no index whose name ends in _idx_009: by that the way back of 009 knows what it built
-- action: rename the index (ALTER INDEX … RENAME TO …), or, if it is left over of an earlier try of 009, roll 009 back
-- reads: catalogues
SELECT
    format('index %s', pg_class.oid::regclass) AS object,
    1::bigint AS found,
    format('on %s; the way back of 009 would drop it', indrelid::regclass) AS detail
FROM pg_class
JOIN pg_index ON indexrelid = pg_class.oid
WHERE relnamespace = 'public'::regnamespace
  AND relname LIKE '%\_idx\_009'
  -- What 009 builds is named so itself.
  AND relname <> (
      SELECT CASE WHEN length(stem) > 50 THEN left(stem, 42) || '_' || left(md5(stem), 7) ELSE stem END || '_idx_009'
      FROM (
          SELECT (SELECT named.relname FROM pg_class AS named WHERE named.oid = indrelid) || '_' || string_agg(attname, '_' ORDER BY attnum) AS stem
          FROM pg_attribute
          WHERE attrelid = indexrelid
      ) AS expected
  )
ORDER BY 1
