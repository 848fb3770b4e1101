-- The order in which a table's columns come, apart from what they are: a column that was dropped and added again is last.
SELECT
    a.attrelid::regclass::text AS name,
    string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS definition
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
WHERE a.attrelid = ANY (%(relations)s::oid[])
  AND c.relkind IN ('r', 'p', 'f')
  AND a.attnum > 0
  AND NOT a.attisdropped
GROUP BY a.attrelid
