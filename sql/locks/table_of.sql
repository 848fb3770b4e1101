-- The table that a name stands for: itself, or the one an index of that name belongs to.
SELECT coalesce(indrelid, named.oid)::bigint AS oid
FROM (SELECT to_regclass(%(name)s)::oid AS oid) AS named
LEFT JOIN pg_index ON indexrelid = named.oid
WHERE named.oid IS NOT NULL
