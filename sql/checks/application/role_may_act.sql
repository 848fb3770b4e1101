-- check: role_may_act
-- title: Whom the migrating role may act as
-- severity: fail
-- phases: all
-- expected: a member, who may SET ROLE, of those of anon, authenticated and service_role that are here
-- action: GRANT authenticated (and the others named) TO this role: tenants and the application's contract are proven by acting as them
-- reads: catalogues
SELECT rolname::text AS object, 1::bigint AS found, 'this role may not SET ROLE to it' AS detail
FROM pg_roles
WHERE rolname IN ('anon', 'authenticated', 'service_role')
  AND NOT CASE
      WHEN current_setting('server_version_num')::integer >= 160000 THEN pg_has_role(oid, 'SET')
      ELSE pg_has_role(oid, 'MEMBER')
  END
ORDER BY rolname
