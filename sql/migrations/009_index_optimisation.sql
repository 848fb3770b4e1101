-- Migration 009: Index optimisation
-- phase: 4
-- requires: 001
--
-- What it is: an index for each foreign key in public that has none, found in the catalogue of this very database (seven in
-- the baseline), so that deleting what they refer to does not read the whole table, and holds its locks no longer than it
-- must. A valid index that begins with the key's columns serves under any name: none is built beside it.
--
-- What it locks: SHARE UPDATE EXCLUSIVE on one table at a time, for as long as its index is built: reading and writing go on.
-- Each build waits for transactions that are older than it, anywhere in this database.
--
-- What an operator must know:
-- - what it builds is named <table>_<columns>_idx_009, by which the way back knows it: an index of that ending is ours;
-- - a partitioned table takes no index concurrently: each of its partitions that lacks one gets its own, and
--   create_partitions_ahead() gives new partitions what their siblings have;
-- - tables that this role does not own are left alone;
-- - redundant and unused indexes are reported, not dropped (reports redundant_indexes, unused_indexes): what a
--   database does without is for who knows its whole week to say, and one drop is one DROP INDEX CONCURRENTLY.

-- step: foreign keys without an index  for each row
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
),
unindexed AS (
    SELECT pg_class.oid, relname, key_columns, relname || '_' || array_to_string(key_columns, '_') AS stem
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
)
SELECT format(
    'CREATE INDEX CONCURRENTLY %I ON public.%I (%s)',
    CASE WHEN length(stem) > 50 THEN left(stem, 42) || '_' || left(md5(stem), 7) ELSE stem END || '_idx_009',
    relname,
    (SELECT string_agg(quote_ident(name), ', ' ORDER BY position) FROM unnest(key_columns) WITH ORDINALITY AS part (name, position))
)
FROM unindexed
ORDER BY relname, stem;
