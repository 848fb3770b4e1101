-- Event triggers: they belong to the database, not to a schema.
SELECT
    quote_ident(e.evtname) AS name,
    concat_ws('; ',
        'ON ' || e.evtevent || ' EXECUTE ' || e.evtfoid::regprocedure,
        'WHEN TAG IN (' || (SELECT string_agg(tag, ', ' ORDER BY tag) FROM unnest(e.evttags) AS tag) || ')',
        'owner ' || e.evtowner::regrole,
        CASE e.evtenabled WHEN 'D' THEN 'DISABLED' WHEN 'R' THEN 'ENABLED ON REPLICA' WHEN 'A' THEN 'ENABLED ALWAYS' END
    ) AS definition
FROM pg_event_trigger AS e
WHERE NOT EXISTS (
    SELECT FROM pg_depend AS d WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e'
)
