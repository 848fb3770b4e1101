-- check: settings_of_the_database
-- title: Settings of the database or of roles that sessions of the application have and ours do not
-- severity: warn
-- phases: 0
-- expected: no session_replication_role = replica, no session that begins as another role, statistics of activity collected
-- action: see whether each is meant. As replica, the application's sessions fire no trigger and check no foreign key, and what they write may break what the migration validates; ours work as origin
-- reads: pg_db_role_setting, pg_settings
SELECT
    concat_ws(
        ' in ',
        coalesce('role ' || quote_ident(rolname), CASE WHEN setdatabase = 0 THEN 'every role' END),
        CASE WHEN setdatabase <> 0 THEN 'this database' END
    ) AS object,
    1::bigint AS found,
    entry AS detail
FROM pg_db_role_setting
LEFT JOIN pg_roles ON pg_roles.oid = setrole
CROSS JOIN unnest(setconfig) AS entry
WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND (
      entry = 'session_replication_role=replica'
      OR (split_part(entry, '=', 1) = 'role' AND coalesce(rolname, session_user) = session_user)
  )

UNION ALL
SELECT name, 1, format('%s = off: who works on what, and what was deleted, cannot be told', name)
FROM pg_settings
WHERE name IN ('track_activities', 'track_counts') AND setting = 'off'

ORDER BY 1, 3
