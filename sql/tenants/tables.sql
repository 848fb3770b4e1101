-- Tenant tables: what belongs to an organisation (it carries org_id, or refers to such a table, however far), and whatever
-- else has row-level security. Partitions are reached through their table.
-- owner_column tells the organisation of a row; where there is none, home is a column that refers to a tenant table, and
-- decides it. is_split: changing or deleting have policies of their own, which may differ from those for reading; defaulted
-- is a column that can be changed without a value.
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
    WHERE contype = 'f' AND relnamespace = 'public'::regnamespace AND NOT relispartition
)
SELECT
    relname::text AS name,
    pg_class.oid IN (SELECT oid FROM tenant) AS is_tenant,
    CASE WHEN relname = 'organization' THEN 'id' WHEN 'org_id' = ANY (named.columns) THEN 'org_id' END AS owner_column,
    'org_id' = ANY (named.nullable) AS may_be_nobodys,
    home.attname AS home,
    home.parent,
    'id' = ANY (named.columns) AS has_id,
    named.settable,
    EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid AND polcmd IN ('w', 'd')) AS is_split,
    named.defaulted[1] AS defaulted,
    coalesce(has_any_column_privilege(to_regrole('authenticated')::oid, pg_class.oid, 'SELECT'), false) AS may_select,
    coalesce(has_table_privilege(to_regrole('authenticated')::oid, pg_class.oid, 'INSERT'), false) AS may_insert
FROM pg_class
CROSS JOIN LATERAL (
    SELECT
        array_agg(attname::text) AS columns,
        array_agg(attname::text) FILTER (WHERE NOT attnotnull) AS nullable,
        array_agg(attname::text ORDER BY attnum) FILTER (WHERE attgenerated = '') AS settable,
        array_agg(attname::text ORDER BY attname <> 'updated_at', attnum DESC)
            FILTER (WHERE atthasdef AND attgenerated = '' AND attname NOT IN ('id', 'org_id')) AS defaulted
    FROM pg_attribute
    WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
) AS named
LEFT JOIN LATERAL (
    SELECT attname::text, (SELECT relname::text FROM pg_class AS referred WHERE referred.oid = confrelid) AS parent
    FROM pg_constraint
    JOIN tenant ON tenant.oid = confrelid
    JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
    WHERE conrelid = pg_class.oid AND contype = 'f' AND cardinality(conkey) = 1 AND attnotnull AND confrelid <> conrelid
    ORDER BY confrelid = to_regclass('public.profile'), attnum
    LIMIT 1
) AS home ON true
WHERE relnamespace = 'public'::regnamespace
    AND relkind IN ('r', 'p')
    AND NOT relispartition
    AND (relrowsecurity OR pg_class.oid IN (SELECT oid FROM tenant))
ORDER BY relname
