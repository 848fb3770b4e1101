-- What a table has of its own beside what it inherits, and the composite types that tables are of.
SELECT
    c.oid::regclass::text AS name,
    'of type ' || c.reloftype::regtype AS definition
FROM pg_class AS c
WHERE c.oid = ANY (%(relations)s::oid[]) AND c.reloftype <> 0
UNION ALL
SELECT
    'column ' || a.attrelid::regclass || '.' || quote_ident(a.attname),
    CASE WHEN a.attislocal THEN 'inherited and its own' ELSE 'inherited' END
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
WHERE a.attrelid = ANY (%(relations)s::oid[])
  AND c.relkind IN ('r', 'f')
  AND NOT c.relispartition
  AND a.attinhcount > 0
  AND NOT a.attisdropped
UNION ALL
SELECT
    'constraint ' || k.conrelid::regclass || '.' || quote_ident(k.conname),
    CASE WHEN k.conislocal THEN 'inherited and its own' ELSE 'inherited' END
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
WHERE k.conrelid = ANY (%(relations)s::oid[])
  AND c.relkind IN ('r', 'f')
  AND NOT c.relispartition
  AND k.contype = 'c'
  AND k.coninhcount > 0
