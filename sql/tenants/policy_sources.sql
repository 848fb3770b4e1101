-- What decides who sees which rows: the expressions of every policy, and the bodies of the functions that they call, and
-- that those call, three deep. One row a table and text; `called` is the function, NULL for the policy's own expression.
-- Functions within functions are found by their names: a body is text to PostgreSQL. Locks nothing.
WITH RECURSIVE policy AS (
    SELECT
        oid,
        polrelid,
        concat_ws(' ', pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) AS text
    FROM pg_policy
),
function AS (
    SELECT p.oid, p.proname, p.oid::regprocedure::text AS name, coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) AS text
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_language AS l ON l.oid = p.prolang
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND l.lanname IN ('sql', 'plpgsql')
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
),
called (polrelid, function, name, text, depth) AS (
    SELECT DISTINCT policy.polrelid, function.oid, function.name, function.text, 1
    FROM policy
    JOIN function ON policy.text ~ ('\m' || regexp_replace(function.proname, '\W', '.', 'g') || '\M"?\s*\(')
    UNION
    SELECT called.polrelid, function.oid, function.name, function.text, called.depth + 1
    FROM called
    JOIN function ON called.text ~ ('\m' || regexp_replace(function.proname, '\W', '.', 'g') || '\M"?\s*\(')
    WHERE called.depth < 3 AND function.oid <> called.function
)
SELECT pg_class.relname::text AS table_name, pg_namespace.nspname::text AS schema_name, source.called, source.text
FROM (
    SELECT polrelid, NULL AS called, text FROM policy
    UNION
    SELECT polrelid, name, text FROM called
) AS source
JOIN pg_class ON pg_class.oid = source.polrelid
JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
ORDER BY table_name, called NULLS FIRST, source.text
