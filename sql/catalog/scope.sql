-- What a snapshot of the catalogue covers, as arrays of OIDs that the other queries of this folder take as parameters.
-- Left out: the server's own schemas, the schemas and relations named by the caller, and the members of extensions.
-- Requires: search_path = ''. Locks nothing.
WITH member AS (
    SELECT classid, objid
    FROM pg_depend
    WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
),
schema AS (
    SELECT oid
    FROM pg_namespace
    WHERE nspname !~ '^pg_'
      AND nspname <> 'information_schema'
      AND NOT nspname = ANY (%(without)s::text[])
      AND (%(schemas)s::text[] IS NULL OR nspname = ANY (%(schemas)s::text[]))
      AND (oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_namespace'::regclass))
),
ignored AS (
    SELECT oid
    FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND oid::regclass::text = ANY (%(ignore)s::text[])
),
relation AS (
    SELECT c.oid, c.relkind
    FROM pg_class AS c
    JOIN schema AS s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
      AND c.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass)
      AND c.oid NOT IN (SELECT oid FROM ignored)
      AND NOT EXISTS (
          SELECT FROM pg_depend AS d
          WHERE c.relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid
            AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjid IN (SELECT oid FROM ignored)
      )
),
function AS (
    SELECT p.oid
    FROM pg_proc AS p
    JOIN schema AS s ON s.oid = p.pronamespace
    WHERE NOT EXISTS (
        -- 'i': the constructors of a range type, which come and go with it
        SELECT FROM pg_depend AS d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i')
    )
),
type AS (
    SELECT t.oid
    FROM pg_type AS t
    JOIN schema AS s ON s.oid = t.typnamespace
    LEFT JOIN pg_class AS c ON c.oid = t.typrelid
    -- no arrays, no multiranges, no row types of tables: they come and go with what they belong to
    WHERE (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c') OR (t.typtype = 'b' AND t.typcategory <> 'A'))
      AND t.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_type'::regclass)
)
SELECT
    ARRAY(SELECT oid FROM schema) AS schemas,
    ARRAY(SELECT oid FROM relation WHERE relkind <> 'c') AS relations,
    ARRAY(SELECT oid FROM function) AS functions,
    ARRAY(SELECT oid FROM type) AS types
