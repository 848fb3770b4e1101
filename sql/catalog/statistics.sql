-- Extended statistics objects.
SELECT
    quote_ident(n.nspname) || '.' || quote_ident(s.stxname) AS name,
    pg_get_statisticsobjdef(s.oid) || '; owner ' || s.stxowner::regrole
        || CASE WHEN s.stxstattarget >= 0 THEN '; target ' || s.stxstattarget ELSE '' END AS definition
FROM pg_statistic_ext AS s
JOIN pg_namespace AS n ON n.oid = s.stxnamespace
WHERE s.stxrelid = ANY (%(relations)s::oid[])
