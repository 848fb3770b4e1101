-- What a dump of this database needs of the server it is restored on: kind, the thing, its version (empty where it has
-- none), and the object that needs it. Members of extensions come with their extension.
WITH ours AS (
    SELECT pg_class.oid, relkind, reltablespace, relowner, format('%I.%I', nspname, relname) AS name
    FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE pg_class.oid >= 16384
      AND nspname !~ '^pg_(toast|temp_)'
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
),
columns AS (
    SELECT ours.name, ours.relkind, pg_attribute.*
    FROM ours
    JOIN pg_attribute ON attrelid = ours.oid AND attnum > 0 AND NOT attisdropped
),
collated AS (
    SELECT attcollation AS used, format('column %I of %s', attname, name) AS used_by
    FROM columns
    WHERE attcollation <> 0 AND relkind IN ('r', 'p', 'm', 'f', 'c')
    UNION
    SELECT refobjid, pg_describe_object(classid, objid, 0)
    FROM pg_depend
    WHERE refclassid = 'pg_collation'::regclass AND refobjsubid = 0 AND deptype = 'n' AND objsubid = 0
    UNION
    SELECT oid, format('collation %I', collname)
    FROM pg_collation
    WHERE oid >= 16384
)
SELECT 'extension' AS kind, extname::text AS thing, extversion AS version, '' AS used_by
FROM pg_extension

UNION ALL
SELECT 'lz4', attname::text, '', format('column %I of %s', attname, name)
FROM columns
WHERE attcompression = 'l' AND relkind IN ('r', 'p', 'm')

UNION ALL
SELECT 'xml', attname::text, '', format('column %I of %s', attname, name)
FROM columns
JOIN pg_type ON pg_type.oid = atttypid
WHERE relkind IN ('r', 'p', 'm') AND 'xml'::regtype IN (pg_type.oid, typelem, typbasetype)

UNION ALL
SELECT
    CASE collprovider WHEN 'i' THEN 'ICU' WHEN 'c' THEN CASE WHEN pg_collation.oid < 16384 THEN 'collation' ELSE 'locale' END END,
    CASE WHEN collprovider = 'c' AND pg_collation.oid >= 16384 THEN collcollate::text ELSE collname::text END,
    '',
    used_by
FROM collated
JOIN pg_collation ON pg_collation.oid = used
WHERE collprovider IN ('i', 'c') AND collname NOT IN ('C', 'POSIX', 'ucs_basic')

UNION ALL
SELECT 'tablespace', spcname::text, '', ours.name
FROM ours
JOIN pg_tablespace ON pg_tablespace.oid = reltablespace
WHERE relkind IN ('r', 'p', 'm', 'i', 'I')

UNION ALL
SELECT 'library', probin, '', format('function %s', pg_proc.oid::regprocedure)
FROM pg_proc
WHERE prolang = (SELECT oid FROM pg_language WHERE lanname = 'c')
  AND pg_proc.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e')

UNION ALL
SELECT 'role', rolname::text, '', pg_describe_object(classid, objid, 0)
FROM pg_shdepend
JOIN pg_roles ON pg_roles.oid = refobjid
WHERE refclassid = 'pg_authid'::regclass
  AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid <> 'pg_subscription'::regclass

UNION ALL
-- The server's first superuser is in no list of dependents.
SELECT 'role', rolname::text, '', format('table %s', ours.name)
FROM ours
JOIN pg_roles ON pg_roles.oid = relowner
WHERE relowner < 16384 AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')

UNION ALL
SELECT 'superuser', format('publication %I', pubname), '', 'it takes in every new table'
FROM pg_publication
WHERE puballtables

ORDER BY 1, 2, 4
