-- Settings of this database, and of roles in it: role (empty for the database itself), name, value.
SELECT
    coalesce(rolname::text, '')                       AS role,
    split_part(entry, '=', 1)                         AS name,
    substr(entry, position('=' IN entry) + 1)         AS value
FROM pg_db_role_setting
CROSS JOIN unnest(setconfig) AS entry
LEFT JOIN pg_roles ON pg_roles.oid = setrole
WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (setrole = 0 OR rolname IS NOT NULL)
