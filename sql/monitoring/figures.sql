-- One sample of the strategy's figures, by its own function, in the columns of sample.sql. Reads only.
SELECT
    "timestamp" AS at,
    active_connections,
    waiting_queries,
    coalesce(extract(epoch FROM avg_query_time) * 1000, 0)::float AS avg_query_ms,
    cache_hit_ratio::float,
    disk_usage_gb::float
FROM mantis_runbook.monitor_migration_performance()
