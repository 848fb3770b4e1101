-- The columns of one table that a row of it must have or may have: type and its kind, whether it can be left out, the one
-- table of `public` that it refers to, and for an enum its first label.
SELECT
    a.attname::text AS name,
    format_type(a.atttypid, a.atttypmod) AS type,
    CASE WHEN t.typtype = 'e' THEN 'E' ELSE t.typcategory::text END AS kind,
    t.typname::text AS type_name,
    a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS is_needed,
    CASE WHEN t.typtype = 'e' THEN (SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder LIMIT 1) END
        AS label,
    (
        SELECT referred.relname::text
        FROM pg_constraint
        JOIN pg_class AS referred ON referred.oid = confrelid
        WHERE conrelid = a.attrelid AND contype = 'f' AND conkey = ARRAY[a.attnum]
        LIMIT 1
    ) AS parent
FROM pg_attribute AS a
JOIN pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'
ORDER BY a.attnum
