-- Invalid copies that REINDEX CONCURRENTLY left when it was cut off, on tables where nobody builds an index now.
SELECT format('%I.%I', nspname, relname) AS name
FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE NOT indisvalid
    AND relname ~ '_cc(new|old)[0-9]*$'
    AND nspname <> 'pg_toast'
    AND NOT EXISTS (
        SELECT
        FROM pg_stat_progress_create_index AS build
        WHERE build.datname = current_database() AND (build.relid = indrelid OR build.relid IS NULL)
    )
ORDER BY name
