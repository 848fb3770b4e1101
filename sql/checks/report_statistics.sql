-- The strategy's first pre-migration query: statistics of the application's central tables, or of all where it names none
-- (told in mantis_runbook.application). Not a check: it returns what is there.
WITH surveyed AS (
    SELECT current_setting('mantis_runbook.application')::jsonb -> 'surveyed' AS tables
)
SELECT schemaname, tablename, attname, n_distinct, correlation
FROM pg_stats
CROSS JOIN surveyed
WHERE schemaname = 'public'
  AND (tables = '[]' OR tables ? tablename::text)
ORDER BY tablename, attname
