-- As large_objects.sql, for a role that may read the objects and not the table of their pages. 262144: INV_READ.
WITH object AS MATERIALIZED (
    SELECT oid, lo_lseek64(lo_open(oid, 262144), 0, 2) AS bytes FROM pg_catalog.pg_largeobject_metadata
),
page AS (
    SELECT o.oid, number, lo_get(o.oid, number * 2048, 2048) AS data
    FROM object AS o
    CROSS JOIN generate_series(0, (o.bytes - 1) / 2048) AS number
    WHERE o.bytes > 0
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
