-- Columns that hold rows of a table, view or the like: of its row type, an array of it, or a domain over either; with the
-- fields of that type as they are now, in order. Requires: search_path = ''. Locks nothing.
SELECT
    c.oid::regclass::text AS name,
    a.attname::text AS column,
    base.typelem <> 0 AS is_array,
    (
        SELECT array_agg(f.attname::text ORDER BY f.attnum)
        FROM pg_attribute AS f
        WHERE f.attrelid = row_type.typrelid AND f.attnum > 0 AND NOT f.attisdropped
    ) AS fields
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
JOIN pg_type AS base ON base.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
JOIN pg_type AS row_type ON row_type.oid = CASE WHEN base.typcategory = 'A' THEN base.typelem ELSE base.oid END
JOIN pg_class AS source ON source.oid = row_type.typrelid AND source.relkind <> 'c'
WHERE c.relkind IN ('r', 'p')
  AND NOT c.relispartition
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT n.nspname = ANY (%(without)s::text[])
