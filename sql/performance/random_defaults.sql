-- Columns whose default draws a random uuid, of the given tables and of the partitioned tables above them.
-- reads: pg_attrdef, pg_attribute, pg_class
SELECT DISTINCT namespace.nspname AS schema, relation.relname AS "table", attribute.attname AS "column"
FROM unnest(%(tables)s::bigint[]) AS written (oid)
CROSS JOIN LATERAL (
    SELECT written.oid::oid AS relid
    UNION
    SELECT relid::oid FROM pg_partition_ancestors(written.oid::oid::regclass) AS above (relid)
) AS family
JOIN pg_class AS relation ON relation.oid = family.relid
JOIN pg_namespace AS namespace ON namespace.oid = relation.relnamespace
JOIN pg_attrdef AS fallback ON fallback.adrelid = relation.oid
JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid AND attribute.attnum = fallback.adnum
WHERE attribute.atttypid = 'uuid'::regtype
  AND NOT attribute.attisdropped
  AND pg_get_expr(fallback.adbin, fallback.adrelid) ~ '(gen_random_uuid|uuid_generate_v[14]|uuidv[47])\('
ORDER BY schema, "table", "column"
