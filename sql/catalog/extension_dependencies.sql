-- Objects that an extension takes with it when it is dropped (ALTER ... DEPENDS ON EXTENSION).
SELECT
    i.type || ' ' || i.identity AS name,
    'depends on extension ' || string_agg(quote_ident(e.extname), ', ' ORDER BY e.extname) AS definition
FROM pg_depend AS d
JOIN pg_extension AS e ON e.oid = d.refobjid
CROSS JOIN pg_identify_object(d.classid, d.objid, d.objsubid) AS i
WHERE d.deptype = 'x' AND d.refclassid = 'pg_extension'::regclass
GROUP BY i.type, i.identity
