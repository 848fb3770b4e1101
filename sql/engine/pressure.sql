-- Should a backfill pause? Sessions waiting for a lock on tables, rows or transactions, and the replay lag of the slowest
-- standby in bytes. Who waits for an advisory lock waits for the application's own reasons.
SELECT
    (
        SELECT count(*)::integer
        FROM pg_stat_activity
        WHERE datname = current_database()
            AND wait_event_type = 'Lock'
            AND wait_event <> 'advisory'
            AND pid <> pg_backend_pid()
    ) AS waiting,
    coalesce(
        (SELECT max(pg_wal_lsn_diff(sent_lsn, replay_lsn))::float FROM pg_stat_replication WHERE state = 'streaming'),
        0
    ) AS lag_bytes
