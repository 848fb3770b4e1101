-- What this transaction has written so far, by table (a partition's under its root): the statistics' own counters, which a
-- rollback to a savepoint does not turn back, and the place of each table's row in the catalogue, which TRUNCATE and ALTER
-- move. A table whose line is as it was before has not been written in between. Nothing is counted with track_counts = off.
SELECT
    (SELECT relname::text FROM pg_class AS root WHERE root.oid = coalesce(pg_partition_root(c.oid), c.oid)) AS name,
    sum(
        pg_stat_get_xact_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid) + pg_stat_get_xact_tuples_deleted(c.oid)
    )::bigint AS rows,
    array_agg(c.ctid::text ORDER BY c.oid)::text AS places
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND current_setting('track_counts') = 'on'
GROUP BY name
