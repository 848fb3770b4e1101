-- Casts that no extension brought.
SELECT
    format('(%%s AS %%s)', format_type(c.castsource, NULL), format_type(c.casttarget, NULL)) AS name,
    concat_ws(' ',
        CASE c.castmethod WHEN 'b' THEN 'binary' WHEN 'i' THEN 'by text' ELSE 'by ' || c.castfunc::regprocedure END,
        CASE c.castcontext WHEN 'a' THEN 'on assignment' WHEN 'i' THEN 'implicit' ELSE 'explicit' END
    ) AS definition
FROM pg_cast AS c
WHERE c.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_cast'::regclass AND d.objid = c.oid AND d.deptype IN ('e', 'i'))
