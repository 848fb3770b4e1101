-- Migration 006: Partitions ahead of time, validation
--
-- What it is: each step raises, or returns rows, when something is not as 006 made it. It reads catalogues, and writes a row of
-- today to each table, which is gone when the step is over.
--
-- What it locks: nothing but ACCESS SHARE, and the rows it makes itself.

-- step: quarters follow one another, three months ahead at least
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH bound AS (
        SELECT name, part, low, high, lag(high) OVER (PARTITION BY name ORDER BY low) AS high_before
        FROM unnest(ARRAY['ai_message', 'customer_interaction', 'pipeline_execution', 'system_metric']) AS name, partition_bounds(name::regclass)
    )
    SELECT string_agg(flaw, '; ' ORDER BY flaw)
    INTO wrong
    FROM (
        SELECT format('%s: a gap before %s', name, part) AS flaw FROM bound WHERE high_before < low AND low > now()
        UNION ALL
        SELECT format('%s ends at %s', name, coalesce(max(high)::text, 'no time')) FROM unnest(ARRAY['ai_message', 'customer_interaction', 'pipeline_execution', 'system_metric']) AS name LEFT JOIN bound USING (name)
        GROUP BY name
        HAVING coalesce(max(high), '-infinity') < now() + interval '3 months'
    ) AS everything;
    ASSERT wrong IS NULL, format('quarters missing: %s', wrong);
END
$$;

-- step: what lies outside has a place
SELECT name AS table_name, 'no default partition' AS found
FROM unnest(ARRAY['ai_message', 'customer_interaction', 'pipeline_execution', 'system_metric']) AS name
WHERE NOT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = to_regclass(name) AND partdefid <> 0);

-- step: partitions are guarded
SELECT relname AS partition, coalesce('open to ' || role, 'row-level security is off') AS found
FROM pg_class
JOIN pg_description ON objoid = pg_class.oid AND classoid = 'pg_class'::regclass AND objsubid = 0
LEFT JOIN unnest(ARRAY['anon', 'authenticated']) AS role
    ON has_table_privilege(role, pg_class.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
WHERE description LIKE 'Partition of %made by create\_partitions\_ahead().'
  AND relispartition
  AND (role IS NOT NULL OR NOT relrowsecurity);

-- step: partitions have every index of their table, valid, and a primary key
SELECT part AS partition, coalesce('no index of ' || parent_index.indexrelid::regclass, 'no primary key') AS found
FROM unnest(ARRAY['ai_message', 'customer_interaction', 'pipeline_execution', 'system_metric']) AS name
CROSS JOIN LATERAL (SELECT inhrelid::regclass AS part FROM pg_inherits WHERE inhparent = to_regclass(name)) AS parts
LEFT JOIN pg_index AS parent_index
    ON parent_index.indrelid = to_regclass(name)
   AND NOT EXISTS (
       SELECT
       FROM pg_index AS own
       JOIN pg_inherits ON inhrelid = own.indexrelid
       WHERE own.indrelid = part AND inhparent = parent_index.indexrelid AND own.indisvalid
   )
WHERE parent_index.indexrelid IS NOT NULL
   OR NOT EXISTS (SELECT FROM pg_index WHERE indrelid = part AND indisprimary AND indisvalid);

-- step: a row of today goes to its quarter
DO $$
DECLARE
    attempt  record;
    place    regclass;
BEGIN
    FOR attempt IN
        SELECT *
        FROM (VALUES
            ('ai_message',
             'INSERT INTO ai_message (conversation_id, role, content, timestamp) SELECT id, ''user'', ''Validation'', %s FROM ai_conversation ORDER BY id LIMIT 1 RETURNING tableoid'),
            ('customer_interaction',
             'INSERT INTO customer_interaction (org_id, customer_id, channel, type, content, timestamp) SELECT org_id, id, ''chat'', ''inquiry'', ''Validation'', %s FROM customer ORDER BY id LIMIT 1 RETURNING tableoid'),
            ('pipeline_execution',
             'INSERT INTO pipeline_execution (pipeline_id, started_at) SELECT id, %s FROM automation_pipeline ORDER BY id LIMIT 1 RETURNING tableoid'),
            ('system_metric',
             'INSERT INTO system_metric (org_id, metric_name, metric_type, metric_value, timestamp) SELECT id, ''validation'', ''gauge'', 1, %s FROM organization ORDER BY id LIMIT 1 RETURNING tableoid')
        ) AS attempts (name, statement)
    LOOP
        EXECUTE format(attempt.statement, 'now()') INTO place;
        -- Into whichever partition is there for today: an owner may have made months, or a year, before us.
        ASSERT place IS NULL OR place = (SELECT part FROM partition_bounds(attempt.name::regclass) WHERE low <= now() AND high > now()), format('a row of today in %s went to %s', attempt.name, place);
        EXECUTE format(attempt.statement, '''1999-01-01''') INTO place;
        ASSERT place IS NULL OR place = (SELECT partdefid FROM pg_partitioned_table WHERE partrelid = attempt.name::regclass),
            format('a row of 1999 in %s went to %s', attempt.name, place);
    END LOOP;
END
$$;
