-- variant: read_only
-- kind: a database that is read-only by its settings
-- expect: refused
-- names: read
-- reason: somebody has closed this database for writing, and a migration writes

DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
END
$$;
