-- How much of each table is dead or empty space. Not a check: it returns what is there. Measured by pgstattuple where the
-- extension is installed (pgstattuple_approx, which reads only pages that the visibility map does not know), estimated from
-- statistics where it is not: rows times their average width, against the pages there are. Without statistics it is not known.
-- Partitioned tables hold nothing themselves: their partitions are named. Contents of TOAST are left out of both.
WITH measured AS (
    SELECT
        pg_class.oid,
        relname,
        pg_relation_size(pg_class.oid) AS bytes,
        reltuples,
        coalesce((SELECT substring(option FROM 'fillfactor=(\d+)')::numeric FROM unnest(reloptions) AS option WHERE option LIKE 'fillfactor=%'), 100) AS fillfactor,
        current_setting('block_size')::numeric AS block,
        (
            SELECT format('%I.pgstattuple_approx', nspname)
            FROM pg_extension
            JOIN pg_namespace ON pg_namespace.oid = extnamespace
            WHERE extname = 'pgstattuple'
        ) AS measuring
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm')
),
told AS (
    SELECT
        measured.*,
        CASE WHEN measuring IS NOT NULL AND bytes > 0 THEN
            (xpath('/row/share/text()', query_to_xml(
                format('SELECT (dead_tuple_percent + approx_free_percent) / 100 AS share FROM %s(%L)', measuring, oid::regclass), false, true, ''
            )))[1]::text::numeric
        END AS seen,
        -- A row: 24 bytes of header, its columns, padded to 8; and 4 bytes in the page to find it by.
        (
            SELECT 8 * ceil((24 + sum((1 - null_frac) * avg_width)) / 8) + 4
            FROM pg_stats
            WHERE schemaname = 'public' AND tablename = relname AND NOT inherited
        ) AS row_bytes
    FROM measured
)
SELECT
    relname::text AS table_name,
    bytes,
    pg_size_pretty(bytes) AS size,
    round(CASE
        WHEN bytes = 0 THEN 0
        WHEN seen IS NOT NULL THEN least(greatest(seen, 0), 1)
        WHEN reltuples >= 0 AND row_bytes IS NOT NULL
            THEN least(greatest(1 - block * ceil(reltuples::numeric * row_bytes::numeric / ((block - 24) * fillfactor / 100)) / bytes, 0), 1)
    END, 3) AS bloat,
    CASE
        WHEN bytes = 0 THEN 'empty'
        WHEN seen IS NOT NULL THEN 'pgstattuple'
        WHEN reltuples >= 0 AND row_bytes IS NOT NULL THEN 'estimate'
        ELSE 'unknown'
    END AS method
FROM told
ORDER BY bloat DESC NULLS LAST, bytes DESC, table_name
