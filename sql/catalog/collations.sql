-- Collations of the users' schemas: provider, locale and rules. Not the version of the library, which belongs to the server.
-- Nor the encoding: one that was copied from "C" fits every encoding, and is written down and made again by its locale.
-- The columns differ between versions of PostgreSQL: a row is told as JSON, without what numbers it.
SELECT
    format('%%I.%%I', n.nspname, c.collname) AS name,
    (
        jsonb_strip_nulls(to_jsonb(c)) - ARRAY['oid', 'collname', 'collnamespace', 'collowner', 'collversion', 'collencoding']
        || jsonb_build_object('owner', c.collowner::regrole)
    )::text AS definition
FROM pg_collation AS c
JOIN pg_namespace AS n ON n.oid = c.collnamespace
WHERE c.collnamespace = ANY (%(schemas)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_collation'::regclass AND d.objid = c.oid AND d.deptype = 'e')
