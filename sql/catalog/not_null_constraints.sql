-- Names of NOT NULL constraints (from PostgreSQL 18 on) that are not the ones PostgreSQL gives, and their comments.
SELECT
    k.conrelid::regclass || '.' || quote_ident(a.attname) AS name,
    'NOT NULL named ' || quote_ident(k.conname) AS definition
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
WHERE k.contype = 'n'
  AND k.conrelid = ANY (%(relations)s::oid[])
  AND NOT c.relispartition
  AND k.conname <> c.relname || '_' || a.attname || '_not_null'
