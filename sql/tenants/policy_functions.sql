-- Bodies of the functions that a policy may call, directly or through another: those of users, whose language can be read.
-- A body is text to PostgreSQL, so what it calls is found by name. Locks nothing.
SELECT p.proname::text AS name, coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) AS text
FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_language AS l ON l.oid = p.prolang
WHERE n.nspname !~ '^pg_'
    AND n.nspname <> 'information_schema'
    AND l.lanname IN ('sql', 'plpgsql')
    AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
ORDER BY name, text
