-- Constraints of tables, except NOT NULL (see columns.sql) and constraint triggers (see triggers.sql).
-- pg_get_constraintdef tells DEFERRABLE, NOT VALID and NOT ENFORCED. Left out: the rows by which a foreign key reaches
-- the single partitions of the table it points to; PostgreSQL makes, names and numbers them itself.
SELECT
    k.conrelid::regclass || '.' || quote_ident(k.conname) AS name,
    concat_ws(' ',
        pg_get_constraintdef(k.oid),
        CASE WHEN off.triggers > 0 THEN '-- its triggers are disabled' END
    ) AS definition
FROM pg_constraint AS k
LEFT JOIN pg_constraint AS parent ON parent.oid = k.conparentid
LEFT JOIN (
    SELECT tgconstraint, count(*) AS triggers
    FROM pg_trigger
    WHERE tgisinternal AND tgenabled <> 'O' AND tgconstraint <> 0
    GROUP BY tgconstraint
) AS off ON off.tgconstraint = k.oid
WHERE k.conrelid = ANY (%(relations)s::oid[])
  AND k.contype IN ('c', 'f', 'p', 'u', 'x')
  AND parent.conrelid IS DISTINCT FROM k.conrelid
