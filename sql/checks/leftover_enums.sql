-- check: leftover_enums
-- title: Types that the migrations ahead would make
-- severity: fail
-- phases: all
-- expected: no type of these names: CREATE TYPE would fail, and CREATE TYPE IF missing would accept other labels
-- action: ALTER TYPE … RENAME TO …_before, run the phase, then move the columns that use it over (ALTER COLUMN … TYPE … USING …::text::…) and drop it; a type that nothing uses can be dropped at once
-- reads: catalogues, the migration files
WITH planned AS (
    SELECT version, name, ARRAY(SELECT part ->> 0 FROM jsonb_array_elements(parts) AS part) AS labels
    FROM jsonb_to_recordset(current_setting('mantis_runbook.planned')::jsonb) AS (version text, kind text, name text, parts jsonb)
    WHERE kind = 'enum'
),
present AS (
    SELECT
        typname AS name,
        typtype,
        ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = pg_type.oid ORDER BY enumsortorder) AS labels
    FROM pg_type
    WHERE typnamespace = 'public'::regnamespace
)
SELECT
    format('type %I', name) AS object,
    cardinality(present.labels)::bigint AS found,
    CASE
        WHEN typtype <> 'e' THEN format('no enum, where %s makes one', version)
        WHEN present.labels = planned.labels THEN format('equal to what %s makes', version)
        WHEN present.labels @> planned.labels AND planned.labels @> present.labels THEN format('the labels of %s in another order', version)
        ELSE format(
            'not what %s makes:%s%s',
            version,
            ' without ' || nullif(array_to_string(ARRAY(SELECT unnest(planned.labels) EXCEPT SELECT unnest(present.labels) ORDER BY 1), ', '), ''),
            ' with ' || nullif(array_to_string(ARRAY(SELECT unnest(present.labels) EXCEPT SELECT unnest(planned.labels) ORDER BY 1), ', '), '')
        )
    END AS detail
FROM planned
JOIN present USING (name)
ORDER BY name
