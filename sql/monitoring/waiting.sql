-- Who waits for which lock, since when, and for whom: one row a pair. From pg_locks, which every role sees whole; of
-- commands the first word only, since queries hold personal data. A prepared transaction blocks with pid 0. Reads only.
SELECT
    waiting.pid,
    activity.application_name AS application,
    upper(substring(activity.query FROM '^\s*(\w+)')) AS command,
    coalesce(extract(epoch FROM clock_timestamp() - waiting.waitstart), 0)::float AS waiting_s,
    coalesce(waiting.relation::regclass::text, waiting.locktype) AS waits_for,
    waiting.mode,
    blocking.pid AS blocked_by,
    coalesce(blocker.application_name, 'a prepared transaction') AS blocker,
    blocker.state AS blocker_state,
    upper(substring(blocker.query FROM '^\s*(\w+)')) AS blocker_command
FROM pg_locks AS waiting
JOIN pg_stat_activity AS activity ON activity.pid = waiting.pid
CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocking (pid)
LEFT JOIN pg_stat_activity AS blocker ON blocker.pid = blocking.pid
WHERE NOT waiting.granted
  AND activity.datname = current_database()
ORDER BY waiting_s DESC, waiting.pid, blocking.pid
