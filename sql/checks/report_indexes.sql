-- The strategy's third pre-migration query: all indexes. Not a check: it returns what is there.
SELECT schemaname, tablename, indexname, indexdef
FROM pg_indexes
WHERE schemaname = 'public'
ORDER BY tablename, indexname
