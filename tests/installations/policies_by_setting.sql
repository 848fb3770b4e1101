-- variant: policies_by_setting
-- kind: policies that ask current_setting('app.current_org_id', true) and nothing else
-- expect: passes

DO $$
DECLARE
    policy   record;
    asked    text := $q$(NULLIF(current_setting('app.current_org_id', true), ''))::uuid$q$;
    reading  text;
    writing  text;
BEGIN
    FOR policy IN SELECT * FROM pg_policies WHERE schemaname = 'public'
    LOOP
        reading := regexp_replace(policy.qual, '\( SELECT current_org_id\(\) AS current_org_id\)', asked, 'g');
        writing := regexp_replace(policy.with_check, '\( SELECT current_org_id\(\) AS current_org_id\)', asked, 'g');
        reading := replace(reading, '(id = auth.uid()) OR ', '');
        EXECUTE format(
            'ALTER POLICY %I ON %I USING (%s) WITH CHECK (%s)', policy.policyname, policy.tablename, reading, writing
        );
    END LOOP;
END
$$;
