-- Publications and their tables as PostgreSQL 14 has them: without row filters, lists of columns and schemas.
SELECT
    quote_ident(p.pubname) AS name,
    concat_ws('; ',
        CASE WHEN p.puballtables THEN 'all tables' END,
        'publishes ' || array_to_string(ARRAY[
            CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
            CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END
        ], ', '),
        CASE WHEN p.pubviaroot THEN 'by way of the root' END,
        (
            SELECT string_agg('table ' || r.prrelid::regclass, ', ' ORDER BY r.prrelid::regclass::text)
            FROM pg_publication_rel AS r
            WHERE r.prpubid = p.oid
        ),
        'owner ' || p.pubowner::regrole
    ) AS definition
FROM pg_publication AS p
