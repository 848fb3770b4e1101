-- Rewrite rules, except the one that makes a view a view.
SELECT
    r.ev_class::regclass || '.' || quote_ident(r.rulename) AS name,
    concat_ws('; ',
        pg_get_ruledef(r.oid),
        CASE r.ev_enabled WHEN 'D' THEN 'DISABLED' WHEN 'R' THEN 'ENABLED ON REPLICA' WHEN 'A' THEN 'ENABLED ALWAYS' END
    ) AS definition
FROM pg_rewrite AS r
WHERE r.ev_class = ANY (%(relations)s::oid[]) AND r.rulename <> '_RETURN'
