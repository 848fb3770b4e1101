-- Sequences: their parameters, not where they stand.
SELECT
    s.seqrelid::regclass::text AS name,
    concat_ws('; ',
        format_type(s.seqtypid, NULL) || ' start ' || s.seqstart || ' increment ' || s.seqincrement || ' from ' || s.seqmin
            || ' to ' || s.seqmax || ' cache ' || s.seqcache || CASE WHEN s.seqcycle THEN ' cycle' ELSE '' END,
        CASE WHEN c.relpersistence = 'u' THEN 'unlogged' END,
        'owned by ' || d.refobjid::regclass || '.' || quote_ident(a.attname),
        'owner ' || c.relowner::regrole
    ) AS definition
FROM pg_sequence AS s
JOIN pg_class AS c ON c.oid = s.seqrelid
LEFT JOIN pg_depend AS d
    ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid AND d.objsubid = 0
    AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
LEFT JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE s.seqrelid = ANY (%(relations)s::oid[])
