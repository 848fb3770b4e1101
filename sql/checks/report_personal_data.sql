-- Where personal data is: by class and table the columns that are marked, and the rows with a value in any of them. Counts,
-- never values. A materialized view holds copies, and counts as a table does; one that was never filled holds nothing.
-- Not a check: it returns what is there, and statements that count; each reads its table once.
SELECT
    lower(class) AS class,
    relname::text AS table_name,
    count(*) AS number_of_columns,
    string_agg(attname, ', ' ORDER BY attnum) AS columns,
    format(
        'SELECT count(*) FROM public.%I WHERE num_nonnulls(%s) > 0',
        relname,
        string_agg(quote_ident(attname), ', ')
    ) AS statement
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
CROSS JOIN LATERAL (
    SELECT marked[1] AS class
    FROM regexp_match(
        col_description(c.oid, a.attnum),
        '^\s*personal data: (identity|contact|location|credential|behaviour|free text)\M',
        'i'
    ) AS marked
    WHERE marked IS NOT NULL
) AS is_marked
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'f', 'm')
  AND NOT c.relispartition
  AND c.relispopulated
GROUP BY lower(class), relname
ORDER BY lower(class), relname
