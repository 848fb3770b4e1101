-- Who makes the given backend wait, and what they are doing. Query text is cut, since it may hold personal data.
-- A prepared transaction has no session: the server reports it as pid 0.
SELECT
    blocking.pid,
    blocker.application_name,
    coalesce(blocker.usename::text, blocker.backend_type) AS role,
    blocker.state,
    extract(epoch FROM clock_timestamp() - blocker.xact_start)::float AS transaction_s,
    split_part(ltrim(blocker.query), ' ', 1) AS command,
    CASE WHEN blocking.pid = 0 THEN (
        SELECT string_agg(gid || ' of ' || owner, ', ' ORDER BY prepared)
        FROM pg_prepared_xacts
        WHERE database = current_database()
    ) END AS prepared
FROM unnest(pg_blocking_pids(%(pid)s)) AS blocking (pid)
LEFT JOIN pg_stat_activity AS blocker ON blocker.pid = blocking.pid
WHERE blocking.pid = 0 OR blocker.pid IS NOT NULL
