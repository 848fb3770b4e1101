-- check: publications_that_grow
-- title: Publications that take in tables or columns that we make, and whose subscribers would stop
-- severity: fail
-- phases: 0,1,2,3,4
-- expected: no logical slot in this database that may serve a publication FOR ALL TABLES, FOR TABLES IN SCHEMA public, or of a table that gains a column
-- action: a subscriber stops at the first row with a table or a column that it does not have. Columns: ADD COLUMN them on each subscriber first (it may have more than the publisher), or publish the table with a list of columns (from 15 on). Tables: make them on each subscriber, or name the published tables one by one (CREATE PUBLICATION ... FOR TABLE, and ALTER SUBSCRIPTION ... SET PUBLICATION there). When the subscribers are ready, or what reads the slot minds neither, set publications_may_grow = true for this environment in environments.toml
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
planned AS (
    SELECT kind, name, parts
    FROM jsonb_to_recordset(current_setting('mantis_runbook.planned')::jsonb) AS (kind text, name text, parts jsonb)
),
joining (name) AS (
    SELECT name
    FROM planned
    WHERE kind = 'table'

    UNION
    -- What audit_log is called when it has become a partition: rows are published under a partition's name.
    SELECT 'audit_log_history'
    FROM planned
    WHERE name = 'audit_log_partitioned'

    UNION
    SELECT unnest(ARRAY['schema_migrations', 'migration_backups', 'mantis_runbook.journal'])
    WHERE to_regclass('mantis_runbook.journal') IS NULL
),
gaining (tab, name) AS (
    SELECT to_regclass('public.' || quote_ident(planned.name)), format('%s.%s', planned.name, part ->> 0)
    FROM planned
    CROSS JOIN jsonb_array_elements(parts) AS part
    WHERE kind = 'column' AND to_regclass('public.' || quote_ident(planned.name)) IS NOT NULL
),
joined (pubname, scope, name) AS (
    SELECT pubname, scope, joining.name FROM growing CROSS JOIN joining
    UNION
    SELECT pubname, scope, gaining.name FROM growing CROSS JOIN gaining
    UNION
    -- A partition is published with the table that it is a part of. A list of columns (from 15 on) does not grow.
    SELECT pubname, 'of some tables', gaining.name
    FROM pg_publication_rel
    JOIN pg_publication ON pg_publication.oid = prpubid
    JOIN gaining ON tab = prrelid
    WHERE to_jsonb(pg_publication_rel) ->> 'prattrs' IS NULL
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
    count(name)::bigint AS found,
    format(
        '%s takes in %s new table(s) or column(s): %s%s; slots that may serve it: %s',
        scope,
        count(name),
        array_to_string((array_agg(name ORDER BY name))[1:12], ', '),
        CASE WHEN count(name) > 12 THEN ' and more' ELSE '' END,
        slots.names
    ) AS detail
FROM joined
CROSS JOIN slots
WHERE slots.names IS NOT NULL
GROUP BY pubname, scope, slots.names
ORDER BY 1, 3
