-- Who holds the runbook's advisory lock on this database, and the run that raised the fence last; not our own session.
SELECT activity.pid, activity.application_name, activity.backend_start, fence.run, fence.who
FROM pg_locks
JOIN pg_stat_activity AS activity USING (pid)
LEFT JOIN mantis_runbook.fence ON true
WHERE locktype = 'advisory'
    AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32 | objid::bigint) = %(key)s
    AND objsubid = 1
    AND granted
    AND activity.pid <> pg_backend_pid()
