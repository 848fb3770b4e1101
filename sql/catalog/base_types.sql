-- Base types: what types.sql does not tell of them, as their functions and their storage.
SELECT
    t.oid::regtype::text AS name,
    concat_ws('; ',
        'input ' || t.typinput::regprocedure,
        'output ' || t.typoutput::regprocedure,
        'receive ' || nullif(t.typreceive::oid, 0)::regprocedure,
        'send ' || nullif(t.typsend::oid, 0)::regprocedure,
        'modifier ' || nullif(t.typmodin::oid, 0)::regprocedure,
        'modifier out ' || nullif(t.typmodout::oid, 0)::regprocedure,
        'analyze ' || nullif(t.typanalyze::oid, 0)::regprocedure,
        format('length %%s, alignment %%s, storage %%s, category %%s, delimiter %%s', t.typlen, t.typalign, t.typstorage, t.typcategory, t.typdelim),
        CASE WHEN t.typbyval THEN 'by value' END,
        CASE WHEN t.typispreferred THEN 'preferred' END,
        CASE WHEN t.typcollation <> 0 THEN 'collatable' END,
        'default ' || t.typdefault
    ) AS definition
FROM pg_type AS t
WHERE t.oid = ANY (%(types)s::oid[]) AND t.typtype = 'b' AND t.typisdefined
