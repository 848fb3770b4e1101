-- How much of each table is dead or empty space, measured: pgstattuple_approx reads the pages that the visibility map does
-- not vouch for. ACCESS SHARE on one table at a time. Contents of TOAST are left out, partitioned tables hold nothing.
-- requires: the extension pgstattuple in the schema {schema}
SELECT
    relname::text AS table_name,
    pg_relation_size(pg_class.oid) AS bytes,
    CASE WHEN pg_relation_size(pg_class.oid) = 0 THEN 0 ELSE (
        SELECT (dead_tuple_percent + approx_free_percent) / 100 FROM {schema}.pgstattuple_approx(pg_class.oid)
    ) END AS bloat,
    CASE WHEN pg_relation_size(pg_class.oid) = 0 THEN 'empty' ELSE 'pgstattuple' END AS method
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm')
ORDER BY bloat DESC, bytes DESC, table_name
