-- Extended statistics objects.
SELECT
    quote_ident(n.nspname) || '.' || quote_ident(s.stxname) AS name,
    pg_get_statisticsobjdef(s.oid) || '; owner ' || s.stxowner::regrole AS definition
FROM pg_statistic_ext AS s
JOIN pg_namespace AS n ON n.oid = s.stxnamespace
WHERE s.stxrelid = ANY (%(relations)s::oid[])
