-- Tables whose content is hashed: ordinary ones and the roots of partitioned ones, with their columns in order.
-- Left out: partitions (their root stands for them, so that a table can be partitioned anew and still be compared),
-- foreign tables, materialized views, temporary tables, and the members of extensions, but for the rows of those that
-- their extension has dumped (pg_extension_config_dump): `condition` is what it says of them.
-- Requires: search_path = ''. Locks nothing.
SELECT
    c.oid::regclass::text AS name,
    n.nspname AS schema,
    c.relname AS relation,
    c.relkind = 'p' AS partitioned,
    columns.names AS columns,
    dumped.condition
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}') AS names
    FROM pg_attribute AS a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
) AS columns
LEFT JOIN LATERAL (
    SELECT e.extcondition[array_position(e.extconfig, c.oid)] AS condition
    FROM pg_extension AS e
    WHERE c.oid = ANY (e.extconfig)
) AS dumped ON true
WHERE c.relkind IN ('r', 'p')
  AND NOT c.relispartition
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT n.nspname = ANY (%(without)s::text[])
  AND NOT c.oid::regclass::text = ANY (%(ignore)s::text[])
  AND (dumped.condition IS NOT NULL OR NOT EXISTS (
      SELECT FROM pg_depend AS d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
  ))
-- The largest first: workers that take tables off this list end at about the same time.
ORDER BY (
    SELECT sum(pg_relation_size(leaf.oid))
    FROM (SELECT c.oid UNION SELECT relid FROM pg_partition_tree(c.oid)) AS leaf (oid)
) DESC, name
