-- Who may do what, where that differs from what the owner and PUBLIC have anyway. NULL and the written-out default are
-- the same, as they are to pg_dump. A star marks the right to grant further; "by" names a grantor that is not the owner.
WITH object AS (
    SELECT 'schema ' || oid::regnamespace AS name, nspowner AS owner, nspacl AS acl, acldefault('n', nspowner) AS standard
    FROM pg_namespace
    WHERE oid = ANY (%(schemas)s::oid[])
    UNION ALL
    SELECT
        CASE relkind WHEN 'S' THEN 'sequence ' WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' ELSE 'table ' END || oid::regclass,
        relowner,
        relacl,
        acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)
    FROM pg_class
    WHERE oid = ANY (%(relations)s::oid[])
    UNION ALL
    SELECT 'column ' || a.attrelid::regclass || '.' || quote_ident(a.attname), c.relowner, a.attacl, acldefault('c', c.relowner)
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE c.oid = ANY (%(relations)s::oid[]) AND a.attacl IS NOT NULL AND NOT a.attisdropped
    UNION ALL
    SELECT 'function ' || oid::regprocedure, proowner, proacl, acldefault('f', proowner)
    FROM pg_proc
    WHERE oid = ANY (%(functions)s::oid[])
    UNION ALL
    SELECT 'type ' || oid::regtype, typowner, typacl, acldefault('T', typowner)
    FROM pg_type
    WHERE oid = ANY (%(types)s::oid[])
    UNION ALL
    SELECT
        'default for ' || CASE defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
            WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE defaclobjtype::text END
            || ' of ' || defaclrole::regrole || coalesce(' in ' || nullif(defaclnamespace, 0)::regnamespace, ''),
        defaclrole,
        defaclacl,
        NULL
    FROM pg_default_acl
    WHERE defaclnamespace = 0 OR defaclnamespace = ANY (%(schemas)s::oid[])
),
granted AS (
    SELECT
        o.name,
        o.owner,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee,
        a.grantor,
        string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END, ', ' ORDER BY a.privilege_type) AS privileges
    FROM object AS o
    CROSS JOIN aclexplode(o.acl) AS a
    WHERE o.acl IS NOT NULL AND NOT (o.standard IS NOT NULL AND o.acl @> o.standard AND o.standard @> o.acl)
    GROUP BY o.name, o.owner, a.grantee, a.grantor
)
SELECT
    o.name,
    coalesce(
        string_agg(
            g.grantee || ': ' || g.privileges || CASE WHEN g.grantor <> g.owner THEN ' (by ' || g.grantor::regrole || ')' ELSE '' END,
            '; ' ORDER BY g.grantee, g.grantor::regrole::text
        ),
        'nobody'
    ) AS definition
FROM object AS o
LEFT JOIN granted AS g ON g.name = o.name
WHERE o.acl IS NOT NULL AND NOT (o.standard IS NOT NULL AND o.acl @> o.standard AND o.standard @> o.acl)
GROUP BY o.name
