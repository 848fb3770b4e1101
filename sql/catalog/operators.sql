-- Operators of the users' schemas.
SELECT
    o.oid::regoperator::text AS name,
    concat_ws('; ',
        'returns ' || format_type(o.oprresult, NULL) || ' by ' || nullif(o.oprcode::oid, 0)::regprocedure,
        'commutator ' || nullif(o.oprcom, 0)::regoperator,
        'negator ' || nullif(o.oprnegate, 0)::regoperator,
        'restrict ' || nullif(o.oprrest::oid, 0)::regprocedure,
        'join ' || nullif(o.oprjoin::oid, 0)::regprocedure,
        CASE WHEN o.oprcanhash THEN 'hashes' END,
        CASE WHEN o.oprcanmerge THEN 'merges' END,
        'owner ' || o.oprowner::regrole
    ) AS definition
FROM pg_operator AS o
WHERE o.oprnamespace = ANY (%(schemas)s::oid[])
  AND o.oprcode <> 0  -- a shell, made by naming it as another's commutator
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_operator'::regclass AND d.objid = o.oid AND d.deptype = 'e')
