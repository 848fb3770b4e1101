-- Functions by name: the application's own (not the server's, no extension's, none of the runbook), and those of server and
-- extensions that may do more than read (end sessions, take locks, write elsewhere), but for what only draws a value.
-- reads: pg_depend, pg_namespace, pg_proc
WITH known AS (
    SELECT proname AS name,
           nspname,
           provolatile,
           nspname = 'pg_catalog' OR EXISTS (
               SELECT FROM pg_depend
               WHERE classid = 'pg_proc'::regclass
                 AND objid = pg_proc.oid
                 AND deptype = 'e'
           ) AS is_given
    FROM pg_proc
    JOIN pg_namespace ON pg_namespace.oid = pronamespace
    WHERE nspname NOT IN ('information_schema', 'mantis_runbook')
)
SELECT DISTINCT name, NOT is_given AS is_own
FROM known
WHERE NOT is_given
   OR provolatile = 'v'
      AND name !~ '^(random|clock_timestamp|timeofday|gen_random_uuid|uuidv[47]|uuid_generate_v.*|nextval|currval|lastval)$'
