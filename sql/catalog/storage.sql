-- How tables and their columns are stored, where that is not PostgreSQL's default: access method, options of the TOAST
-- table, storage and compression of columns, options of foreign columns; statistics targets of materialized views.
SELECT
    c.oid::regclass::text AS name,
    concat_ws('; ',
        'access method ' || quote_ident(nullif(a.amname, 'heap')),
        'toast options ' || (SELECT string_agg(option, ', ' ORDER BY option) FROM unnest(t.reloptions) AS option)
    ) AS definition
FROM pg_class AS c
LEFT JOIN pg_am AS a ON a.oid = c.relam
LEFT JOIN pg_class AS t ON t.oid = c.reltoastrelid
WHERE c.oid = ANY (%(relations)s::oid[])
  AND c.relkind IN ('r', 'p', 'm')
  AND (a.amname <> 'heap' OR t.reloptions IS NOT NULL)
UNION ALL
SELECT name, definition
FROM (
    SELECT
        a.attrelid::regclass || '.' || quote_ident(a.attname) AS name,
        nullif(concat_ws('; ',
            CASE WHEN a.attstorage <> t.typstorage THEN 'storage ' || a.attstorage::text END,
            'compression ' || nullif(a.attcompression, '')::text,
            'options ' || (SELECT string_agg(option, ', ' ORDER BY option) FROM unnest(a.attfdwoptions) AS option),
            CASE WHEN c.relkind = 'm' AND a.attstattarget >= 0 THEN 'statistics ' || a.attstattarget END,
            CASE WHEN c.relkind = 'm' THEN
                'statistics options ' || (
                    SELECT string_agg(option, ', ' ORDER BY option)
                    FROM unnest(a.attoptions) AS option
                    WHERE option NOT LIKE 'pg\_attver=%%'
                )
            END
        ), '') AS definition
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid
    JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = ANY (%(relations)s::oid[])
      AND c.relkind IN ('r', 'p', 'f', 'm')
      AND a.attnum > 0
      AND NOT a.attisdropped
) AS stored
WHERE definition IS NOT NULL
