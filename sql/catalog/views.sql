-- Views and materialized views.
SELECT
    c.oid::regclass::text AS name,
    concat_ws(E'\n',
        CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END || ', owner ' || c.relowner::regrole,
        CASE WHEN c.relkind = 'm' AND NOT c.relispopulated THEN 'not populated' END,
        'options ' || (SELECT string_agg(option, ', ' ORDER BY option) FROM unnest(c.reloptions) AS option),
        (
            SELECT string_agg('default of ' || quote_ident(a.attname) || ' ' || pg_get_expr(d.adbin, d.adrelid), ', ' ORDER BY a.attnum)
            FROM pg_attrdef AS d
            JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
            WHERE d.adrelid = c.oid
        ),
        (
            SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
            FROM pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ),
        pg_get_viewdef(c.oid)
    ) AS definition
FROM pg_class AS c
WHERE c.oid = ANY (%(relations)s::oid[]) AND c.relkind IN ('v', 'm')
