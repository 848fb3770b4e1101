-- The strategy's automatic rollback trigger. pg_stat_database_conflicts has no deadlocks; pg_stat_database has, but since
-- the server's birth: so what counts is the difference since a recorded start. Locks nothing; may be installed again.
-- requires: the schema mantis_runbook
CREATE TABLE IF NOT EXISTS mantis_runbook.error_baseline (
    single       boolean      PRIMARY KEY DEFAULT true CHECK (single),
    datid        oid          NOT NULL,
    deadlocks    bigint       NOT NULL,
    conflicts    bigint       NOT NULL,
    stats_reset  timestamptz,
    recorded_at  timestamptz  NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE mantis_runbook.error_baseline IS 'One row: the counters of pg_stat_database when watching began; a clone of this database is another database.';

CREATE OR REPLACE FUNCTION mantis_runbook.start_error_watch()
    RETURNS void
    LANGUAGE sql
    VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_stat_clear_snapshot();
    INSERT INTO mantis_runbook.error_baseline AS kept (datid, deadlocks, conflicts, stats_reset)
    SELECT datid, deadlocks, conflicts, stats_reset
    FROM pg_stat_database
    WHERE datname = current_database()
    ON CONFLICT (single) DO UPDATE
        SET datid = excluded.datid,
            deadlocks = excluded.deadlocks,
            conflicts = excluded.conflicts,
            stats_reset = excluded.stats_reset,
            recorded_at = excluded.recorded_at;
$$;

COMMENT ON FUNCTION mantis_runbook.start_error_watch() IS 'From now on migration_error_handler() counts.';

CREATE OR REPLACE FUNCTION mantis_runbook.migration_error_handler()
    RETURNS void
    LANGUAGE plpgsql
    VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    start  mantis_runbook.error_baseline;
    here   pg_stat_database;
BEGIN
    PERFORM pg_stat_clear_snapshot();
    SELECT * INTO here FROM pg_stat_database WHERE datname = current_database();
    SELECT * INTO start FROM mantis_runbook.error_baseline WHERE datid = here.datid;

    IF start.datid IS NULL THEN
        RAISE EXCEPTION 'No start is recorded for this database: nothing can be said about conflicts'
            USING HINT = 'SELECT mantis_runbook.start_error_watch() before the migration.';
    END IF;

    IF here.stats_reset IS DISTINCT FROM start.stats_reset OR here.deadlocks < start.deadlocks OR here.conflicts < start.conflicts THEN
        RAISE EXCEPTION 'The statistics were reset since the start at %: nothing can be said about conflicts', start.recorded_at
            USING HINT = 'A reset or a crash of the server; SELECT mantis_runbook.start_error_watch() again.';
    END IF;

    IF here.deadlocks > start.deadlocks OR here.conflicts > start.conflicts THEN
        RAISE EXCEPTION 'Database conflicts detected, triggering rollback'
            USING DETAIL = format(
                '%s deadlock(s) and %s recovery conflict(s) since %s',
                here.deadlocks - start.deadlocks,
                here.conflicts - start.conflicts,
                start.recorded_at
            );
    END IF;
END
$$;

COMMENT ON FUNCTION mantis_runbook.migration_error_handler() IS
    'Raises when deadlocks or recovery conflicts happened in this database since start_error_watch(), and when that cannot be known.';
