-- Functions, procedures and aggregates.
SELECT
    p.oid::regprocedure::text AS name,
    'owner ' || p.proowner::regrole || E'\n' || CASE
        WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid)
        ELSE concat_ws('; ',
            'aggregate (' || pg_get_function_arguments(p.oid) || ') returns ' || pg_get_function_result(p.oid),
            'transition ' || a.aggtransfn::regprocedure,
            'state ' || format_type(a.aggtranstype, NULL),
            'initially ' || a.agginitval,
            'final ' || nullif(a.aggfinalfn::oid, 0)::regprocedure,
            'combine ' || nullif(a.aggcombinefn::oid, 0)::regprocedure,
            'serial ' || nullif(a.aggserialfn::oid, 0)::regprocedure,
            'deserial ' || nullif(a.aggdeserialfn::oid, 0)::regprocedure,
            'moving ' || nullif(a.aggmtransfn::oid, 0)::regprocedure,
            'moving inverse ' || nullif(a.aggminvtransfn::oid, 0)::regprocedure,
            'moving state ' || format_type(nullif(a.aggmtranstype, 0), NULL),
            'moving initially ' || a.aggminitval,
            'moving final ' || nullif(a.aggmfinalfn::oid, 0)::regprocedure,
            CASE WHEN a.aggfinalextra THEN 'final extra' END,
            CASE WHEN a.aggmfinalextra THEN 'moving final extra' END,
            'final modifies ' || nullif(a.aggfinalmodify, 'r')::text,
            'moving final modifies ' || nullif(a.aggmfinalmodify, 'r')::text,
            'space ' || nullif(a.aggtransspace, 0),
            'moving space ' || nullif(a.aggmtransspace, 0),
            'sort operator ' || nullif(a.aggsortop, 0)::regoperator,
            'kind ' || a.aggkind::text,
            'parallel ' || p.proparallel::text
        )
    END AS definition
FROM pg_proc AS p
LEFT JOIN pg_aggregate AS a ON a.aggfnoid = p.oid
WHERE p.oid = ANY (%(functions)s::oid[])
