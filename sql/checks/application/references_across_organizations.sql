-- check: references_across_organizations
-- title: Rows that refer to another organisation's row
-- severity: warn
-- phases: 0,5
-- expected: whatever a row refers to belongs to its own organisation
-- action: decide with the owner of the data whose the row is, and correct org_id or the reference; row-level security shows such a row only in part
-- reads: every pair of tables that both carry org_id and are joined by a foreign key
-- each: counts
SELECT
    format('%I.%I', child.relname, child_column.attname) AS object,
    format(
        'SELECT count(*), format(''%%s row(s) refer to a %s of another organisation'', count(*))'
        ' FROM %I.%I AS c JOIN %I.%I AS p ON p.%I = c.%I WHERE p.org_id <> c.org_id',
        parent.relname,
        child_schema.nspname,
        child.relname,
        parent_schema.nspname,
        parent.relname,
        parent_column.attname,
        child_column.attname
    ) AS statement
FROM pg_constraint AS con
JOIN pg_class AS child ON child.oid = con.conrelid
JOIN pg_namespace AS child_schema ON child_schema.oid = child.relnamespace
JOIN pg_class AS parent ON parent.oid = con.confrelid
JOIN pg_namespace AS parent_schema ON parent_schema.oid = parent.relnamespace
JOIN pg_attribute AS child_column ON child_column.attrelid = con.conrelid AND child_column.attnum = con.conkey[1]
JOIN pg_attribute AS parent_column ON parent_column.attrelid = con.confrelid AND parent_column.attnum = con.confkey[1]
WHERE con.contype = 'f'
  AND con.conparentid = 0
  AND cardinality(con.conkey) = 1
  AND child.relnamespace = 'public'::regnamespace
  AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = con.conrelid AND attname = 'org_id' AND NOT attisdropped)
  AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = con.confrelid AND attname = 'org_id' AND NOT attisdropped)
ORDER BY child.relname, child_column.attname
