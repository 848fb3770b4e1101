-- The strategy's monitoring function, on today's catalogues: pg_stat_activity.waiting went away in 9.6, and a database
-- that has read nothing yet divides by zero. Its own session is not counted. Locks nothing; may be installed again.
-- requires: the schema mantis_runbook
CREATE OR REPLACE FUNCTION mantis_runbook.monitor_migration_performance()
    RETURNS TABLE (
        "timestamp"         timestamptz,
        active_connections  integer,
        waiting_queries     integer,
        avg_query_time      interval,
        cache_hit_ratio     numeric,
        disk_usage_gb       numeric
    )
    LANGUAGE sql
    VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        clock_timestamp(),
        count(*) FILTER (WHERE state = 'active')::integer,
        count(*) FILTER (WHERE wait_event_type = 'Lock')::integer,
        avg(clock_timestamp() - query_start) FILTER (WHERE state = 'active'),
        (
            SELECT round(100.0 * blks_hit / nullif(blks_hit + blks_read, 0), 2)
            FROM pg_stat_database
            WHERE datname = current_database()
        ),
        round(pg_database_size(current_database()) / 1024.0 / 1024.0 / 1024.0, 2)
    FROM pg_stat_activity
    WHERE datname = current_database()
      AND pid <> pg_backend_pid()
$$;

COMMENT ON FUNCTION mantis_runbook.monitor_migration_performance() IS
    'The strategy''s figures of this database, now: active and waiting sessions without one''s own, mean age of running queries (NULL if there are none), cache hits in percent since the statistics'' last reset (NULL if nothing was read), size in GiB.';
