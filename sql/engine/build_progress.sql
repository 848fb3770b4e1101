-- How far the given backend is with its index, as rows done and rows in all; both are estimates by blocks read.
SELECT
    (greatest(reltuples, 0) * blocks_done / blocks_total)::bigint AS done,
    greatest(reltuples, 0)::bigint AS total
FROM pg_stat_progress_create_index AS build
JOIN pg_class ON pg_class.oid = build.relid
WHERE build.pid = %(pid)s AND blocks_total > 0
