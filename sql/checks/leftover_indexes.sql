-- check: leftover_indexes
-- title: Indexes that the migrations ahead would make
-- severity: fail
-- phases: all
-- expected: nothing of these names: CREATE INDEX would fail, and IF NOT EXISTS would keep an invalid one for ever
-- action: an invalid one: DROP INDEX CONCURRENTLY …; a valid one: ALTER INDEX … RENAME TO …_before, and drop it after the phase
-- reads: catalogues, the migration files
WITH planned AS (
    SELECT version, name, parts -> 0 ->> 0 AS table_name
    FROM jsonb_to_recordset(current_setting('mantis_runbook.planned')::jsonb) AS (version text, kind text, name text, parts jsonb)
    WHERE kind = 'index'
)
SELECT
    format('index %I', name) AS object,
    1::bigint AS found,
    CASE
        WHEN indexrelid IS NULL THEN format('no index, where %s makes one', version)
        WHEN NOT (indisvalid AND indisready) THEN format('invalid, on %s; %s makes it on %s', indrelid::regclass, version, table_name)
        ELSE format('valid, on %s; %s makes it on %s', indrelid::regclass, version, table_name)
    END AS detail
FROM planned
JOIN pg_class ON relname = name AND relnamespace = 'public'::regnamespace
LEFT JOIN pg_index ON indexrelid = pg_class.oid
ORDER BY name
