-- A table that is about to be dropped by a rollback takes no more rows: what was salvaged from it stays complete.
-- The rollback itself may write there.
CREATE OR REPLACE FUNCTION mantis_runbook.refuse_write() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('mantis_runbook.rolling_back', true) = 'on' THEN
        RETURN coalesce(NEW, OLD);
    END IF;
    RAISE EXCEPTION 'table %.% is being rolled back and takes no more writes', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING
            ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'If no rollback is running, any run of mantis-runbook on this database takes the seal off.';
END;
$$;

COMMENT ON FUNCTION mantis_runbook.refuse_write() IS 'Trigger function: seals a table while a rollback salvages and drops it.';
