-- check: role_rights
-- title: What the migrating role may do
-- severity: fail
-- phases: all
-- expected: a superuser, or the owner of every table, with EXECUTE on the application's functions, CREATE on schema public and on the database
-- action: run as the tables' owner, or GRANT it to this role; GRANT EXECUTE ON FUNCTION, GRANT CREATE ON SCHEMA public, GRANT CREATE ON DATABASE; sql/roles/migration_role.sql does all of it
-- reads: catalogues
SELECT object, found, detail
FROM (
    SELECT 1 AS part, 'schema public' AS object, 1::bigint AS found, 'this role may not CREATE in it' AS detail
    WHERE NOT has_schema_privilege('public', 'CREATE')

    UNION ALL

    SELECT 2, 'this database', 1, 'this role may not CREATE schemas and extensions in it'
    WHERE NOT has_database_privilege(current_database(), 'CREATE')

    UNION ALL

    SELECT 3, relname::text, 1, format('belongs to %I, whose rights this role does not have', pg_get_userbyid(relowner))
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
      AND relkind IN ('r', 'p', 'v', 'm', 'S')
      AND NOT relispartition
      AND NOT pg_has_role(relowner, 'USAGE')
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')

    UNION ALL

    SELECT 4, 'function ' || oid::regprocedure, 1, 'this role may not EXECUTE it, so no trigger or policy of ours can call it'
    FROM pg_proc
    WHERE pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'auth'))
      AND has_schema_privilege(pronamespace, 'USAGE')
      AND NOT has_function_privilege(oid, 'EXECUTE')
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e')
) AS lacking
ORDER BY part, object
