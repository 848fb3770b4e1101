-- check: unvalidated_constraints
-- title: Constraints that were never validated
-- severity: warn, fail from 5
-- phases: all
-- before: warns
-- expected: every constraint proven for the rows that are there
-- action: correct the rows and run ALTER TABLE … VALIDATE CONSTRAINT …; notebooks/00_preparation.ipynb shows the broken foreign keys
-- reads: catalogues
SELECT
    format('%I on %I', conname, relname) AS object,
    1::bigint AS found,
    format('%s is not validated: rows from before it may break it', CASE contype WHEN 'f' THEN 'foreign key' WHEN 'n' THEN 'NOT NULL' ELSE 'check' END) AS detail
FROM pg_constraint
JOIN pg_class ON pg_class.oid = conrelid
WHERE relnamespace = 'public'::regnamespace
  AND conparentid = 0
  AND NOT convalidated
ORDER BY relname, conname
