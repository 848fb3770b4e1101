-- Tables that are sealed, by the name of the trigger.
SELECT nspname::text AS schema, relname::text AS table, tgname::text AS name
FROM pg_trigger
JOIN pg_class ON pg_class.oid = tgrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE tgname = ANY (%(names)s::name[]) AND NOT tgisinternal
ORDER BY 1, 2, 3
