-- Indexes that no query has used since the statistics began. Not a check: it returns what is there. What is unique, or carries
-- a constraint, is used by every write; what a foreign key needs is used when the other side is deleted. A week that has
-- every job in it, on every standby, is the least to wait before one is dropped. Partitions count for their table.
SELECT
    tables.relid::regclass::text AS table_name,
    root.oid::regclass::text AS unused_index,
    pg_size_pretty(sum(pg_relation_size(stat.indexrelid))) AS size,
    sum(pg_relation_size(stat.indexrelid))::bigint AS bytes,
    EXISTS (
        SELECT
        FROM pg_constraint
        WHERE contype = 'f' AND conrelid = tables.relid AND conkey[1] = (SELECT indkey[0] FROM pg_index WHERE indexrelid = root.oid)
    ) AS serves_foreign_key,
    (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()) AS counted_since
FROM pg_stat_user_indexes AS stat
JOIN pg_index ON pg_index.indexrelid = stat.indexrelid
CROSS JOIN LATERAL (SELECT coalesce((SELECT max(relid) FROM pg_partition_ancestors(stat.indexrelid) WHERE relid <> stat.indexrelid), stat.indexrelid) AS oid) AS root
JOIN pg_index AS root_index ON root_index.indexrelid = root.oid
CROSS JOIN LATERAL (SELECT root_index.indrelid AS relid) AS tables
WHERE stat.schemaname = 'public'
  AND NOT pg_index.indisunique
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = root.oid)
GROUP BY tables.relid, root.oid
HAVING sum(stat.idx_scan) = 0
ORDER BY bytes DESC, unused_index
