-- The columns of these tables, their types, and their place in the primary key (NULL where they are none of it).
-- `name` is the table as it was asked for.
-- reads: pg_attribute, pg_index
SELECT asked.name, attname AS "column", atttypid::regtype::text AS type, array_position(indkey::smallint[], attnum) AS place
FROM unnest(%(tables)s::text[]) AS asked (name)
JOIN pg_attribute ON attrelid = to_regclass(asked.name)
LEFT JOIN pg_index ON indrelid = attrelid AND indisprimary
WHERE attnum > 0
  AND NOT attisdropped
ORDER BY asked.name, attnum
