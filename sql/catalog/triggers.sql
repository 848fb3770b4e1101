-- Triggers, also those that a partition has from its parent (each can be disabled on its own); not those of constraints.
SELECT
    t.tgrelid::regclass || '.' || quote_ident(t.tgname) AS name,
    concat_ws('; ',
        pg_get_triggerdef(t.oid),
        CASE t.tgenabled WHEN 'D' THEN 'DISABLED' WHEN 'R' THEN 'ENABLED ON REPLICA' WHEN 'A' THEN 'ENABLED ALWAYS' END
    ) AS definition
FROM pg_trigger AS t
WHERE t.tgrelid = ANY (%(relations)s::oid[]) AND NOT t.tgisinternal
