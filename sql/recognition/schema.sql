-- What stands in public, beside what the migrations ahead would make (told in mantis_runbook.planned) and the tables by which
-- the application is known (told in mantis_runbook.application). Reads catalogues, locks nothing.
WITH planned AS (
    SELECT kind, name, parts
    FROM jsonb_to_recordset(current_setting('mantis_runbook.planned')::jsonb) AS (kind text, name text, parts jsonb)
),
present AS (
    SELECT oid, relname::text AS name
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
      AND relkind IN ('r', 'p', 'f', 'm')
      AND NOT relispartition
      AND relname NOT IN ('schema_migrations', 'migration_backups')
),
baseline AS (
    SELECT name
    FROM jsonb_array_elements_text(current_setting('mantis_runbook.application')::jsonb -> 'recognition' -> 'tables') AS name
),
enum AS (
    SELECT typname::text AS name, array_agg(enumlabel::text ORDER BY enumsortorder) AS labels
    FROM pg_type
    JOIN pg_enum ON enumtypid = pg_type.oid
    WHERE typnamespace = 'public'::regnamespace
    GROUP BY typname
)
SELECT
    (SELECT count(*) FROM present) AS tables,
    (SELECT count(*) FROM present JOIN baseline USING (name)) AS of_baseline,
    ARRAY(SELECT DISTINCT name FROM planned JOIN present USING (name) WHERE kind = 'table' ORDER BY name) AS tables_there,
    ARRAY(SELECT DISTINCT name FROM planned JOIN enum USING (name) WHERE kind = 'enum' ORDER BY name) AS types_there,
    ARRAY(
        SELECT name
        FROM planned
        JOIN enum USING (name)
        WHERE kind = 'enum'
          AND labels IS DISTINCT FROM ARRAY(SELECT part ->> 0 FROM jsonb_array_elements(parts) AS part)
        ORDER BY name
    ) AS types_other,
    ARRAY(
        SELECT format('%s.%s', planned.name, attname)
        FROM planned
        JOIN present ON present.name = planned.name
        JOIN pg_attribute ON attrelid = present.oid AND attname = parts -> 0 ->> 0 AND NOT attisdropped
        WHERE kind = 'column'
          AND NOT EXISTS (SELECT FROM planned AS made WHERE made.kind = 'table' AND made.name = planned.name)
        ORDER BY 1
    ) AS columns_there,
    ARRAY(
        SELECT present.name
        FROM planned
        JOIN present ON present.name = planned.name
        JOIN pg_class USING (oid)
        WHERE kind = 'table' AND NOT relrowsecurity
        ORDER BY 1
    ) AS without_rls
