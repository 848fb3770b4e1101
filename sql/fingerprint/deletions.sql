-- Deletions that the server counted, table by table, partitions with their root; and what tells whether it counted on:
-- after a reset (or a crash) the counters begin at zero. TRUNCATE and DROP are not counted, rolled-back deletions are.
-- The counters follow the sessions by up to ten seconds. Locks nothing.
SELECT
    format('%%I.%%I', n.nspname, c.relname) AS name,
    (
        SELECT coalesce(sum(pg_stat_get_tuples_deleted(leaf.oid)), 0)::bigint
        FROM (SELECT c.oid UNION SELECT relid::oid FROM pg_partition_tree(c.oid)) AS leaf (oid)
    ) AS deleted,
    database.stats_reset::text AS reset,
    database.xact_commit AS commits,
    current_setting('track_counts')::boolean AS counts
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_stat_database AS database ON database.datname = current_database()
WHERE c.relkind IN ('r', 'p')
  AND NOT c.relispartition
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
