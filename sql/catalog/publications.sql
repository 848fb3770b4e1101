-- Publications, with their tables (row filters, lists of columns) and schemas. From PostgreSQL 15 on.
SELECT
    quote_ident(p.pubname) AS name,
    concat_ws('; ',
        CASE WHEN p.puballtables THEN 'all tables' END,
        'publishes ' || array_to_string(ARRAY[
            CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
            CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END
        ], ', '),
        CASE WHEN p.pubviaroot THEN 'by way of the root' END,
        'generated columns ' || nullif(to_jsonb(p) ->> 'pubgencols', 'n'),
        (
            SELECT string_agg(
                concat_ws(' ',
                    'table ' || r.prrelid::regclass,
                    (
                        SELECT '(' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')'
                        FROM pg_attribute AS a
                        WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)
                    ),
                    'where ' || pg_get_expr(r.prqual, r.prrelid)
                ),
                ', ' ORDER BY r.prrelid::regclass::text
            )
            FROM pg_publication_rel AS r
            WHERE r.prpubid = p.oid
        ),
        (
            SELECT string_agg('schema ' || s.pnnspid::regnamespace, ', ' ORDER BY s.pnnspid::regnamespace::text)
            FROM pg_publication_namespace AS s
            WHERE s.pnpubid = p.oid
        ),
        'owner ' || p.pubowner::regrole
    ) AS definition
FROM pg_publication AS p
