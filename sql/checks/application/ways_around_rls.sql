-- check: ways_around_rls
-- title: Ways around row-level security
-- severity: warn
-- phases: all
-- expected: no partition, view or materialized view that users may read and that shows them everybody's rows
-- action: REVOKE ALL ON … FROM anon, authenticated; partitions are reached through their table, views with security_invoker, or as a security barrier over org_id = (SELECT tenant_org_id())
-- reads: catalogues
SELECT
    relname::text AS object,
    count(*) AS found,
    format(
        '%s may read this %s, which no policy guards',
        string_agg(reader.name, ', ' ORDER BY reader.name),
        CASE relkind WHEN 'v' THEN 'view with its owner''s rights' WHEN 'm' THEN 'materialized view' ELSE 'partition' END
    ) AS detail
FROM pg_class
CROSS JOIN LATERAL (
    SELECT DISTINCT coalesce(rolname, 'PUBLIC') AS name
    FROM aclexplode(relacl)
    LEFT JOIN pg_roles ON pg_roles.oid = grantee
    WHERE privilege_type = 'SELECT'
      AND (grantee = 0 OR rolname IN ('anon', 'authenticated'))
) AS reader
WHERE relnamespace = 'public'::regnamespace
  AND (
      (relispartition AND relkind IN ('r', 'p') AND NOT relrowsecurity)
      OR relkind = 'm'
      OR (
          relkind = 'v'
          AND NOT coalesce(reloptions && '{security_invoker=true,security_invoker=on,security_invoker=1,security_invoker=yes}', false)
          -- A barrier over the own organisation, as the views of analytics are, is a guard of its own.
          AND NOT (coalesce(reloptions @> '{security_barrier=true}', false) AND pg_get_viewdef(pg_class.oid) ~ 'org_id = \( SELECT tenant_org_id\(\)')
      )
  )
  AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
GROUP BY relname, relkind
ORDER BY relname
