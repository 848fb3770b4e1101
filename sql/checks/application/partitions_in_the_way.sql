-- check: partitions_in_the_way
-- title: Tables and partitions where phase 4 makes partitions
-- severity: fail
-- phases: 0,4
-- expected: no table that has the name of a partition to come, and no partition that covers a quarter to come only in part
-- action: a detached partition: ALTER TABLE … ATTACH PARTITION … FOR VALUES FROM … TO …, with whole quarters in UTC, or ALTER TABLE … RENAME TO …_before; a partition that ends within a quarter: make one for the rest of that quarter
-- reads: catalogues
WITH parent AS (
    SELECT pg_class.oid, relname AS name, partdefid
    FROM pg_class
    JOIN pg_partitioned_table ON partrelid = pg_class.oid
    WHERE relnamespace = 'public'::regnamespace
      AND relname IN ('ai_message', 'customer_interaction', 'pipeline_execution', 'system_metric')
),
bound AS (
    SELECT
        parent.oid AS parent_oid,
        inhrelid::regclass AS part,
        CASE edge[1] WHEN 'MINVALUE' THEN '-infinity' ELSE btrim(edge[1], '''')::timestamptz END AS low,
        CASE edge[2] WHEN 'MAXVALUE' THEN 'infinity' ELSE btrim(edge[2], '''')::timestamptz END AS high
    FROM parent
    JOIN pg_inherits ON inhparent = parent.oid
    JOIN pg_class ON pg_class.oid = inhrelid
    CROSS JOIN LATERAL regexp_match(pg_get_expr(relpartbound, inhrelid), 'FROM \((.*)\) TO \((.*)\)') AS edge
    WHERE edge IS NOT NULL
),
-- Quarters as 006 has them made: the present one, and those until half a year from now.
quarter AS (
    SELECT parent.oid AS parent_oid, name, first_day AT TIME ZONE 'UTC' AS low, (first_day + interval '3 months') AT TIME ZONE 'UTC' AS high, first_day
    FROM parent
    CROSS JOIN LATERAL generate_series(
        date_trunc('quarter', now() AT TIME ZONE 'UTC'),
        (now() + interval '6 months') AT TIME ZONE 'UTC',
        '3 months'
    ) AS first_day
),
covered AS (
    SELECT
        quarter.parent_oid,
        quarter.name,
        quarter.first_day,
        string_agg(part::text, ', ' ORDER BY bound.low) AS parts,
        sum(least(bound.high, quarter.high) - greatest(bound.low, quarter.low)) = quarter.high - quarter.low AS is_whole
    FROM quarter
    LEFT JOIN bound ON bound.parent_oid = quarter.parent_oid AND bound.low < quarter.high AND bound.high > quarter.low
    GROUP BY quarter.parent_oid, quarter.name, quarter.first_day, quarter.low, quarter.high
),
to_come (parent_oid, parent_name, name) AS (
    SELECT parent_oid, name, name || to_char(first_day, '_YYYY"_q"Q') FROM covered WHERE parts IS NULL
    UNION ALL
    SELECT oid, name, name || '_default' FROM parent WHERE partdefid = 0
    UNION ALL
    SELECT NULL, 'audit_log', name
    FROM (
        SELECT to_char(first_day, '"audit_log"_YYYY"_q"Q') AS name
        FROM generate_series(
            date_trunc('quarter', now() AT TIME ZONE 'UTC'),
            (now() + interval '6 months') AT TIME ZONE 'UTC',
            '3 months'
        ) AS first_day
        UNION ALL
        VALUES ('audit_log_history'), ('audit_log_later'), ('audit_log_leftover')
    ) AS names
    WHERE (SELECT relkind FROM pg_class WHERE relname = 'audit_log' AND relnamespace = 'public'::regnamespace) = 'r'
)
SELECT
    format('%s %I', CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index' ELSE 'table' END, pg_class.relname) AS object,
    1::bigint AS found,
    format(
        '%s, where phase 4 makes a partition of %s',
        CASE WHEN relispartition THEN 'a partition of ' || (SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = pg_class.oid) ELSE 'no partition of anything' END,
        parent_name
    ) AS detail
FROM to_come
JOIN pg_class ON pg_class.relname = to_come.name AND relnamespace = 'public'::regnamespace
WHERE NOT (
    relispartition
    AND (SELECT inhparent FROM pg_inherits WHERE inhrelid = pg_class.oid) = to_regclass('audit_log_partitioned')
    AND parent_name = 'audit_log'
)

UNION ALL

SELECT format('table %s', parts), 1, format('covers the quarter from %s of %s only in part', first_day::date, name)
FROM covered
WHERE NOT is_whole

ORDER BY 1
