-- What this server has, among what a restore may need: kind and thing.
SELECT 'collation' AS kind, collname::text AS thing
FROM pg_collation
WHERE collnamespace = 'pg_catalog'::regnamespace

UNION
SELECT 'role', rolname::text
FROM pg_roles

UNION
SELECT 'tablespace', spcname::text
FROM pg_tablespace

UNION
-- Built without ICU, a server still lists a collation of ICU's, without a version.
SELECT 'ICU', ''
FROM pg_collation
WHERE collprovider = 'i' AND pg_collation_actual_version(oid) IS NOT NULL

UNION
SELECT 'lz4', ''
FROM pg_settings
WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)

UNION
SELECT 'superuser', ''
FROM pg_roles
WHERE rolname = current_user AND rolsuper
