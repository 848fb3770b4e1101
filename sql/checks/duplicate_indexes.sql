-- check: duplicate_indexes
-- title: Indexes that are there twice
-- severity: warn
-- phases: 0,4,5
-- expected: no two valid indexes of the same columns, order, operators and condition
-- action: phase 4 (04_advanced_features.ipynb) drops the one that guards nothing; each costs every write and caches nothing new
-- reads: catalogues
SELECT
    table_class.relname::text AS object,
    count(*) - 1 AS found,
    'same index: ' || string_agg(quote_ident(index_class.relname), ', ' ORDER BY indisunique DESC, index_class.relname) AS detail
FROM pg_index
JOIN pg_class AS index_class ON index_class.oid = indexrelid
JOIN pg_class AS table_class ON table_class.oid = indrelid
WHERE index_class.relnamespace = 'public'::regnamespace
  AND NOT index_class.relispartition
  AND indisvalid
GROUP BY
    indrelid,
    table_class.relname,
    index_class.relam,
    indkey::text,
    indclass::text,
    indcollation::text,
    indoption::text,
    coalesce(pg_get_expr(indexprs, indrelid), ''),
    coalesce(pg_get_expr(indpred, indrelid), '')
HAVING count(*) > 1 AND count(*) FILTER (WHERE NOT indisunique) > 0
ORDER BY 1, 3
