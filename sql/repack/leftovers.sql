-- What pg_repack made for a table and did not take away, one row a table. Not a check: it returns what is there.
-- A program that is at work holds the advisory lock of its table (the same numbers since pg_repack 1.3.1) until it has
-- cleaned up; the backend of one that was killed may still hold a lock on the copy or on the log.
-- Locks nothing. Finds nothing where the schema repack is not there.
WITH remains AS (
    SELECT tgrelid AS relid, 'trigger' AS kind, NULL::oid AS object
    FROM pg_trigger
    WHERE tgname = 'repack_trigger' AND NOT tgisinternal
    UNION ALL
    SELECT substring(relname FROM '\d+$')::bigint::oid, split_part(relname, '_', 1), pg_class.oid
    FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'repack'
      AND (relname ~ '^(log|table)_\d{1,10}$' AND relkind = 'r' OR relname ~ '^pk_\d{1,10}$' AND relkind = 'c')
      AND substring(relname FROM '\d+$')::bigint < 4294967296
)
SELECT
    remains.relid::bigint AS relid,
    max(nspname)::text AS schema,
    max(relname)::text AS table_name,
    array_agg(DISTINCT kind ORDER BY kind) AS kinds,
    EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory'
          AND classid = 16185446
          AND objid::bigint = (remains.relid::bigint + 2147483648) % 4294967296
          AND objsubid = 2
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
    OR EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'relation'
          AND relation = ANY (array_agg(object) FILTER (WHERE kind IN ('table', 'log')))
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND pid IN (SELECT pid FROM pg_stat_activity WHERE application_name LIKE '%repack%')
    ) AS at_work
FROM remains
LEFT JOIN pg_class ON pg_class.oid = remains.relid
LEFT JOIN pg_namespace ON pg_namespace.oid = relnamespace
GROUP BY remains.relid
ORDER BY remains.relid
