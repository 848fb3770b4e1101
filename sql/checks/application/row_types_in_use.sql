-- check: row_types_in_use
-- title: Columns that hold rows of a table which the migration changes
-- severity: warn
-- phases: 0,3,4
-- expected: no column of the row type (or an array of it) of a table that gains a column in phase 3, or of audit_log, which becomes a partitioned table in phase 4
-- action: decide before phase 3: such values gain a field, last, and their text a comma; whoever reads them by position must know. PostgreSQL refuses a default or another type for a column of a table while its row type is in use ("cannot alter table because column uses its row type"): a migration of your own that does so needs the column as jsonb (ALTER COLUMN … TYPE jsonb USING to_jsonb(…)), or dropped and made again around it
-- reads: catalogues
SELECT
    format('column %s.%s', c.oid::regclass, a.attname) AS object,
    1::bigint AS found,
    format('it holds rows of %s%s', source.oid::regclass, CASE WHEN t.typcategory = 'A' THEN ', an array' ELSE '' END) AS detail
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_'
JOIN pg_type AS t ON t.oid = a.atttypid
JOIN pg_type AS base ON base.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
JOIN pg_type AS row_type ON row_type.oid = CASE WHEN base.typcategory = 'A' THEN base.typelem ELSE base.oid END
JOIN pg_class AS source ON source.oid = row_type.typrelid
WHERE a.attnum > 0
  AND NOT a.attisdropped
  AND source.oid IN (
      to_regclass('public.customer'), to_regclass('public.inventory_item'), to_regclass('public.purchase_order'),
      to_regclass('public.purchase_order_item'), to_regclass('public.audit_log')
  )
ORDER BY 1
