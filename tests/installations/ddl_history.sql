-- variant: ddl_history
-- kind: event triggers that log DDL: their table grows because a migration runs
-- expect: passes

CREATE SCHEMA ops;
CREATE TABLE ops.ddl_history (
    id           bigint       GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    happened_at  timestamptz  DEFAULT clock_timestamp(),
    command      text,
    object       text
);

CREATE FUNCTION ops.log_ddl()
    RETURNS event_trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
AS $$
BEGIN
    INSERT INTO ops.ddl_history (command, object)
    SELECT command_tag, object_identity FROM pg_event_trigger_ddl_commands();
END
$$;

CREATE FUNCTION ops.log_drop()
    RETURNS event_trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
AS $$
BEGIN
    INSERT INTO ops.ddl_history (command, object)
    SELECT 'DROP', object_identity FROM pg_event_trigger_dropped_objects();
END
$$;

CREATE EVENT TRIGGER log_ddl ON ddl_command_end EXECUTE FUNCTION ops.log_ddl();
CREATE EVENT TRIGGER log_drop ON sql_drop EXECUTE FUNCTION ops.log_drop();
CREATE TABLE ops.first_logged (id integer);
