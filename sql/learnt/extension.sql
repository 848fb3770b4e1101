-- The schema that pg_stat_statements lives in, and whether the server has it loaded; no row where it was not created here.
-- reads: pg_extension
SELECT quote_ident(nspname) AS schema,
       coalesce(current_setting('pg_stat_statements.track', true), '') <> '' AS is_loaded,
       pg_size_bytes(current_setting('track_activity_query_size'))::integer AS longest
FROM pg_extension
JOIN pg_namespace ON pg_namespace.oid = extnamespace
WHERE extname = 'pg_stat_statements'
