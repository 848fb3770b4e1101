-- A valid btree index of the table, of no condition, whose first columns are those named, in that order; not the index of that name.
SELECT indexrelid::regclass::text AS name
FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid
JOIN pg_am ON pg_am.oid = relam
WHERE indrelid = to_regclass(%(table)s)
  AND indisvalid
  AND indisready
  AND indpred IS NULL
  AND amname = 'btree'
  AND relname <> %(name)s
  AND cardinality(%(columns)s::text[]) <= indnkeyatts
  AND NOT EXISTS (
      SELECT
      FROM unnest(%(columns)s::text[]) WITH ORDINALITY AS wanted (col, place)
      WHERE NOT EXISTS (
          SELECT
          FROM pg_attribute
          WHERE attrelid = indrelid AND attnum = indkey[place::integer - 1] AND attname = col
      )
  )
ORDER BY indnkeyatts, relname
LIMIT 1
