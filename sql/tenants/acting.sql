-- How a test acts as a user: it sets what this installation's policies read. The runner learns that from the policies and
-- tells it in the setting mantis_runbook.acts_as, as JSON: setting -> text, in which {user}, {org}, {role} and
-- {database_role} stand for who acts. Without it the two usual settings are taken. By hand: psql -f sql/tenants/acting.sql -f sql/tests/unit_001_tenants.sql
-- Requires: TEMPORARY on the database. Locks nothing of anybody's.

-- step: somebody of an organisation, or nobody
CREATE OR REPLACE FUNCTION pg_temp.act_as(person uuid, organization uuid, database_role text DEFAULT 'authenticated')
    RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    told      jsonb := coalesce(
        nullif(current_setting('mantis_runbook.acts_as', true), '')::jsonb,
        '{"request.jwt.claim.sub": "{user}", "app.current_user_id": "{user}"}'
    );
    position  text;
    setting   text;
    template  text;
BEGIN
    RESET ROLE;  -- a user of the application may not be allowed to ask who somebody else is
    position := coalesce((SELECT role::text FROM public.profile WHERE id = person), '');
    FOR setting, template IN SELECT * FROM jsonb_each_text(told)
    LOOP
        PERFORM set_config(
            setting,
            CASE
                WHEN person IS NULL THEN ''
                ELSE replace(replace(replace(replace(template,
                    '{user}', person::text), '{org}', coalesce(organization::text, '')), '{role}', position), '{database_role}', database_role)
            END,
            true
        );
    END LOOP;
    IF database_role <> current_user THEN
        PERFORM set_config('row_security', 'on', true), set_config('role', database_role, true);
    END IF;
END
$$;

GRANT EXECUTE ON FUNCTION pg_temp.act_as(uuid, uuid, text) TO PUBLIC;
