-- check: session_settings
-- title: Settings under which a session of ours would read or write something else than is there
-- severity: fail
-- phases: all
-- expected: session_replication_role = origin, or a role that may set it; plpgsql.variable_conflict = error; zero_damaged_pages, ignore_checksum_failure and ignore_system_indexes off
-- action: RESET it for the database or the role (ALTER DATABASE or ALTER ROLE), or give the migrating role the right (GRANT SET ON PARAMETER, from 15 on). As replica, no trigger fires and no foreign key is checked; with zero_damaged_pages or ignore_checksum_failure a backup lacks what is damaged, without a word
-- reads: pg_settings
SELECT
    name AS object,
    1::bigint AS found,
    format('%s = %s, set by %s', name, setting, source) AS detail
FROM pg_settings
WHERE (name = 'session_replication_role' AND setting <> 'origin')
   OR (name = 'plpgsql.variable_conflict' AND setting <> 'error')
   OR (name IN ('zero_damaged_pages', 'ignore_checksum_failure', 'ignore_system_indexes') AND setting = 'on')
ORDER BY 1
