-- check: tenant_tables_without_rls
-- title: Tenant tables without row-level security
-- severity: warn, fail from 1
-- phases: all
-- before: warns
-- expected: row-level security on, and a policy, on every table that belongs to an organisation
-- action: ALTER TABLE … ENABLE ROW LEVEL SECURITY and a policy with USING and WITH CHECK, as 07_policies.sql of the baseline has them; until then one tenant may read another's rows
-- reads: catalogues
-- What belongs to an organisation: what carries org_id, and what refers to such a table, however far.
WITH RECURSIVE tenant AS (
    SELECT oid
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
      AND relkind IN ('r', 'p')
      AND NOT relispartition
      AND (
          relname = 'organization'
          OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'org_id' AND NOT attisdropped)
      )
    UNION
    SELECT conrelid
    FROM pg_constraint
    JOIN tenant ON tenant.oid = confrelid
    JOIN pg_class ON pg_class.oid = conrelid
    WHERE contype = 'f'
      AND relnamespace = 'public'::regnamespace
      AND NOT relispartition
)
SELECT
    relname::text AS object,
    1::bigint AS found,
    CASE
        WHEN NOT relrowsecurity THEN 'row-level security is off'
        ELSE 'row-level security is on, and no policy lets anybody in'
    END AS detail
FROM tenant
JOIN pg_class USING (oid)
WHERE NOT relrowsecurity
   OR NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid)
ORDER BY relname
