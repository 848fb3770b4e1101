-- Locks on the given relations that a session has, seen from another one; those it only waits for do not block yet, but
-- those who come later wait for them, too.
SELECT relation::bigint AS oid, mode
FROM pg_locks
WHERE locktype = 'relation'
  AND pid = %(pid)s
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND relation::bigint = ANY (%(relations)s)
