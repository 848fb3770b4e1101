-- What roles other than the owner may do with tables, views, sequences, functions, types and schemas of the application: the
-- object as GRANT names it, and the role. Empty where no default privileges are set: then nothing new is open by them.
-- Reads only.
WITH object AS (
    SELECT
        tableoid AS class, oid, relowner AS owner, relacl AS acl,
        CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || oid::regclass AS named
    FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relacl IS NOT NULL AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
    UNION ALL
    SELECT tableoid, oid, proowner, proacl, 'ROUTINE ' || oid::regprocedure
    FROM pg_proc
    WHERE proacl IS NOT NULL AND pronamespace::regnamespace::text !~ '^(pg_|information_schema)'
    UNION ALL
    SELECT tableoid, oid, typowner, typacl, 'TYPE ' || oid::regtype
    FROM pg_type
    WHERE typacl IS NOT NULL AND typtype <> 'm' AND typelem = 0
    UNION ALL
    SELECT tableoid, oid, nspowner, nspacl, 'SCHEMA ' || quote_ident(nspname)
    FROM pg_namespace
    WHERE nspacl IS NOT NULL
)
SELECT DISTINCT
    class::text AS class,
    oid::bigint AS oid,
    named,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS role,
    grantee = 0 AND named !~ '^(TABLE|SEQUENCE|SCHEMA) ' AS is_usual
FROM object, aclexplode(acl)
WHERE grantee <> owner AND EXISTS (SELECT FROM pg_default_acl)
