-- Migration 009: Index optimisation, validation
--
-- What it is: each step returns rows when something is not as 009 made it. It reads catalogues.
--
-- What it locks: nothing but ACCESS SHARE.

-- step: every foreign key has an index, valid
WITH foreign_key AS (
    SELECT DISTINCT coalesce(leaf.relid, conrelid) AS relation, key_columns
    FROM pg_constraint
    JOIN pg_class AS constrained ON constrained.oid = conrelid
    CROSS JOIN LATERAL (
        SELECT array_agg(attname ORDER BY position) AS key_columns
        FROM unnest(conkey) WITH ORDINALITY AS part (attnum, position)
        JOIN pg_attribute ON attrelid = conrelid AND pg_attribute.attnum = part.attnum
    ) AS named
    LEFT JOIN LATERAL pg_partition_tree(conrelid) AS leaf ON constrained.relkind = 'p' AND isleaf
    WHERE contype = 'f' AND conparentid = 0 AND constrained.relnamespace = 'public'::regnamespace
)
SELECT relname AS table_name, array_to_string(key_columns, ', ') AS without_index
FROM foreign_key
JOIN pg_class ON pg_class.oid = relation
WHERE relkind = 'r'
  AND pg_has_role(relowner, 'USAGE')
  AND NOT EXISTS (
      SELECT
      FROM pg_index
      CROSS JOIN LATERAL (
          SELECT array_agg(attname) AS begins_with
          FROM unnest((string_to_array(indkey::text, ' ')::smallint[])[1:cardinality(key_columns)]) AS part (attnum)
          JOIN pg_attribute ON attrelid = indrelid AND pg_attribute.attnum = part.attnum
      ) AS named
      WHERE indrelid = relation
        AND indisvalid
        AND indnkeyatts >= cardinality(key_columns)
        AND begins_with @> key_columns
        AND (indpred IS NULL OR pg_get_expr(indpred, indrelid) = format('(%I IS NOT NULL)', key_columns[1]))
  )
ORDER BY relname, key_columns;

-- step: none that 009 built is left half done
SELECT indrelid::regclass AS table_name, indexrelid::regclass AS invalid_index
FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid
WHERE relnamespace = 'public'::regnamespace AND relname LIKE '%\_idx\_009' AND NOT (indisvalid AND indisready);
