-- Who makes the given backend wait, and what they are doing. Query text is cut, since it may hold personal data.
SELECT
    blocker.pid,
    blocker.application_name,
    coalesce(blocker.usename::text, blocker.backend_type) AS role,
    blocker.state,
    extract(epoch FROM clock_timestamp() - blocker.xact_start)::float AS transaction_s,
    split_part(ltrim(blocker.query), ' ', 1) AS command
FROM unnest(pg_blocking_pids(%(pid)s)) AS blocking (pid)
JOIN pg_stat_activity AS blocker ON blocker.pid = blocking.pid
