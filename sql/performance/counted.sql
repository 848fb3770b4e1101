-- Carries out one statement inside another, so that the outer one's EXPLAIN counts all of it: EXPLAIN of the statement
-- itself leaves out what its AFTER triggers do.
-- Made in pg_temp, inside a transaction that is rolled back. With keep, the first row stays in a setting, as JSON.
CREATE FUNCTION pg_temp.counted(statement text, keep boolean)
    RETURNS void
    LANGUAGE plpgsql
    VOLATILE
AS $$
DECLARE
    first_row  record;
BEGIN
    IF keep THEN
        EXECUTE statement INTO first_row;
        PERFORM set_config('mantis_runbook.row', to_jsonb(first_row)::text, true);
    ELSE
        EXECUTE statement;
    END IF;
END
$$
