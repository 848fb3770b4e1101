-- The columns of one table, in their order. Locks nothing.
SELECT attname::text AS name
FROM pg_attribute
WHERE attrelid = format('%%I.%%I', %s::text, %s::text)::regclass AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
