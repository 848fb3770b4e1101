-- variant: replica_sessions
-- kind: session_replication_role = replica for the database: triggers and foreign keys sleep in every session
-- expect: passes or refused
-- names: session_replication_role
-- reason: the application's own rules are off; whoever did that must say whether it is meant

DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET session_replication_role = ''replica''', current_database());
END
$$;
