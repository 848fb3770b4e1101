-- Whose locks keep even readers waiting in this database, held or queued for, and on which tables. A prepared transaction
-- has no session: it comes with pid 0. Query text is cut, since it may hold personal data. Reads only.
SELECT
    coalesce(locks.pid, 0) AS pid,
    activity.application_name,
    coalesce(activity.usename::text, activity.backend_type) AS role,
    activity.state,
    extract(epoch FROM clock_timestamp() - activity.xact_start)::float AS transaction_s,
    split_part(ltrim(activity.query), ' ', 1) AS command,
    string_agg(DISTINCT prepared.gid || ' of ' || prepared.owner, ', ') AS prepared,
    string_agg(DISTINCT relname::text, ', ' ORDER BY relname::text) AS tables
FROM pg_locks AS locks
JOIN pg_class ON pg_class.oid = locks.relation AND relpersistence <> 't' AND relkind <> 't'
LEFT JOIN pg_stat_activity AS activity ON activity.pid = locks.pid
LEFT JOIN pg_locks AS own ON locks.pid IS NULL
    AND own.pid IS NULL
    AND own.locktype = 'transactionid'
    AND own.virtualtransaction = locks.virtualtransaction
LEFT JOIN pg_prepared_xacts AS prepared ON prepared.transaction = own.transactionid
WHERE locks.locktype = 'relation'
    AND locks.mode = 'AccessExclusiveLock'
    AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND locks.pid IS DISTINCT FROM pg_backend_pid()
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY transaction_s DESC NULLS LAST, pid
