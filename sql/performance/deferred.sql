-- Constraints that are checked at COMMIT unless a transaction says otherwise.
-- reads: pg_constraint
SELECT DISTINCT format('%I.%I', nspname, conname) AS name
FROM pg_constraint
JOIN pg_namespace ON pg_namespace.oid = connamespace
WHERE condeferred
  AND nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY name
