-- Where an index seems to be missing: foreign keys that no index begins with, and tables of some size that are read as a whole
-- again and again. Not a check: it returns what is there. The first is certain; for the second, pg_stat_statements knows
-- which query it is.
SELECT
    conrelid::regclass::text AS table_name,
    'foreign key without an index' AS reason,
    format('%s to %s', conname, confrelid::regclass) AS detail,
    format(
        'CREATE INDEX CONCURRENTLY ON %s (%s)',
        conrelid::regclass,
        (
            SELECT string_agg(quote_ident(attname), ', ' ORDER BY place)
            FROM unnest(conkey) WITH ORDINALITY AS key_column (number, place)
            JOIN pg_attribute ON attrelid = conrelid AND attnum = number
        )
    ) AS how
FROM pg_constraint
WHERE contype = 'f'
  AND conparentid = 0
  AND connamespace = 'public'::regnamespace
  AND NOT EXISTS (
      SELECT
      FROM pg_index
      WHERE indrelid = conrelid
        AND indisvalid
        AND indnkeyatts >= cardinality(conkey)
        AND (string_to_array(indkey::text, ' ')::smallint[])[1:cardinality(conkey)] @> conkey
        AND (
            indpred IS NULL
            OR pg_get_expr(indpred, indrelid) = (
                SELECT format('(%I IS NOT NULL)', attname) FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1]
            )
        )
  )

UNION ALL

SELECT
    relid::regclass::text,
    'read as a whole again and again',
    format('%s reads of %s rows each, %s by index', seq_scan, seq_tup_read / seq_scan, coalesce(idx_scan, 0)),
    'EXPLAIN its queries, the most frequent first'
FROM pg_stat_user_tables
WHERE schemaname = 'public'
  AND seq_scan > 100
  AND seq_tup_read / seq_scan > 10000
  AND seq_scan > coalesce(idx_scan, 0) / 10

ORDER BY 2, 1, 3
