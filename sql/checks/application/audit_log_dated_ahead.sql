-- check: audit_log_dated_ahead
-- title: Audit entries dated in the quarters to come
-- severity: fail
-- phases: 0,4
-- expected: no entry dated months ahead: what is in audit_log stays in one partition when 007 partitions it, and that one ends before those quarters
-- action: correct the timestamp of the entries named (set it to when they were written, or to NULL, or to infinity), or delete them; how many and which is on record here
-- reads: audit_log, by its index on timestamp
-- The quarter 007 begins with: the first that begins a month from now or later.
WITH cutoff AS (
    SELECT date_trunc('quarter', date_trunc('quarter', now() + interval '1 month', 'UTC') + interval '100 days', 'UTC') AS at
),
ahead AS (
    SELECT id
    FROM audit_log, cutoff
    WHERE timestamp >= cutoff.at
      AND timestamp < 'infinity'
      AND (SELECT relkind FROM pg_class WHERE relname = 'audit_log' AND relnamespace = 'public'::regnamespace) = 'r'
)
SELECT
    'audit_log'::text AS object,
    count(*) AS found,
    format(
        '%s entries dated %s or later, such as %s',
        count(*),
        (SELECT (at AT TIME ZONE 'UTC')::date FROM cutoff),
        (SELECT string_agg(id::text, ', ') FROM (SELECT id FROM ahead ORDER BY id LIMIT 5) AS few)
    ) AS detail
FROM ahead
HAVING count(*) > 0
