-- check: durability
-- title: Settings under which a crash loses what was acknowledged
-- severity: fail
-- phases: all
-- expected: fsync, full_page_writes and synchronous_commit on, also for single roles and databases
-- action: switch them on (ALTER SYSTEM SET …, pg_reload_conf(); ALTER ROLE … RESET synchronous_commit): no promise of this runbook outlives a crash without them
-- reads: pg_settings, pg_db_role_setting
SELECT name AS object, 1::bigint AS found, format('%s = %s', name, setting) AS detail
FROM pg_settings
WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')
  AND setting = 'off'

UNION ALL

SELECT
    format('synchronous_commit of %s', coalesce('role ' || quote_ident(rolname), 'this database')),
    1,
    'synchronous_commit = off: this role''s writes may be lost'
FROM pg_db_role_setting
LEFT JOIN pg_roles ON pg_roles.oid = setrole
WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND EXISTS (SELECT FROM unnest(setconfig) AS one WHERE lower(one) ~ '^synchronous_commit=(off|false|no|0)$')

ORDER BY 1
