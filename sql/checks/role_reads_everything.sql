-- check: role_reads_everything
-- title: What the migrating role could not back up
-- severity: fail
-- phases: all
-- expected: every table and sequence of every schema can be read, as pg_dump reads them
-- action: GRANT pg_read_all_data TO this role (large objects: GRANT SELECT ON LARGE OBJECT, or its owner TO this role): a dump reads everything, and stops at what it may not read
-- reads: catalogues
SELECT object, found, detail
FROM (
    SELECT 1 AS part, format('schema %I', nspname) AS object, 1::bigint AS found, 'no USAGE on it' AS detail
    FROM pg_namespace
    WHERE nspname !~ '^pg_' AND NOT has_schema_privilege(oid, 'USAGE')

    UNION ALL

    SELECT 2, pg_class.oid::regclass::text, 1, 'no SELECT on it'
    FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
      AND relkind IN ('r', 'p', 'm', 'S') AND relpersistence <> 't'
      AND NOT CASE relkind WHEN 'S' THEN has_sequence_privilege(pg_class.oid, 'SELECT') ELSE has_table_privilege(pg_class.oid, 'SELECT') END
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')

    UNION ALL

    SELECT 3, 'large objects', count(*), format('%s of other owners', count(*))
    FROM pg_largeobject_metadata
    WHERE NOT pg_has_role(lomowner, 'USAGE')
      AND NOT EXISTS (
          SELECT FROM aclexplode(lomacl)
          WHERE privilege_type = 'SELECT' AND CASE grantee WHEN 0 THEN true ELSE pg_has_role(grantee, 'USAGE') END
      )
    HAVING count(*) > 0
) AS lacking
ORDER BY part, object
