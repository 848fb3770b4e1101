-- Ends what the engine's session on this database is doing; the session itself stays. Says which sessions those were.
SELECT pid
FROM pg_stat_activity
WHERE datname = current_database()
  AND application_name LIKE 'mantis-runbook/migrate %'
  AND pid <> pg_backend_pid()
  AND state = 'active'
  AND pg_cancel_backend(pid)
