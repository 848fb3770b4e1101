-- Comments, on whatever they are.
WITH object AS (
    SELECT 'pg_namespace'::regclass AS class, unnest(%(schemas)s::oid[]) AS oid
    UNION ALL SELECT 'pg_class'::regclass, unnest(%(relations)s::oid[])
    UNION ALL SELECT 'pg_proc'::regclass, unnest(%(functions)s::oid[])
    UNION ALL SELECT 'pg_type'::regclass, unnest(%(types)s::oid[])
    UNION ALL SELECT 'pg_class'::regclass, indexrelid FROM pg_index WHERE indrelid = ANY (%(relations)s::oid[])
    UNION ALL SELECT 'pg_class'::regclass, typrelid FROM pg_type WHERE oid = ANY (%(types)s::oid[]) AND typtype = 'c'
    UNION ALL SELECT 'pg_constraint'::regclass, oid FROM pg_constraint WHERE conrelid = ANY (%(relations)s::oid[])
    UNION ALL SELECT 'pg_constraint'::regclass, oid FROM pg_constraint WHERE contypid = ANY (%(types)s::oid[])
    UNION ALL SELECT 'pg_trigger'::regclass, oid FROM pg_trigger WHERE tgrelid = ANY (%(relations)s::oid[])
    UNION ALL SELECT 'pg_policy'::regclass, oid FROM pg_policy WHERE polrelid = ANY (%(relations)s::oid[])
    UNION ALL SELECT 'pg_rewrite'::regclass, oid FROM pg_rewrite WHERE ev_class = ANY (%(relations)s::oid[])
    UNION ALL SELECT 'pg_statistic_ext'::regclass, oid FROM pg_statistic_ext WHERE stxrelid = ANY (%(relations)s::oid[])
    UNION ALL SELECT 'pg_event_trigger'::regclass, oid FROM pg_event_trigger
)
SELECT
    i.type || ' ' || i.identity AS name,
    d.description AS definition
FROM pg_description AS d
JOIN object AS o ON o.class = d.classoid AND o.oid = d.objoid
CROSS JOIN pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
