-- check: leftover_functions
-- title: Functions that the migrations ahead would make
-- severity: fail
-- phases: all
-- expected: no function of these names and arguments: CREATE FUNCTION would fail
-- action: ALTER FUNCTION … RENAME TO …_before, which keeps whatever uses it working, and run the phase
-- reads: catalogues, the migration files
-- One that a migration moves aside by itself (`moved_aside` in application.toml) is no leftover.
WITH planned AS (
    SELECT version, name, ARRAY(SELECT to_regtype(part ->> 0)::oid FROM jsonb_array_elements(parts) AS part) AS arguments
    FROM jsonb_to_recordset(current_setting('mantis_runbook.planned')::jsonb) AS (version text, kind text, name text, parts jsonb)
    WHERE kind = 'function'
)
SELECT
    format('function %s', pg_proc.oid::regprocedure) AS object,
    1::bigint AS found,
    format('of the name and arguments that %s uses', version) AS detail
FROM planned
JOIN pg_proc ON proname = name AND pronamespace = 'public'::regnamespace
WHERE string_to_array(proargtypes::text, ' ')::oid[] = arguments
  AND NOT current_setting('mantis_runbook.application')::jsonb -> 'moved_aside' ? format('%s %s', version, name)
ORDER BY 1
