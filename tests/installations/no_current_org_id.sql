-- variant: no_current_org_id
-- kind: policies without a function of their own: each looks the user's organisation up in profile
-- expect: passes

CREATE FUNCTION auth.org_of_user()
    RETURNS uuid
    LANGUAGE sql
    STABLE
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
    SELECT org_id FROM profile WHERE id = auth.uid()
$$;

GRANT EXECUTE ON FUNCTION auth.org_of_user() TO PUBLIC;

DO $$
DECLARE
    policy  record;
BEGIN
    FOR policy IN SELECT * FROM pg_policies WHERE schemaname = 'public'
    LOOP
        EXECUTE format(
            'ALTER POLICY %I ON %I USING (%s) WITH CHECK (%s)',
            policy.policyname,
            policy.tablename,
            regexp_replace(policy.qual, 'SELECT current_org_id\(\) AS current_org_id', 'SELECT auth.org_of_user()', 'g'),
            regexp_replace(policy.with_check, 'SELECT current_org_id\(\) AS current_org_id', 'SELECT auth.org_of_user()', 'g')
        );
    END LOOP;
END
$$;

DROP FUNCTION current_org_id();
