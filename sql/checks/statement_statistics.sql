-- check: statement_statistics
-- title: Statistics of statements
-- severity: info
-- phases: 0
-- expected: pg_stat_statements loaded and its extension created
-- action: shared_preload_libraries = 'pg_stat_statements', a restart, CREATE EXTENSION pg_stat_statements; without it the comparison of performance goes by EXPLAIN alone
-- reads: pg_extension, pg_settings
-- The setting may only be read by some; what is not shown counts as not loaded.
SELECT 'pg_stat_statements' AS object, 1::bigint AS found,
    CASE
        WHEN coalesce(current_setting('pg_stat_statements.track', true), '') = '' THEN 'not loaded'
        ELSE 'loaded, but its extension is not created in this database'
    END AS detail
WHERE coalesce(current_setting('pg_stat_statements.track', true), '') = ''
   OR NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements')
