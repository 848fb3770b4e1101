-- Databases whose names begin as the runbook's scratch databases do. The size of one that we may not enter is not told.
SELECT
    datname::text AS name,
    CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) END AS bytes,
    shobj_description(oid, 'pg_database') AS mark,
    (SELECT count(*) FROM pg_stat_activity WHERE datid = pg_database.oid) AS sessions
FROM pg_database
WHERE starts_with(datname::text, %s)
ORDER BY name
