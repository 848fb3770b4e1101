-- Transforms that no extension brought.
SELECT
    format('for %%s language %%I', format_type(t.trftype, NULL), l.lanname) AS name,
    concat_ws('; ', 'from SQL by ' || nullif(t.trffromsql::oid, 0)::regprocedure, 'to SQL by ' || nullif(t.trftosql::oid, 0)::regprocedure) AS definition
FROM pg_transform AS t
JOIN pg_language AS l ON l.oid = t.trflang
WHERE NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_transform'::regclass AND d.objid = t.oid AND d.deptype = 'e')
