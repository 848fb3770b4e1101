-- In the transaction that asks: which locks it holds on the given relations, which file each has, and how often it has
-- scanned each from end to end. Locks nothing of theirs.
SELECT
    given.oid,
    coalesce(pg_class.relfilenode, 0)::bigint AS file,
    coalesce(pg_stat_get_xact_numscans(given.oid::oid), 0) AS scans,
    coalesce(held.modes, ARRAY[]::text[]) AS modes
FROM unnest(%(relations)s::bigint[]) AS given (oid)
LEFT JOIN pg_class ON pg_class.oid = given.oid::oid
LEFT JOIN LATERAL (
    SELECT array_agg(mode) AS modes
    FROM pg_locks
    WHERE locktype = 'relation'
      AND pid = pg_backend_pid()
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND relation = given.oid::oid
) AS held ON true
