-- Indexes that another one makes redundant: the same columns, or the first of them, in the same order, with the same operator
-- classes, collations and condition. Not a check: it returns what is there. What is unique, or carries a constraint, is never
-- redundant; of two equal ones the younger is. Partitions' indexes are left out: their table's stands for them.
WITH candidate AS (
    SELECT
        indexrelid,
        indrelid,
        indisunique OR EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid) AS is_needed,
        string_to_array(indkey::text, ' ') AS columns,
        string_to_array(indclass::text, ' ') AS classes,
        string_to_array(indcollation::text, ' ') AS collations,
        string_to_array(indoption::text, ' ') AS options,
        coalesce(pg_get_expr(indpred, indrelid), '') AS condition,
        indnkeyatts,
        indnatts
    FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid
    JOIN pg_am ON pg_am.oid = relam
    WHERE relnamespace = 'public'::regnamespace
      AND NOT relispartition
      AND amname = 'btree'
      AND indisvalid
      AND indexprs IS NULL
)
SELECT
    narrow.indrelid::regclass::text AS table_name,
    narrow.indexrelid::regclass::text AS redundant_index,
    wide.indexrelid::regclass::text AS covered_by,
    CASE WHEN narrow.columns = wide.columns THEN 'the same columns' ELSE 'its first columns' END AS reason,
    pg_size_pretty(pg_total_relation_size(narrow.indexrelid)) AS size,
    format('DROP INDEX CONCURRENTLY %s', narrow.indexrelid::regclass) AS how
FROM candidate AS narrow
JOIN candidate AS wide
    ON wide.indrelid = narrow.indrelid
   AND wide.indexrelid <> narrow.indexrelid
   AND wide.condition = narrow.condition
   AND narrow.indnatts = narrow.indnkeyatts
   AND wide.indnkeyatts >= narrow.indnkeyatts
   AND wide.columns[1:narrow.indnkeyatts] = narrow.columns
   AND wide.classes[1:narrow.indnkeyatts] = narrow.classes
   AND wide.collations[1:narrow.indnkeyatts] = narrow.collations
   AND wide.options[1:narrow.indnkeyatts] = narrow.options
WHERE NOT narrow.is_needed
  AND (wide.columns <> narrow.columns OR wide.is_needed OR wide.indexrelid < narrow.indexrelid)
ORDER BY table_name, redundant_index, covered_by
