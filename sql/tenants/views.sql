-- Views and materialized views, and whether a row of theirs tells its organisation.
SELECT
    relname::text AS name,
    relkind = 'm' AS is_materialized,
    EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'org_id' AND NOT attisdropped) AS has_org,
    NOT relispopulated AS is_empty
FROM pg_class
WHERE relnamespace = 'public'::regnamespace
  AND relkind IN ('v', 'm')
  AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
ORDER BY relname
