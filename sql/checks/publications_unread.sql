-- check: publications_unread
-- title: Publications that take in every table that we make, and that nobody reads
-- severity: warn
-- phases: 0,1,2,3,4
-- expected: no publication FOR ALL TABLES, or FOR TABLES IN SCHEMA public
-- action: none is needed while nobody subscribes; a subscriber that comes later needs our tables too (schema_migrations, migration_backups and the schema mantis_runbook among them), or a publication that names its tables
-- reads: pg_publication, pg_replication_slots
WITH growing AS (
    SELECT pubname, 'FOR ALL TABLES' AS scope
    FROM pg_publication
    WHERE puballtables

    UNION ALL
    SELECT pubname, format('FOR TABLES IN SCHEMA %I', nspname)
    FROM pg_depend AS of_publication
    JOIN pg_depend AS of_schema USING (classid, objid)
    JOIN pg_publication ON pg_publication.oid = of_publication.refobjid
    JOIN pg_namespace ON pg_namespace.oid = of_schema.refobjid
    WHERE of_publication.classid = to_regclass('pg_catalog.pg_publication_namespace')
      AND of_publication.refclassid = 'pg_publication'::regclass
      AND of_schema.refclassid = 'pg_namespace'::regclass
      AND nspname IN ('public', 'mantis_runbook')
)
SELECT format('publication %I', pubname) AS object, 1::bigint AS found, scope AS detail
FROM growing
WHERE NOT EXISTS (
    SELECT
    FROM pg_replication_slots
    WHERE slot_type = 'logical' AND plugin = 'pgoutput' AND database = current_database()
)
ORDER BY 1, 3
