-- Tables that were not there before a migration, with the columns a COPY can bring back; partitions of a new table count with it.
SELECT
    nspname::text AS schema,
    relname::text AS name,
    (
        SELECT array_agg(attname::text ORDER BY attnum)
        FROM pg_attribute
        WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    ) AS columns,
    (
        SELECT array_agg(attname::text ORDER BY attnum)
        FROM pg_index
        JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
        WHERE indrelid = pg_class.oid AND indisprimary
    ) AS key
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p')
    AND nspname <> 'mantis_runbook'
    AND nspname !~ '^pg_'
    AND nspname <> 'information_schema'
    AND format('%%I.%%I', nspname, relname) <> ALL (%(before)s::text[] || %(spared)s::text[])
    AND format('%%I.%%I', nspname, relname) <> ALL (ARRAY['public.schema_migrations', 'public.migration_backups'])
    AND NOT EXISTS (
        SELECT 1
        FROM pg_partition_ancestors(pg_class.oid) AS ancestor (relid)
        JOIN pg_class AS parent ON parent.oid = ancestor.relid AND parent.oid <> pg_class.oid
        JOIN pg_namespace AS home ON home.oid = parent.relnamespace
        WHERE format('%%I.%%I', home.nspname, parent.relname) <> ALL (%(before)s::text[] || %(spared)s::text[])
    )
    -- A table that was there before as one, and is partitioned now, becomes one again: its rows stay.
    AND NOT EXISTS (
        SELECT 1
        FROM pg_partition_ancestors(pg_class.oid) AS ancestor (relid)
        JOIN pg_class AS parent ON parent.oid = ancestor.relid AND parent.oid <> pg_class.oid
        JOIN pg_namespace AS home ON home.oid = parent.relnamespace
        WHERE format('%%I.%%I', home.nspname, parent.relname) = ANY (%(whole)s::text[])
    )
ORDER BY pg_class.oid
