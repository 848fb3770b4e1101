-- Should a backfill pause? Sessions waiting for a lock, and the replay lag of the slowest standby in bytes.
SELECT
    (
        SELECT count(*)::integer
        FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()
    ) AS waiting,
    coalesce(
        (SELECT max(pg_wal_lsn_diff(sent_lsn, replay_lsn))::float FROM pg_stat_replication WHERE state = 'streaming'),
        0
    ) AS lag_bytes
