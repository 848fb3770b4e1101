-- Columns for which values were kept while a rollback was about to drop them, and which are gone by now.
SELECT DISTINCT schema_name AS schema, table_name AS name, column_name AS column, key_columns AS key
FROM mantis_runbook.kept_value AS kept
WHERE NOT EXISTS (
    SELECT 1
    FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = kept.schema_name AND relname = kept.table_name AND attname = kept.column_name AND NOT attisdropped
)
ORDER BY 1, 2, 3, 4
