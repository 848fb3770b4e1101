-- variant: database_settings
-- kind: settings of the database and of a role in it that would change what our sessions read, write or wait for
-- expect: passes

DO $$
DECLARE
    name   text;
    value  text;
BEGIN
    FOR name, value IN VALUES
        ('client_encoding', 'LATIN1'), ('search_path', 'reporting, public'), ('statement_timeout', '1500ms'),
        ('lock_timeout', '3s'), ('idle_session_timeout', '700ms'), ('idle_in_transaction_session_timeout', '700ms'),
        ('DateStyle', 'German, DMY'), ('TimeZone', 'Africa/Johannesburg'), ('bytea_output', 'escape'),
        ('extra_float_digits', '-5'), ('quote_all_identifiers', 'on'), ('default_transaction_isolation', 'serializable'),
        ('check_function_bodies', 'off'), ('app.current_org_id', 'none'), ('work_mem', '1MB')
    LOOP
        EXECUTE format('ALTER DATABASE %I SET %s = %L', current_database(), name, value);
    END LOOP;
    EXECUTE format('ALTER DATABASE %I SET search_path = reporting, public', current_database());
    EXECUTE format('ALTER ROLE authenticated IN DATABASE %I SET statement_timeout = ''2s''', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO authenticated', current_database());
    EXECUTE format('COMMENT ON DATABASE %I IS ''production''', current_database());
END
$$;

CREATE SCHEMA reporting;
