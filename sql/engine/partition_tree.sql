-- The named tables that are there, and all their partitions: a statement's trigger fires on the table it names alone.
SELECT DISTINCT nspname::text AS schema, relname::text AS name, relispartition AND relkind = 'r' AS is_partition
FROM unnest(%(tables)s::text[]) AS given (name)
CROSS JOIN LATERAL (
    SELECT to_regclass(given.name)::oid AS oid
    UNION
    SELECT relid FROM pg_partition_tree(to_regclass(given.name))
) AS tree
JOIN pg_class ON pg_class.oid = tree.oid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p')
ORDER BY 1, 2
