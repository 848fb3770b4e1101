-- The expressions of every policy, with the table each stands on. Locks nothing.
SELECT
    pg_class.relname::text AS table_name,
    pg_namespace.nspname::text AS schema_name,
    concat_ws(' ', pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) AS text
FROM pg_policy
JOIN pg_class ON pg_class.oid = polrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
ORDER BY table_name, polname
