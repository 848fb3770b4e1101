-- Procedural languages that no extension brought.
SELECT
    quote_ident(l.lanname) AS name,
    concat_ws('; ',
        CASE WHEN l.lanpltrusted THEN 'trusted' ELSE 'untrusted' END,
        'handler ' || nullif(l.lanplcallfoid, 0)::regproc,
        'inline ' || nullif(l.laninline, 0)::regproc,
        'validator ' || nullif(l.lanvalidator, 0)::regproc,
        'owner ' || l.lanowner::regrole
    ) AS definition
FROM pg_language AS l
WHERE l.lanispl
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_language'::regclass AND d.objid = l.oid AND d.deptype = 'e')
