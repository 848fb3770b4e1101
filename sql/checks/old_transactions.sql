-- check: old_transactions
-- title: Transactions that have been open for more than a minute
-- severity: warn
-- phases: all
-- expected: none in this database: whoever holds a lock or a snapshot that long makes steps and concurrent index builds wait
-- action: let them end, or end them with pg_terminate_backend(pid), with the consent of who runs them
-- reads: pg_stat_activity
-- The minute can be set otherwise, by mantis_runbook.old_after. What we are not shown is no proof that nothing is there.
SELECT
    format('session %s', pid) AS object,
    extract(epoch FROM clock_timestamp() - xact_start)::bigint AS found,
    format('%s, %s, open for %s s', coalesce(nullif(application_name, ''), 'no name'), coalesce(state, backend_type),
           extract(epoch FROM clock_timestamp() - xact_start)::bigint) AS detail
FROM pg_stat_activity
WHERE datname = current_database()
  AND pid <> pg_backend_pid()
  AND backend_type IN ('client backend', 'parallel worker', 'walsender')
  AND xact_start < clock_timestamp() - coalesce(nullif(current_setting('mantis_runbook.old_after', true), ''), '1 minute')::interval

UNION ALL

SELECT 'sessions of other roles', count(*), format('%s session(s) that this role may not look at', count(*))
FROM pg_stat_activity
WHERE datname = current_database()
  AND pid <> pg_backend_pid()
  AND query = '<insufficient privilege>'
HAVING count(*) > 0

ORDER BY 2 DESC
