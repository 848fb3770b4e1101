-- What is counted beside the strategy's figures: deadlocks since the statistics' last reset, WAL since the server's birth,
-- the slowest standby, and whether this role sees other roles' sessions. Any role may run it. Reads only.
SELECT
    (SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()) AS deadlocks,
    CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float END AS wal_bytes,
    standby.unseen,
    standby.lag_bytes,
    standby.lag_s,
    pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all
FROM (
    -- A role without pg_read_all_stats sees that a standby is there, and nothing else of it.
    SELECT
        count(*) FILTER (WHERE state IS NULL) AS unseen,
        max(pg_wal_lsn_diff(
            CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
            replay_lsn
        ))::float AS lag_bytes,
        extract(epoch FROM max(replay_lag))::float AS lag_s
    FROM pg_stat_replication
    WHERE state IS NULL OR state IN ('streaming', 'catchup')
) AS standby
