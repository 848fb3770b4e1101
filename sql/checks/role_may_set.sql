-- check: role_may_set
-- title: Settings that the migrating role may change for its own sessions
-- severity: fail
-- phases: all
-- expected: a superuser, or SET granted on session_replication_role (PostgreSQL 15 and newer)
-- action: GRANT SET ON PARAMETER session_replication_role TO this role: phase 3 fills the currencies without firing the application's triggers; on PostgreSQL 14 only a superuser may
-- reads: catalogues
-- each: counts
SELECT
    'session_replication_role' AS object,
    CASE
        WHEN current_setting('server_version_num')::integer >= 150000
            THEN $$SELECT (NOT has_parameter_privilege('session_replication_role', 'SET'))::integer::bigint, 'this role may not SET it'$$
        ELSE $$SELECT (current_setting('is_superuser') <> 'on')::integer::bigint, 'only a superuser may SET it on this version'$$
    END AS statement
