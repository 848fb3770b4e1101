-- Privileges on what privileges.sql does not cover: members of extensions and the server's own objects, where somebody
-- changed them (pg_init_privs keeps what they were); languages, foreign data wrappers and foreign servers.
WITH object (class, oid, part, owner, acl, standard, schema) AS (
    SELECT 'pg_proc'::regclass, oid, 0, proowner, proacl, 'f'::"char", pronamespace
    FROM pg_proc WHERE proacl IS NOT NULL AND oid <> ALL (%(functions)s::oid[])
    UNION ALL
    SELECT 'pg_class'::regclass, oid, 0, relowner, relacl, CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relnamespace
    FROM pg_class WHERE relacl IS NOT NULL AND oid <> ALL (%(relations)s::oid[])
    UNION ALL
    SELECT 'pg_class'::regclass, c.oid, a.attnum, c.relowner, a.attacl, 'c'::"char", c.relnamespace
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND c.oid <> ALL (%(relations)s::oid[])
    UNION ALL
    SELECT 'pg_type'::regclass, oid, 0, typowner, typacl, 'T'::"char", typnamespace
    FROM pg_type WHERE typacl IS NOT NULL AND oid <> ALL (%(types)s::oid[])
    UNION ALL
    SELECT 'pg_namespace'::regclass, oid, 0, nspowner, nspacl, 'n'::"char", oid
    FROM pg_namespace WHERE nspacl IS NOT NULL AND oid <> ALL (%(schemas)s::oid[])
    UNION ALL SELECT 'pg_language'::regclass, oid, 0, lanowner, lanacl, 'l'::"char", 0 FROM pg_language
    UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, 0, fdwowner, fdwacl, 'F'::"char", 0 FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'pg_foreign_server'::regclass, oid, 0, srvowner, srvacl, 'S'::"char", 0 FROM pg_foreign_server
),
changed AS (
    SELECT o.*
    FROM object AS o
    LEFT JOIN pg_namespace AS n ON n.oid = o.schema
    LEFT JOIN pg_init_privs AS i ON i.classoid = o.class AND i.objoid = o.oid AND i.objsubid = o.part
    CROSS JOIN LATERAL (SELECT coalesce(i.initprivs, acldefault(o.standard, o.owner)) AS acl) AS before
    WHERE o.acl IS NOT NULL
      AND NOT (o.acl @> before.acl AND before.acl @> o.acl)
      AND NOT coalesce(n.nspname = ANY (%(without)s::text[]), false)
      AND coalesce(n.nspname, '') !~ '^pg_(toast|temp)'
      -- what belongs to a schema or a table that the caller left out
      AND (
          o.schema = 0
          OR n.nspname ~ '^pg_' OR n.nspname = 'information_schema'
          OR EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e')
      )
)
SELECT
    i.type || ' ' || i.identity AS name,
    coalesce((
        SELECT string_agg(
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END || ': ' || a.privilege_type
            || CASE WHEN a.is_grantable THEN '*' ELSE '' END,
            '; ' ORDER BY CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, a.privilege_type
        )
        FROM aclexplode(c.acl) AS a
    ), 'nobody') || coalesce(' (of extension ' || quote_ident(x.extname) || ')', '') AS definition
FROM changed AS c
CROSS JOIN pg_identify_object(c.class, c.oid, c.part) AS i
LEFT JOIN pg_depend AS d ON d.classid = c.class AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e'
LEFT JOIN pg_extension AS x ON x.oid = d.refobjid
