-- Tables, indexes and materialized views that lie in another tablespace than the database's.
SELECT
    c.oid::regclass::text AS name,
    'tablespace ' || quote_ident(s.spcname) AS definition
FROM pg_class AS c
JOIN pg_tablespace AS s ON s.oid = c.reltablespace
LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
WHERE coalesce(i.indrelid, c.oid) = ANY (%(relations)s::oid[])
