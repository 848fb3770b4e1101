-- What the statements that clients sent to this database cost since it was made.
-- requires: the extension pg_stat_statements 1.9 or newer, loaded
-- reads: pg_stat_statements
SELECT coalesce(sum(calls), 0) AS calls,
       coalesce(sum(shared_blks_hit + shared_blks_read + temp_blks_read + temp_blks_written), 0) AS blocks,
       coalesce(sum(wal_bytes), 0) AS wal_bytes
FROM pg_stat_statements
WHERE toplevel
  AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
