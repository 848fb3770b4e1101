-- How much of each table is dead or empty space, estimated from statistics: rows times their average width, against the pages
-- there are. Not a check: it returns what is there. Without statistics it is not known. Partitioned tables hold nothing
-- themselves: their partitions are named. Contents of TOAST are left out. phases/advanced/bloat.py measures with pgstattuple
-- where that is installed.
WITH told AS (
    SELECT
        relname,
        pg_relation_size(pg_class.oid) AS bytes,
        reltuples::numeric AS tuples,
        coalesce((SELECT substring(option FROM 'fillfactor=(\d+)')::numeric FROM unnest(reloptions) AS option WHERE option LIKE 'fillfactor=%'), 100) AS fillfactor,
        current_setting('block_size')::numeric AS block,
        -- A row: 24 bytes of header, its columns, padded to 8; and 4 bytes in the page to find it by.
        (
            SELECT (8 * ceil((24 + sum((1 - null_frac) * avg_width)) / 8) + 4)::numeric
            FROM pg_stats
            WHERE schemaname = 'public' AND tablename = relname AND NOT inherited
        ) AS row_bytes
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm')
)
SELECT
    relname::text AS table_name,
    bytes,
    pg_size_pretty(bytes) AS size,
    round(CASE
        WHEN bytes = 0 THEN 0
        WHEN tuples >= 0 AND row_bytes IS NOT NULL
            THEN least(greatest(1 - block * ceil(tuples * row_bytes / ((block - 24) * fillfactor / 100)) / bytes, 0), 1)
    END, 3) AS bloat,
    CASE WHEN bytes = 0 THEN 'empty' WHEN tuples >= 0 AND row_bytes IS NOT NULL THEN 'estimate' ELSE 'unknown' END AS method
FROM told
ORDER BY bloat DESC NULLS LAST, bytes DESC, table_name
