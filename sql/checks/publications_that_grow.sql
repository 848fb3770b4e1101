-- check: publications_that_grow
-- title: Publications that take in the tables that we make, and whose subscribers would stop
-- severity: fail
-- phases: 0,1,2,3,4
-- expected: no publication FOR ALL TABLES, or FOR TABLES IN SCHEMA public, with a logical slot in this database that serves subscribers
-- action: a subscriber stops at the first row of a table that it does not have. Name the tables one by one instead (CREATE PUBLICATION ... FOR TABLE, ALTER SUBSCRIPTION ... SET PUBLICATION on each subscriber, DROP PUBLICATION of the old one); or make the tables on every subscriber after each phase, and meanwhile bear the halt, or read by something that does not mind new tables: then set publications_may_grow = true for this environment in environments.toml
-- reads: pg_publication, pg_replication_slots, pg_stat_replication, the migration files
WITH growing AS (
    SELECT pg_publication.oid, pubname, 'FOR ALL TABLES' AS scope
    FROM pg_publication
    WHERE puballtables

    UNION ALL
    -- By the dependents of its rows: the catalogue of schemas that are published came with 15.
    SELECT pg_publication.oid, pubname, format('FOR TABLES IN SCHEMA %I', nspname)
    FROM pg_depend AS of_publication
    JOIN pg_depend AS of_schema USING (classid, objid)
    JOIN pg_publication ON pg_publication.oid = of_publication.refobjid
    JOIN pg_namespace ON pg_namespace.oid = of_schema.refobjid
    WHERE of_publication.classid = to_regclass('pg_catalog.pg_publication_namespace')
      AND of_publication.refclassid = 'pg_publication'::regclass
      AND of_schema.refclassid = 'pg_namespace'::regclass
      AND nspname IN ('public', 'mantis_runbook')
),
joining AS (
    SELECT name
    FROM jsonb_to_recordset(current_setting('mantis_runbook.planned')::jsonb) AS (kind text, name text)
    WHERE kind = 'table'

    UNION
    -- What audit_log is called when it has become a partition: rows are published under a partition's name.
    SELECT 'audit_log_history'
    FROM jsonb_to_recordset(current_setting('mantis_runbook.planned')::jsonb) AS (name text)
    WHERE name = 'audit_log_partitioned'

    UNION
    SELECT unnest(ARRAY['schema_migrations', 'migration_backups', 'mantis_runbook.journal'])
    WHERE to_regclass('mantis_runbook.journal') IS NULL
),
slots AS (
    SELECT string_agg(
        format(
            '%s (%s)',
            slot_name,
            CASE
                WHEN NOT active THEN 'nobody reads it now'
                ELSE concat_ws(' ', 'read by', coalesce(nullif(application_name, ''), 'a session'), 'at ' || client_addr)
            END
        ),
        ', ' ORDER BY slot_name
    ) AS names
    FROM pg_replication_slots
    LEFT JOIN pg_stat_replication ON pid = active_pid
    WHERE slot_type = 'logical' AND plugin = 'pgoutput' AND database = current_database()
)
SELECT
    format('publication %I', pubname) AS object,
    count(DISTINCT name)::bigint AS found,
    format(
        '%s takes in %s new table(s): %s; slots that may serve it: %s',
        scope,
        count(DISTINCT name),
        array_to_string((array_agg(DISTINCT name ORDER BY name))[1:5], ', ') || CASE WHEN count(DISTINCT name) > 5 THEN ' and more' ELSE '' END,
        slots.names
    ) AS detail
FROM growing
CROSS JOIN joining
CROSS JOIN slots
WHERE slots.names IS NOT NULL
GROUP BY pubname, scope, slots.names
ORDER BY 1, 3
