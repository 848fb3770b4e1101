-- Operator classes, and families with all operators and functions in them, whichever class brought them.
SELECT
    i.type || ' ' || i.identity AS name,
    concat_ws('; ',
        CASE WHEN c.opcdefault THEN 'default' END,
        'for ' || format_type(c.opcintype, NULL),
        'in family ' || format('%%I.%%I', fn.nspname, f.opfname),
        'keeps ' || format_type(nullif(c.opckeytype, 0), NULL),
        'owner ' || c.opcowner::regrole
    ) AS definition
FROM pg_opclass AS c
JOIN pg_opfamily AS f ON f.oid = c.opcfamily
JOIN pg_namespace AS fn ON fn.oid = f.opfnamespace
CROSS JOIN pg_identify_object('pg_opclass'::regclass, c.oid, 0) AS i
WHERE c.opcnamespace = ANY (%(schemas)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_opclass'::regclass AND d.objid = c.oid AND d.deptype = 'e')
UNION ALL
SELECT
    i.type || ' ' || i.identity,
    concat_ws('; ',
        'owner ' || f.opfowner::regrole,
        (
            SELECT string_agg(
                format('operator %%s %%s', o.amopstrategy, o.amopopr::regoperator)
                || coalesce(' for order by ' || quote_ident(sn.nspname) || '.' || quote_ident(s.opfname), ''),
                ', ' ORDER BY o.amopstrategy, o.amopopr::regoperator::text
            )
            FROM pg_amop AS o
            LEFT JOIN pg_opfamily AS s ON s.oid = o.amopsortfamily
            LEFT JOIN pg_namespace AS sn ON sn.oid = s.opfnamespace
            WHERE o.amopfamily = f.oid
        ),
        (
            SELECT string_agg(
                format('function %%s (%%s, %%s) %%s', p.amprocnum, format_type(p.amproclefttype, NULL), format_type(p.amprocrighttype, NULL), p.amproc::regprocedure),
                ', ' ORDER BY p.amprocnum, p.amproc::regprocedure::text, p.amproclefttype::regtype::text, p.amprocrighttype::regtype::text
            )
            FROM pg_amproc AS p
            WHERE p.amprocfamily = f.oid
        )
    )
FROM pg_opfamily AS f
CROSS JOIN pg_identify_object('pg_opfamily'::regclass, f.oid, 0) AS i
WHERE f.opfnamespace = ANY (%(schemas)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_opfamily'::regclass AND d.objid = f.oid AND d.deptype = 'e')
