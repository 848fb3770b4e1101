-- The role that migrates: owner of the application's objects, no superuser.
-- requires: psql, a superuser, the application's database; with PostgreSQL 14 phase 3 needs a superuser all the same
-- locks: ACCESS EXCLUSIVE on each table that changes its owner, for a moment, all in one transaction; it gives up after
--        half a second of waiting and has then changed nothing: run it again
--
--     psql --dbname=mantis_db --set=role=mantis_migrator --file=sql/roles/migration_role.sql
--
-- It may be run again, and on the server for scratch databases too: there it makes the role and what it is a member of.
-- The role comes without a password: give it one (\password), or a line in pg_hba.conf.
-- What it gets, and which part of the runbook needs it:
--     ownership of what superusers own here     ALTER TABLE, CREATE INDEX, triggers, policies, foreign keys; dump and restore
--     membership in other owners of objects     the same, for what supabase_auth_admin and its like own
--     membership in anon, authenticated ...       tenants and the application's contract are proven by acting as them
--     CREATEDB                                  backups are proven on a scratch database
--     pg_read_all_data                          pg_dump reads every table of every schema
--     pg_monitor                                monitor, guard and prechecks see other roles' sessions and statements
--     SET on session_replication_role           phase 3 fills currencies without the application's triggers; proofs restore data alone
--     SET on deadlock_timeout                   autovacuum gives way to a step within 20 ms
--     CREATE on the database and on public      extensions, the schema mantis_runbook, new tables
--     BYPASSRLS, where a table FORCEs RLS       an owner would see a part of such a table, and back up that part; a server for
--                                               scratch databases has no such table yet: add --set=bypass_rls=true there

\if :{?role}
\else
    \set role mantis_migrator
\endif
\if :{?bypass_rls}
\else
    \set bypass_rls false
\endif
\set ON_ERROR_STOP on

BEGIN;
SET LOCAL lock_timeout = '500ms';
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL client_min_messages = warning;
SELECT set_config('mantis.role', :'role', true) AS role, set_config('mantis.bypass_rls', :'bypass_rls', true) AS bypass_rls \gset given_

-- Owners of what is neither the system's nor an extension's, by the classes of what a dump holds with an owner.
CREATE TEMPORARY VIEW owned AS
SELECT kind, identity, owner, rolsuper AS by_superuser
FROM (
    SELECT 'pg_namespace'::regclass::oid AS classid, oid AS objid, nspowner AS owner FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL
    SELECT 'pg_class'::regclass, oid, relowner FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relpersistence <> 't'
    UNION ALL
    SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc
    UNION ALL
    SELECT 'pg_type'::regclass, t.oid, typowner
    FROM pg_type AS t
    LEFT JOIN pg_class AS c ON c.oid = typrelid
    WHERE typtype IN ('e', 'd', 'r') OR c.relkind = 'c'
    UNION ALL
    SELECT 'pg_operator'::regclass, oid, oprowner FROM pg_operator
    UNION ALL
    SELECT 'pg_opclass'::regclass, oid, opcowner FROM pg_opclass
    UNION ALL
    SELECT 'pg_opfamily'::regclass, oid, opfowner FROM pg_opfamily
    UNION ALL
    SELECT 'pg_collation'::regclass, oid, collowner FROM pg_collation
    UNION ALL
    SELECT 'pg_conversion'::regclass, oid, conowner FROM pg_conversion
    UNION ALL
    SELECT 'pg_ts_config'::regclass, oid, cfgowner FROM pg_ts_config
    UNION ALL
    SELECT 'pg_ts_dict'::regclass, oid, dictowner FROM pg_ts_dict
    UNION ALL
    SELECT 'pg_statistic_ext'::regclass, oid, stxowner FROM pg_statistic_ext
    UNION ALL
    SELECT 'pg_foreign_server'::regclass, oid, srvowner FROM pg_foreign_server
    UNION ALL
    SELECT 'pg_publication'::regclass, oid, pubowner FROM pg_publication WHERE NOT puballtables
    UNION ALL
    SELECT 'pg_largeobject'::regclass, oid, lomowner FROM pg_largeobject_metadata
) AS object
CROSS JOIN LATERAL (
    SELECT CASE type WHEN 'statistics object' THEN 'statistics' WHEN 'composite type' THEN 'type' ELSE type END AS kind, identity
    FROM pg_identify_object(classid, objid, 0)
) AS called
JOIN pg_roles ON pg_roles.oid = owner
WHERE objid >= 16384        -- below are the system's own
  AND NOT EXISTS (
      -- a member of an extension; a sequence, or a view's rule, that goes where its table goes
      SELECT FROM pg_depend
      WHERE pg_depend.classid = object.classid AND pg_depend.objid = object.objid AND objsubid = 0 AND deptype IN ('e', 'a', 'i')
        AND (deptype = 'e' OR object.classid = 'pg_class'::regclass)
        AND NOT (deptype = 'a' AND EXISTS (SELECT FROM pg_inherits WHERE inhrelid = object.objid))
  );

DO $$
DECLARE
    name      text  := current_setting('mantis.role');
    version   integer := current_setting('server_version_num');
    inherits  text  := CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN ' WITH INHERIT TRUE, SET TRUE' ELSE '' END;
    acts      text  := CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END;
    object    record;
    other     text;
BEGIN
    IF to_regrole(quote_ident(name)) IS NULL THEN
        EXECUTE format('CREATE ROLE %I LOGIN', name);
    END IF;
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = name) THEN
        RAISE EXCEPTION 'role % is a superuser: it needs nothing of this', name;
    END IF;
    EXECUTE format('ALTER ROLE %I CREATEDB', name);

    FOR object IN SELECT * FROM owned WHERE by_superuser
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO %I', object.kind, object.identity, name);
    END LOOP;

    FOR other IN SELECT DISTINCT owner::regrole::text FROM owned WHERE owner <> to_regrole(quote_ident(name))
    LOOP
        EXECUTE format('GRANT %s TO %I%s', other, name, inherits);
    END LOOP;

    FOREACH other IN ARRAY ARRAY['anon', 'authenticated', 'service_role']
    LOOP
        IF to_regrole(other) IS NOT NULL THEN
            EXECUTE format('GRANT %I TO %I%s', other, name, acts);
        END IF;
    END LOOP;

    EXECUTE format('GRANT pg_monitor, pg_read_all_data TO %I', name);
    EXECUTE format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO %I', current_database(), name);
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA public TO %I', name);

    IF version >= 150000 THEN
        EXECUTE format('GRANT SET ON PARAMETER session_replication_role, deadlock_timeout TO %I', name);
    END IF;

    IF current_setting('mantis.bypass_rls')::boolean OR EXISTS (SELECT FROM pg_class WHERE relforcerowsecurity) THEN
        EXECUTE format('ALTER ROLE %I BYPASSRLS', name);
    END IF;
END
$$;

DROP VIEW owned;
COMMIT;
