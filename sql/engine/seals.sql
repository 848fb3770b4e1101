-- Tables that are sealed, or have a column whose values are kept, by the name of the trigger. Those that a partition
-- inherits go with its parent's.
SELECT nspname::text AS schema, relname::text AS table, tgname::text AS name
FROM pg_trigger
JOIN pg_class ON pg_class.oid = tgrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE (tgname = ANY (%(names)s::name[]) OR starts_with(tgname, %(keeper)s)) AND NOT tgisinternal AND tgparentid = 0
ORDER BY 1, 2, 3
