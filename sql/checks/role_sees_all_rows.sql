-- check: role_sees_all_rows
-- title: Tables of which the migrating role would see a part
-- severity: fail
-- phases: all
-- expected: row-level security not applied to this role on any table
-- action: run as a role with BYPASSRLS (ALTER ROLE … BYPASSRLS), or as the owner of tables without FORCE ROW LEVEL SECURITY: counts, backups and backfills would otherwise miss rows, or be refused
-- reads: catalogues
SELECT
    CASE WHEN nspname = 'public' THEN relname::text ELSE pg_class.oid::regclass::text END AS object,
    1::bigint AS found,
    CASE WHEN relforcerowsecurity THEN 'policies apply to this role, by FORCE ROW LEVEL SECURITY' ELSE 'policies apply to this role' END AS detail
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname !~ '^pg_'
  AND relkind IN ('r', 'p')
  AND relrowsecurity
  AND row_security_active(pg_class.oid)
ORDER BY nspname <> 'public', relname
