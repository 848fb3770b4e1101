-- check: leftover_tables
-- title: Tables, views and columns that the migrations ahead would make
-- severity: fail
-- phases: all
-- expected: nothing of these names: CREATE would fail, and IF NOT EXISTS would accept a table with other columns
-- action: an empty one can be dropped; else ALTER TABLE … RENAME TO …_before, run the phase, and copy the rows over; a column likewise (RENAME COLUMN); what is equal still has to make way, for the migration creates its indexes, policies and triggers with it
-- reads: catalogues, the migration files
WITH planned AS (
    SELECT version, kind, name, parts
    FROM jsonb_to_recordset(current_setting('mantis_runbook.planned')::jsonb) AS (version text, kind text, name text, parts jsonb)
    WHERE kind IN ('table', 'view', 'sequence', 'column')
),
wanted AS (
    SELECT version, kind, name, part ->> 0 AS col, written.type || coalesce(written.modifier, '') || written.brackets AS type
    FROM planned
    CROSS JOIN jsonb_array_elements(parts) AS part
    CROSS JOIN LATERAL (
        SELECT
            coalesce(format_type(to_regtype(split[1]), NULL), split[1]) AS type,
            split[2] AS modifier,
            split[3] AS brackets
        FROM regexp_match(part ->> 1, '^([^(\[]+)(\([^)]*\))?((?:\[\])*)$') AS split
    ) AS written
),
present AS (
    SELECT relname AS name, relkind, attname AS col, format_type(atttypid, atttypmod) AS type
    FROM pg_class
    LEFT JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
),
difference AS (
    SELECT
        planned.name,
        nullif(array_to_string(ARRAY(
            SELECT format('%s %s', col, type) FROM wanted WHERE kind = 'table' AND wanted.name = planned.name
            EXCEPT
            SELECT format('%s %s', col, type) FROM present WHERE present.name = planned.name
            ORDER BY 1
        ), ', '), '') AS missing,
        nullif(array_to_string(ARRAY(
            SELECT format('%s %s', col, type) FROM present WHERE present.name = planned.name
            EXCEPT
            SELECT format('%s %s', col, type) FROM wanted WHERE kind = 'table' AND wanted.name = planned.name
            ORDER BY 1
        ), ', '), '') AS strange
    FROM planned
    WHERE kind = 'table' AND parts <> '[]'
)
SELECT
    format('%s %I', CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' ELSE 'table' END, name) AS object,
    count(DISTINCT col) AS found,
    CASE
        WHEN difference.name IS NULL THEN format('of the name that %s uses for a %s', version, planned.kind)
        WHEN missing IS NULL AND strange IS NULL THEN format('columns equal to what %s makes', version)
        ELSE format('not what %s makes:%s%s', version, ' without ' || missing, ' with ' || strange)
    END AS detail
FROM planned
JOIN present USING (name)
LEFT JOIN difference USING (name)
WHERE planned.kind <> 'column'
GROUP BY name, relkind, difference.name, missing, strange, version, planned.kind

UNION ALL

SELECT
    format('column %I.%I', name, col),
    1,
    CASE
        WHEN wanted.type = present.type THEN format('of the type that %s gives it', version)
        ELSE format('%s, where %s adds %s', present.type, version, wanted.type)
    END
FROM wanted
JOIN present USING (name, col)
WHERE wanted.kind = 'column'
  AND NOT EXISTS (SELECT FROM planned WHERE planned.kind = 'table' AND planned.name = wanted.name)

ORDER BY 1
