DO $guard$
BEGIN
    IF (SELECT current_database() <> {database} OR system_identifier::text <> {system} FROM pg_control_system()) THEN
        RAISE EXCEPTION 'this is database % of another place than the one meant, %; nothing was done', current_database(), {database}
            USING HINT = {hint};
    END IF;
END
$guard$;
