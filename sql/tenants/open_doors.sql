-- Ways around row-level security: relations that tenants may read and that know no policies, or run with their owner's eyes.
-- A view with its owner's rights that is a security barrier was made for it: what it shows is tried instead.
SELECT
    relname::text AS name,
    CASE
        WHEN relkind = 'm' THEN 'a materialized view knows no policies'
        WHEN relkind = 'v' THEN 'a view that reads with its owner''s rights'
        ELSE 'a partition without row-level security'
    END AS why
FROM pg_class
WHERE relnamespace = 'public'::regnamespace
    AND (
        relkind = 'm'
        OR (relkind = 'r' AND relispartition AND NOT relrowsecurity)
        OR (
            relkind = 'v'
            AND NOT coalesce(reloptions && '{security_invoker=true,security_invoker=on,security_invoker=1,security_invoker=yes}', false)
            AND NOT coalesce(reloptions && '{security_barrier=true,security_barrier=on,security_barrier=1,security_barrier=yes}', false)
        )
    )
    AND (coalesce(has_any_column_privilege(to_regrole('authenticated')::oid, oid, 'SELECT'), false) OR coalesce(has_any_column_privilege(to_regrole('anon')::oid, oid, 'SELECT'), false))
    AND pg_get_userbyid(relowner) <> 'authenticated'
    AND NOT EXISTS (
        SELECT FROM pg_depend JOIN pg_extension ON pg_extension.oid = refobjid
        WHERE pg_depend.objid = pg_class.oid AND pg_depend.deptype = 'e'
    )
ORDER BY relname
