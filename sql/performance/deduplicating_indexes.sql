-- B-tree indexes of the given tables that merge equal keys when a page is full.
-- reads: pg_index, pg_class, pg_am
SELECT namespace.nspname AS schema, relation.relname AS name
FROM pg_index AS entry
JOIN pg_class AS relation ON relation.oid = entry.indexrelid
JOIN pg_namespace AS namespace ON namespace.oid = relation.relnamespace
JOIN pg_am AS method ON method.oid = relation.relam
WHERE entry.indrelid = ANY (%(tables)s::oid[])
  AND method.amname = 'btree'
  AND relation.relkind = 'i'
ORDER BY schema, name
