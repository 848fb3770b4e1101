-- check: role_sees_statistics
-- title: What the migrating role may watch
-- severity: warn
-- phases: 0
-- expected: the rights of pg_read_all_stats
-- action: GRANT pg_read_all_stats (or pg_monitor) TO this role: without it monitor, guard and prechecks do not see what other roles' sessions do
-- reads: catalogues
SELECT format('role %I', current_user) AS object, 1::bigint AS found, 'does not have pg_read_all_stats' AS detail
WHERE NOT pg_has_role('pg_read_all_stats', 'USAGE')
