-- variant: policies_by_either
-- kind: policies that ask a setting beside the user: whoever sets one of the two is let in
-- shape: extended, forced
-- expect: passes

DO $$
DECLARE
    policy  record;
    either  text := $q$COALESCE((NULLIF(current_setting('app.current_org_id', true), ''))::uuid, (SELECT current_org_id()))$q$;
BEGIN
    FOR policy IN SELECT * FROM pg_policies WHERE schemaname = 'public'
    LOOP
        EXECUTE format(
            'ALTER POLICY %I ON %I USING (%s) WITH CHECK (%s)',
            policy.policyname,
            policy.tablename,
            regexp_replace(policy.qual, '\( SELECT current_org_id\(\) AS current_org_id\)', either, 'g'),
            regexp_replace(policy.with_check, '\( SELECT current_org_id\(\) AS current_org_id\)', either, 'g')
        );
    END LOOP;
END
$$;
