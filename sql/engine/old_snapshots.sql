-- What would hold CREATE INDEX CONCURRENTLY up in this database: sessions with an old snapshot or transaction, and prepared transactions.
-- VACUUM holds nobody up.
SELECT
    'session ' || pid || ' (' || application_name || ', ' || coalesce(state, backend_type) || ')' AS holder,
    extract(epoch FROM clock_timestamp() - xact_start)::float AS age_s
FROM pg_stat_activity
WHERE datname = current_database()
    AND pid <> pg_backend_pid()
    AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
    AND xact_start < clock_timestamp() - make_interval(secs => %(older_than_s)s)
    AND pid NOT IN (SELECT pid FROM pg_stat_progress_vacuum)
UNION ALL
SELECT
    'prepared transaction ' || gid || ' of ' || owner,
    extract(epoch FROM clock_timestamp() - prepared)::float
FROM pg_prepared_xacts
WHERE database = current_database()
ORDER BY age_s DESC
