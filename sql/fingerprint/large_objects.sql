-- All large objects as counts and sums. Zeros at a page's end, and pages of zeros, do not count: PostgreSQL does not store
-- what was skipped, and a dump does. For superusers; the braces are filled in by backup/fingerprint.py. Locks nothing.
WITH page AS (
    SELECT loid AS oid, pageno AS number, data FROM pg_catalog.pg_largeobject
),
object AS (
    SELECT m.oid, coalesce(max(p.pageno::bigint * 2048 + octet_length(p.data)), 0) AS bytes
    FROM pg_catalog.pg_largeobject_metadata AS m
    LEFT JOIN pg_catalog.pg_largeobject AS p ON p.loid = m.oid
    GROUP BY m.oid
)
SELECT
    count(bytes) AS objects,
    sum(bytes) AS bytes,
    sum(hashtextextended(line COLLATE "C", {first})) AS first,
    sum(hashtextextended(line COLLATE "C", {second})) AS second
FROM (
    SELECT bytes, format('%s has %s bytes', oid, bytes) AS line FROM object
    UNION ALL
    SELECT NULL, format('%s page %s: %s', oid, number, encode(sha256(rtrim(data, '\x00'::bytea)), 'hex'))
    FROM page
    WHERE rtrim(data, '\x00'::bytea) <> ''
) AS lines
