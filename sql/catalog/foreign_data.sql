-- Foreign data wrappers, servers and user mappings. No option that may hold a secret is told by its value: of mappings
-- only the user's name on the other side, of wrappers and servers none whose name sounds like one.
WITH option AS (
    SELECT
        kind,
        object,
        string_agg(
            CASE
                WHEN kind = 'mapping' AND split_part(pair, '=', 1) NOT IN ('user', 'username')
                    OR split_part(pair, '=', 1) ~* 'pass|secret|key|token|cred|auth|conn|dsn|ur[il]'
                THEN split_part(pair, '=', 1) || ' (hidden)'
                ELSE pair
            END,
            ', ' ORDER BY pair COLLATE "C"
        ) AS told
    FROM (
        SELECT 'wrapper', oid, unnest(fdwoptions) FROM pg_foreign_data_wrapper
        UNION ALL SELECT 'server', oid, unnest(srvoptions) FROM pg_foreign_server
        UNION ALL SELECT 'mapping', umid, unnest(umoptions) FROM pg_user_mappings
    ) AS o (kind, object, pair)
    GROUP BY kind, object
)
SELECT
    'wrapper ' || quote_ident(w.fdwname) AS name,
    concat_ws('; ',
        'handler ' || nullif(w.fdwhandler, 0)::regproc,
        'validator ' || nullif(w.fdwvalidator, 0)::regproc,
        'options ' || o.told,
        'owner ' || w.fdwowner::regrole
    ) AS definition
FROM pg_foreign_data_wrapper AS w
LEFT JOIN option AS o ON o.kind = 'wrapper' AND o.object = w.oid
WHERE NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_foreign_data_wrapper'::regclass AND d.objid = w.oid AND d.deptype = 'e')
UNION ALL
SELECT
    'server ' || quote_ident(s.srvname),
    concat_ws('; ',
        'wrapper ' || quote_ident(w.fdwname), 'type ' || s.srvtype, 'version ' || s.srvversion, 'options ' || o.told,
        'owner ' || s.srvowner::regrole
    )
FROM pg_foreign_server AS s
JOIN pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw
LEFT JOIN option AS o ON o.kind = 'server' AND o.object = s.oid
WHERE NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_foreign_server'::regclass AND d.objid = s.oid AND d.deptype = 'e')
UNION ALL
SELECT
    'mapping of ' || CASE m.umuser WHEN 0 THEN 'PUBLIC' ELSE m.umuser::regrole::text END || ' on ' || quote_ident(m.srvname),
    concat_ws('; ', 'a mapping', 'options ' || o.told)
FROM pg_user_mappings AS m
LEFT JOIN option AS o ON o.kind = 'mapping' AND o.object = m.umid
