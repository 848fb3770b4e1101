-- check: broken_objects
-- title: Views and SQL functions that no longer work
-- severity: warn, fail from 5
-- phases: all
-- before: warns
-- expected: every view can be planned, every SQL function's body fits the tables of today
-- action: repair it, or drop it if nobody uses it: pg_dump writes it as it is, and the restore that proves a backup would stop there
-- reads: catalogues; views are planned, not executed; PL/pgSQL is not looked into, since its bodies are only read when they run
-- each: must run
SELECT format('view %I', relname) AS object, format('EXPLAIN SELECT * FROM public.%I', relname) AS statement
FROM pg_class
WHERE relnamespace = 'public'::regnamespace
  AND relkind IN ('v', 'm')

UNION ALL

SELECT format('function %s', oid::regprocedure), format('SELECT fmgr_sql_validator(%s)', oid)
FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
  AND prolang = (SELECT oid FROM pg_language WHERE lanname = 'sql')
  AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e')

ORDER BY 1
