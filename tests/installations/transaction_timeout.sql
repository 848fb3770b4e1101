-- variant: transaction_timeout
-- kind: transaction_timeout set for the database: it ends dumps, restores and steps half way
-- versions: 17, 18
-- expect: passes

DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET transaction_timeout = ''900ms''', current_database());
END
$$;
