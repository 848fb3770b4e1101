-- check: broken_foreign_keys
-- title: Rows that violate a foreign key
-- severity: fail
-- phases: all
-- expected: no row whose parent is missing, whatever the constraint claims
-- action: find out how the rows came in (triggers switched off, a restore, NOT VALID), then correct or remove them; until then no backup of this database restores
-- reads: every table with a foreign key, once a key
-- each: counts
-- A constraint believes itself: rows that came in while triggers slept stay unseen until a restore refuses them.
WITH link AS (
    SELECT
        con.conname,
        child.relname AS child,
        format('%s%I.%I', CASE child.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, child_schema.nspname, child.relname) AS child_table,
        format('%s%I.%I', CASE parent.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, parent_schema.nspname, parent.relname) AS parent_table,
        format('%I.%I', parent_schema.nspname, parent.relname) AS parent,
        con.confmatchtype,
        columns.given,
        columns.names,
        columns.partners
    FROM pg_constraint AS con
    JOIN pg_class AS child ON child.oid = con.conrelid
    JOIN pg_namespace AS child_schema ON child_schema.oid = child.relnamespace
    JOIN pg_class AS parent ON parent.oid = con.confrelid
    JOIN pg_namespace AS parent_schema ON parent_schema.oid = parent.relnamespace
    CROSS JOIN LATERAL (
        SELECT
            string_agg(format('c.%I IS NOT NULL', ca.attname), ' AND ' ORDER BY position) AS given,
            string_agg(format('c.%I', ca.attname), ', ' ORDER BY position) AS names,
            string_agg(
                format('p.%I OPERATOR(%I.%s) c.%I', pa.attname, operator_schema.nspname, oprname, ca.attname),
                ' AND ' ORDER BY position
            ) AS partners
        FROM unnest(con.conkey, con.confkey, con.conpfeqop) WITH ORDINALITY AS pair (child_key, parent_key, operator, position)
        JOIN pg_attribute AS ca ON ca.attrelid = con.conrelid AND ca.attnum = pair.child_key
        JOIN pg_attribute AS pa ON pa.attrelid = con.confrelid AND pa.attnum = pair.parent_key
        JOIN pg_operator AS op ON op.oid = pair.operator
        JOIN pg_namespace AS operator_schema ON operator_schema.oid = op.oprnamespace
    ) AS columns
    WHERE con.contype = 'f'
      AND con.conparentid = 0
      AND child.relnamespace = 'public'::regnamespace
      AND coalesce(to_jsonb(con) ->> 'conperiod', 'false') = 'false'
)
SELECT
    format('%I of %I', conname, child) AS object,
    format(
        'SELECT count(*), format(''%%s row(s) without their row in %%s'', count(*), %L)'
        ' FROM %s AS c WHERE (%s AND NOT EXISTS (SELECT FROM %s AS p WHERE %s))%s',
        parent,
        child_table,
        given,
        parent_table,
        partners,
        CASE confmatchtype WHEN 'f' THEN format(' OR (num_nonnulls(%s) > 0 AND NOT (%s))', names, given) ELSE '' END
    ) AS statement
FROM link
ORDER BY child, conname
