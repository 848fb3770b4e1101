-- How many sessions are executing something in this database at this moment, ours apart. Without the rights to see what
-- others do it is none.
SELECT count(*)::integer AS active
FROM pg_stat_activity
WHERE datname = current_database()
    AND state = 'active'
    AND backend_type = 'client backend'
    AND pid <> pg_backend_pid()
    AND application_name NOT LIKE 'mantis-runbook/%'
