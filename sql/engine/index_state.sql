-- What is known of an index by its name: valid or not, its definition, and whether somebody is building it now.
SELECT
    indisvalid AND indisready AS is_valid,
    pg_get_indexdef(indexrelid) AS definition,
    EXISTS (
        SELECT 1
        FROM pg_stat_progress_create_index AS build
        WHERE build.index_relid = pg_index.indexrelid
            OR (build.relid = pg_index.indrelid AND build.index_relid = 0)
    ) AS in_progress,
    format('%%I.%%I', nspname, relname) AS name
FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE indexrelid = to_regclass(%(name)s)
