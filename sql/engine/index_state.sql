-- What is known of an index by its name: valid or not, its definition, and who is building it now.
-- A role that may not see what other sessions do takes any build in this database for one of this index.
SELECT
    indisvalid AND indisready AS is_valid,
    pg_get_indexdef(indexrelid) AS definition,
    (
        SELECT 'pid ' || min(build.pid)
        FROM pg_stat_progress_create_index AS build
        WHERE build.pid <> pg_backend_pid()
            AND build.datname = current_database()
            AND (
                build.index_relid = pg_index.indexrelid
                OR (build.relid = pg_index.indrelid AND build.index_relid = 0)
                OR build.relid IS NULL
            )
    ) AS builder,
    format('%%I.%%I', nspname, relname) AS name
FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE indexrelid = to_regclass(%(name)s)
