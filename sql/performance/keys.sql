-- The index of each of these tables' primary key, where it has one.
-- reads: pg_class, pg_index, pg_namespace
SELECT format('%%I.%%I', nspname, heap.relname) AS name, quote_ident(key.relname) AS key
FROM pg_index
JOIN pg_class AS heap ON heap.oid = indrelid
JOIN pg_class AS key ON key.oid = indexrelid
JOIN pg_namespace ON pg_namespace.oid = heap.relnamespace
WHERE indisprimary
  AND format('%%I.%%I', nspname, heap.relname) = ANY (%(tables)s::text[])
