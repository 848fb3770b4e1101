-- Sessions that wait for a lock, and who holds it. Only the command's first word, since queries hold personal data. Reads only.
SELECT
    waiting.pid,
    waiting.application_name AS who,
    split_part(ltrim(waiting.query), ' ', 1) AS command,
    round(extract(epoch FROM clock_timestamp() - waiting.query_start)::numeric, 1) AS waiting_s,
    blocker.pid AS blocked_by,
    blocker.application_name AS blocker,
    blocker.state AS blocker_state
FROM pg_stat_activity AS waiting
CROSS JOIN unnest(pg_blocking_pids(waiting.pid)) AS blocking (pid)
JOIN pg_stat_activity AS blocker ON blocker.pid = blocking.pid
WHERE waiting.datname = current_database() AND waiting.wait_event_type = 'Lock'
ORDER BY waiting_s DESC, waiting.pid
