-- Columns added to tables that were there before a migration, with what finds their rows again: the primary key if it is
-- as old, else all older columns.
SELECT
    nspname::text AS schema,
    relname::text AS name,
    attname::text AS column,
    coalesce(
        (
            SELECT array_agg(key.attname::text ORDER BY key.attnum)
            FROM pg_index
            JOIN pg_attribute AS key ON key.attrelid = indrelid AND key.attnum = ANY (indkey)
            WHERE indrelid = pg_class.oid AND indisprimary
            HAVING bool_and(format('%%I.%%I.%%I', nspname, relname, key.attname) = ANY (%(columns)s::text[]))
        ),
        (
            SELECT array_agg(older.attname::text ORDER BY older.attnum)
            FROM pg_attribute AS older
            WHERE older.attrelid = pg_class.oid
                AND older.attnum > 0
                AND NOT older.attisdropped
                AND format('%%I.%%I.%%I', nspname, relname, older.attname) = ANY (%(columns)s::text[])
        ),
        '{}'
    ) AS key
FROM pg_attribute
JOIN pg_class ON pg_class.oid = attrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p')
    AND NOT relispartition
    AND attnum > 0
    AND NOT attisdropped
    AND attgenerated = ''
    AND format('%%I.%%I', nspname, relname) = ANY (%(before)s::text[])
    AND format('%%I.%%I.%%I', nspname, relname, attname) <> ALL (%(columns)s::text[] || %(spared)s::text[])
ORDER BY pg_class.oid, attnum
