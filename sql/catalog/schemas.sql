-- Schemas and their owners.
SELECT
    n.oid::regnamespace::text AS name,
    'owner ' || n.nspowner::regrole AS definition
FROM pg_namespace AS n
WHERE n.oid = ANY (%(schemas)s::oid[])
