-- What pg_repack needs of a table of the schema public and of our role. Locks nothing. Requires: the extension pg_repack.
SELECT
    relkind::text AS relkind,
    relpersistence::text AS relpersistence,
    row_security_active(pg_class.oid) AS hides_rows,
    EXISTS (SELECT FROM repack.primary_keys WHERE indrelid = pg_class.oid) AS has_key,
    pg_has_role(relowner, 'USAGE') AS is_owner,
    pg_get_userbyid(relowner)::text AS owner
FROM pg_class
WHERE oid = format('public.%%I', %s::text)::regclass
