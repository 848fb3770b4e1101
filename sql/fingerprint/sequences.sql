-- Sequences of the user's schemas, except those named by the caller and the members of extensions.
-- Requires: search_path = ''. Locks nothing.
SELECT
    c.oid::regclass::text AS name,
    n.nspname AS schema,
    c.relname AS relation,
    s.seqincrement AS increment
FROM pg_class AS c
JOIN pg_sequence AS s ON s.seqrelid = c.oid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'S'
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT n.nspname = ANY (%(without)s::text[])
  AND NOT EXISTS (
      SELECT FROM pg_depend AS d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
  )
ORDER BY name
