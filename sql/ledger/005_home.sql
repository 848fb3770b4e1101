-- A ledger that an older version of the runbook made in public moves into the runbook's own schema: in public it would stand
-- in the way of an application that later keeps a schema_migrations of its own there. Only tables that our comment marks.
-- Locks nothing but these two tables.
CREATE SCHEMA IF NOT EXISTS mantis_runbook;

DO $$
DECLARE
    older  regclass;
BEGIN
    IF to_regclass('mantis_runbook.schema_migrations') IS NOT NULL THEN
        RETURN;
    END IF;
    FOR older IN
        SELECT pg_class.oid
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
          AND relkind = 'r'
          AND relname IN ('schema_migrations', 'migration_backups')
          AND obj_description(pg_class.oid, 'pg_class') LIKE 'Mantis Runbook:%'
          AND pg_has_role(relowner, 'USAGE')
          AND to_regclass('mantis_runbook.' || relname) IS NULL
    LOOP
        EXECUTE format('ALTER TABLE %s SET SCHEMA mantis_runbook', older);
    END LOOP;
END
$$;
