-- Who holds the runbook's advisory lock on this database.
SELECT activity.pid, activity.application_name, activity.backend_start, activity.client_addr
FROM pg_locks
JOIN pg_stat_activity AS activity USING (pid)
WHERE locktype = 'advisory'
    AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32 | objid::bigint) = %(key)s
    AND granted
