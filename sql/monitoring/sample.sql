-- One sample of the strategy's figures, also where phase 0 has not installed its function yet. Reads only.
SELECT
    clock_timestamp() AS at,
    count(*) FILTER (WHERE state = 'active' AND pid <> pg_backend_pid())::integer AS active_connections,
    count(*) FILTER (WHERE wait_event_type = 'Lock')::integer AS waiting_queries,
    coalesce(
        extract(epoch FROM avg(clock_timestamp() - query_start) FILTER (WHERE state = 'active' AND pid <> pg_backend_pid())) * 1000,
        0
    )::float AS avg_query_ms,
    (
        SELECT 100.0 * blks_hit / nullif(blks_hit + blks_read, 0)
        FROM pg_stat_database
        WHERE datname = current_database()
    )::float AS cache_hit_ratio,
    (pg_database_size(current_database()) / 1024.0 ^ 3)::float AS disk_usage_gb
FROM pg_stat_activity
WHERE backend_type = 'client backend'
