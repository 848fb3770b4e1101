-- Indexes, invalid ones too, and those that carry a constraint.
SELECT
    i.indexrelid::regclass::text AS name,
    concat_ws('; ',
        pg_get_indexdef(i.indexrelid),
        'partition of ' || parent.inhparent::regclass,
        CASE WHEN NOT i.indisvalid THEN 'INVALID' END,
        CASE WHEN NOT i.indisready THEN 'NOT READY' END,
        CASE WHEN NOT i.indislive THEN 'BEING DROPPED' END,
        CASE WHEN i.indisreplident THEN 'replica identity' END,
        CASE WHEN i.indisclustered THEN 'clustered on' END,
        (
            SELECT 'statistics ' || string_agg(a.attnum || ':' || a.attstattarget, ', ' ORDER BY a.attnum)
            FROM pg_attribute AS a
            WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0
        )
    ) AS definition
FROM pg_index AS i
LEFT JOIN pg_inherits AS parent ON parent.inhrelid = i.indexrelid
WHERE i.indrelid = ANY (%(relations)s::oid[])
