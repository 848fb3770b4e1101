-- check: partitions_missing
-- title: Partitioned tables that refuse a row of today
-- severity: warn, fail from 5
-- phases: 0,1,2,3,4,5
-- before: warns
-- expected: a partition for today, or a default one
-- action: phase 4 (04_advanced_features.ipynb) makes partitions ahead of time and default partitions; until then every insert of today into these tables fails
-- reads: catalogues
WITH partitioned AS (
    SELECT partrelid AS oid, partdefid
    FROM pg_partitioned_table
    JOIN pg_class ON pg_class.oid = partrelid
    JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
    WHERE relnamespace = 'public'::regnamespace
      AND partstrat = 'r'
      AND partnatts = 1
      AND atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
),
bound AS (
    SELECT
        partitioned.oid,
        CASE edge.low WHEN 'MINVALUE' THEN '-infinity'::timestamptz ELSE btrim(edge.low, '''')::timestamptz END AS low,
        CASE edge.high WHEN 'MAXVALUE' THEN 'infinity'::timestamptz ELSE btrim(edge.high, '''')::timestamptz END AS high
    FROM partitioned
    JOIN pg_inherits ON inhparent = partitioned.oid
    JOIN pg_class ON pg_class.oid = inhrelid
    CROSS JOIN LATERAL regexp_match(pg_get_expr(relpartbound, inhrelid), 'FROM \((.*)\) TO \((.*)\)') AS text_of
    CROSS JOIN LATERAL (SELECT text_of[1] AS low, text_of[2] AS high) AS edge
    WHERE text_of IS NOT NULL
)
SELECT
    oid::regclass::text AS object,
    1::bigint AS found,
    coalesce(
        (SELECT format('no partition for today; the newest ends at %s', max(high)) FROM bound WHERE bound.oid = partitioned.oid HAVING count(*) > 0),
        'no partition at all'
    ) AS detail
FROM partitioned
WHERE partdefid = 0
  AND NOT EXISTS (SELECT FROM bound WHERE bound.oid = partitioned.oid AND low <= now() AND now() < high)
ORDER BY 1
