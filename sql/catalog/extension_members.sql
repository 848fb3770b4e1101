-- Members of each extension as schema.name, as far as a dump may hold rows, rights or policies of them; schemas by name.
SELECT
    quote_ident(e.extname) AS extension,
    array_agg(DISTINCT coalesce(
        (SELECT n.nspname || '.' || c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid),
        (SELECT n.nspname || '.' || p.proname FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
         WHERE d.classid = 'pg_proc'::regclass AND p.oid = d.objid),
        (SELECT n.nspname || '.' || t.typname FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
         WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid),
        (SELECT n.nspname::text FROM pg_namespace AS n WHERE d.classid = 'pg_namespace'::regclass AND n.oid = d.objid)
    )) AS members
FROM pg_extension AS e
JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
WHERE d.classid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass, 'pg_namespace'::regclass)
GROUP BY e.extname
