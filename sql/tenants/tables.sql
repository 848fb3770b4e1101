-- Tenant tables: all with row-level security but partitions, whether they have an org_id, and a key to tell rows apart.
SELECT
    relname::text AS name,
    EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'org_id' AND NOT attisdropped) AS has_org,
    EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'id' AND NOT attisdropped) AS has_id,
    has_table_privilege('authenticated', pg_class.oid, 'SELECT') AS may_select,
    has_table_privilege('authenticated', pg_class.oid, 'UPDATE') AS may_update,
    has_table_privilege('authenticated', pg_class.oid, 'DELETE') AS may_delete
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relrowsecurity AND NOT relispartition
ORDER BY relname
