-- What a lane must know of a table: its name, the columns it has now, its key, a column that may be set, and whether a
-- statement-level trigger would fire on an UPDATE of no row. Reads catalogues only.
SELECT
    nspname AS schema,
    relname AS name,
    ARRAY(
        SELECT attname::text
        FROM pg_attribute
        WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
        ORDER BY attnum
    ) AS columns,
    ARRAY(
        SELECT attname::text
        FROM pg_index
        JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
        WHERE indrelid = pg_class.oid AND indisprimary
        ORDER BY attnum
    ) AS key,
    (
        SELECT attname::text
        FROM pg_attribute
        WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity <> 'a'
        ORDER BY attnum
        LIMIT 1
    ) AS settable,
    EXISTS (
        SELECT
        FROM pg_trigger
        WHERE tgrelid = pg_class.oid
          AND NOT tgisinternal
          AND tgtype & 1 = 0
          AND tgtype & 16 <> 0
    ) AS has_statement_trigger
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE pg_class.oid = %(table)s::regclass
