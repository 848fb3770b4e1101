-- Conversions between encodings.
SELECT
    format('%%I.%%I', n.nspname, c.conname) AS name,
    concat_ws('; ',
        CASE WHEN c.condefault THEN 'default' END,
        pg_encoding_to_char(c.conforencoding) || ' to ' || pg_encoding_to_char(c.contoencoding) || ' by ' || c.conproc::regproc,
        'owner ' || c.conowner::regrole
    ) AS definition
FROM pg_conversion AS c
JOIN pg_namespace AS n ON n.oid = c.connamespace
WHERE c.connamespace = ANY (%(schemas)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_conversion'::regclass AND d.objid = c.oid AND d.deptype = 'e')
