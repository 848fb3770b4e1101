-- Tables of every kind, without their columns.
SELECT
    c.oid::regclass::text AS name,
    concat_ws('; ',
        CASE c.relpersistence WHEN 'u' THEN 'unlogged ' WHEN 't' THEN 'temporary ' ELSE '' END
            || CASE c.relkind WHEN 'f' THEN 'foreign table' ELSE 'table' END,
        'owner ' || c.relowner::regrole,
        CASE WHEN c.relkind = 'p' THEN 'partitioned by ' || pg_get_partkeydef(c.oid) END,
        CASE WHEN c.relispartition THEN 'partition of ' || parent.names || ' ' || pg_get_expr(c.relpartbound, c.oid) END,
        CASE WHEN NOT c.relispartition THEN 'inherits ' || parent.names END,
        CASE WHEN c.relrowsecurity THEN 'row security enabled' END,
        CASE WHEN c.relforcerowsecurity THEN 'row security forced' END,
        CASE c.relreplident WHEN 'n' THEN 'replica identity nothing' WHEN 'f' THEN 'replica identity full' END,
        'options ' || (SELECT string_agg(option, ', ' ORDER BY option) FROM unnest(c.reloptions) AS option),
        'server ' || quote_ident(s.srvname),
        'server options ' || (SELECT string_agg(option, ', ' ORDER BY option) FROM unnest(f.ftoptions) AS option)
    ) AS definition
FROM pg_class AS c
LEFT JOIN pg_foreign_table AS f ON f.ftrelid = c.oid
LEFT JOIN pg_foreign_server AS s ON s.oid = f.ftserver
CROSS JOIN LATERAL (
    SELECT string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno) AS names
    FROM pg_inherits AS i
    WHERE i.inhrelid = c.oid
) AS parent
WHERE c.oid = ANY (%(relations)s::oid[]) AND c.relkind IN ('r', 'p', 'f')
