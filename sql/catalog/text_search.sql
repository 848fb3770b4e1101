-- Text search: configurations with their mappings, dictionaries with their options, templates and parsers.
SELECT
    i.type || ' ' || i.identity AS name,
    concat_ws('; ',
        'parser ' || format('%%I.%%I', pn.nspname, p.prsname),
        (
            SELECT string_agg(format('%%s: %%s', kind.alias, m.dictionaries), ', ' ORDER BY kind.alias)
            FROM (
                SELECT maptokentype, string_agg(mapdict::regdictionary::text, ' ' ORDER BY mapseqno) AS dictionaries
                FROM pg_ts_config_map
                WHERE mapcfg = c.oid
                GROUP BY maptokentype
            ) AS m
            JOIN ts_token_type(c.cfgparser) AS kind ON kind.tokid = m.maptokentype
        ),
        'owner ' || c.cfgowner::regrole
    ) AS definition
FROM pg_ts_config AS c
JOIN pg_ts_parser AS p ON p.oid = c.cfgparser
JOIN pg_namespace AS pn ON pn.oid = p.prsnamespace
CROSS JOIN pg_identify_object('pg_ts_config'::regclass, c.oid, 0) AS i
WHERE c.cfgnamespace = ANY (%(schemas)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_ts_config'::regclass AND d.objid = c.oid AND d.deptype = 'e')
UNION ALL
SELECT
    i.type || ' ' || i.identity,
    concat_ws('; ', 'template ' || format('%%I.%%I', tn.nspname, t.tmplname), c.dictinitoption, 'owner ' || c.dictowner::regrole)
FROM pg_ts_dict AS c
JOIN pg_ts_template AS t ON t.oid = c.dicttemplate
JOIN pg_namespace AS tn ON tn.oid = t.tmplnamespace
CROSS JOIN pg_identify_object('pg_ts_dict'::regclass, c.oid, 0) AS i
WHERE c.dictnamespace = ANY (%(schemas)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_ts_dict'::regclass AND d.objid = c.oid AND d.deptype = 'e')
UNION ALL
SELECT
    i.type || ' ' || i.identity,
    concat_ws('; ', 'lexize ' || c.tmpllexize::regproc, 'init ' || nullif(c.tmplinit::oid, 0)::regproc)
FROM pg_ts_template AS c
CROSS JOIN pg_identify_object('pg_ts_template'::regclass, c.oid, 0) AS i
WHERE c.tmplnamespace = ANY (%(schemas)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_ts_template'::regclass AND d.objid = c.oid AND d.deptype = 'e')
UNION ALL
SELECT
    i.type || ' ' || i.identity,
    concat_ws('; ',
        'start ' || c.prsstart::regproc, 'token ' || c.prstoken::regproc, 'end ' || c.prsend::regproc,
        'headline ' || nullif(c.prsheadline::oid, 0)::regproc, 'types ' || c.prslextype::regproc
    )
FROM pg_ts_parser AS c
CROSS JOIN pg_identify_object('pg_ts_parser'::regclass, c.oid, 0) AS i
WHERE c.prsnamespace = ANY (%(schemas)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_ts_parser'::regclass AND d.objid = c.oid AND d.deptype = 'e')
