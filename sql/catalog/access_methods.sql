-- Access methods that no extension brought.
SELECT
    quote_ident(a.amname) AS name,
    CASE a.amtype WHEN 't' THEN 'table' ELSE 'index' END || ' access method, handler ' || a.amhandler::regproc AS definition
FROM pg_am AS a
WHERE a.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_am'::regclass AND d.objid = a.oid AND d.deptype = 'e')
