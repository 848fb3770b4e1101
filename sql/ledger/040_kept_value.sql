-- A column of an older table that is about to be dropped by a rollback cannot be sealed: the application goes on writing
-- that table. What it writes there after the salvage is kept here, and becomes part of the salvage once the column is gone.
-- Locks nothing that exists.
CREATE TABLE IF NOT EXISTS mantis_runbook.kept_value (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    schema_name text NOT NULL,
    table_name text NOT NULL,
    column_name text NOT NULL,
    key_columns text[] NOT NULL,
    key_values text[] NOT NULL,
    value text,
    kept_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE mantis_runbook.kept_value IS
    'Values written to a column while a rollback was about to drop it, as text; empty when no rollback runs, or is to be finished.';

-- Arguments of the trigger: schema, table, column, then the columns of the key. As its owner, since the application has
-- no rights here. A row without the column comes after the drop: nothing is left to keep.
CREATE OR REPLACE FUNCTION mantis_runbook.keep_value() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    keys text[] := TG_ARGV[3:];
    key_texts text;
    was text;
    written text;
    key_written text[];
BEGIN
    IF current_setting('mantis_runbook.rolling_back', true) = 'on' OR NOT to_jsonb(NEW) ? TG_ARGV[2] THEN
        RETURN NULL;
    END IF;
    SELECT string_agg(format('($1).%I::text', name), ', ' ORDER BY place)
    INTO key_texts
    FROM unnest(keys) WITH ORDINALITY AS key (name, place);
    EXECUTE format('SELECT ($1).%I::text, ARRAY[%s]', TG_ARGV[2], key_texts) INTO written, key_written USING NEW;
    IF TG_OP = 'UPDATE' THEN
        EXECUTE format('SELECT ($1).%I::text', TG_ARGV[2]) INTO was USING OLD;
        IF was IS NOT DISTINCT FROM written THEN
            RETURN NULL;
        END IF;
    ELSIF written IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO mantis_runbook.kept_value (schema_name, table_name, column_name, key_columns, key_values, value)
    VALUES (TG_ARGV[0], TG_ARGV[1], TG_ARGV[2], keys, key_written, written);
    RETURN NULL;
END;
$$;

COMMENT ON FUNCTION mantis_runbook.keep_value() IS
    'Trigger function: keeps what is written to a column that a rollback has salvaged and is about to drop.';
