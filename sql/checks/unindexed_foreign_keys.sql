-- check: unindexed_foreign_keys
-- title: Foreign keys without an index
-- severity: warn, fail from 5
-- phases: all
-- before: warns
-- expected: an index that begins with the key's columns, so that deleting a parent does not read the whole child
-- action: phase 4 (04_advanced_features.ipynb) builds them concurrently; until then deletes of parents are slow and hold locks for longer
-- reads: catalogues
SELECT
    format('%I.%s', relname, string_agg(quote_ident(attname), ', ' ORDER BY position)) AS object,
    1::bigint AS found,
    format('%s to %s has no index', conname, confrelid::regclass) AS detail
FROM pg_constraint AS con
JOIN pg_class ON pg_class.oid = conrelid
CROSS JOIN unnest(conkey) WITH ORDINALITY AS key_column (attnum, position)
JOIN pg_attribute ON attrelid = conrelid AND pg_attribute.attnum = key_column.attnum
WHERE contype = 'f'
  AND conparentid = 0
  AND relnamespace = 'public'::regnamespace
  AND pg_has_role(relowner, 'USAGE')
  -- A partitioned table has one when each of its partitions has.
  AND EXISTS (
      SELECT
      FROM (
          SELECT conrelid AS relation WHERE relkind <> 'p'
          UNION ALL
          SELECT relid FROM pg_partition_tree(conrelid) WHERE relkind = 'p' AND isleaf
      ) AS part
      WHERE NOT EXISTS (
          SELECT
          FROM pg_index
          CROSS JOIN LATERAL (
              SELECT array_agg(attname) AS begins_with
              FROM unnest((string_to_array(indkey::text, ' ')::smallint[])[1:cardinality(conkey)]) AS place (attnum)
              JOIN pg_attribute ON attrelid = indrelid AND pg_attribute.attnum = place.attnum
          ) AS named
          WHERE indrelid = relation
            AND indisvalid
            AND indnkeyatts >= cardinality(conkey)
            AND begins_with @> (SELECT array_agg(attname) FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey))
            AND (
                indpred IS NULL
                OR pg_get_expr(indpred, indrelid) = (
                    SELECT format('(%I IS NOT NULL)', attname) FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1]
                )
            )
      )
  )
GROUP BY con.oid, relname, conname, confrelid
ORDER BY 1
