-- The strategy's second pre-migration query: all constraints. Not a check: it returns what is there.
SELECT conname::text AS conname, contype::text AS contype, conrelid::regclass::text AS table_name, convalidated
FROM pg_constraint
WHERE connamespace = 'public'::regnamespace
ORDER BY table_name, conname
