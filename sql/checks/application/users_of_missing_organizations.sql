-- check: users_of_missing_organizations
-- title: Users whose organisation does not exist, or is not their profile's
-- severity: warn
-- phases: 0,1
-- expected: auth.users_extended.org_id names an organisation, the same as profile.org_id; nothing to look at where the platform has no such table
-- action: set auth.users_extended.org_id to the profile's organisation; row-level security goes by the profile
-- reads: auth.users_extended once, where there is one
-- each: counts
SELECT
    'auth.users_extended.org_id' AS object,
    'SELECT count(*), format(''%s user(s)'', count(*)) FROM auth.users_extended AS u'
    ' LEFT JOIN public.profile AS p ON p.id = u.id'
    ' WHERE u.org_id IS NOT NULL'
    ' AND (NOT EXISTS (SELECT FROM public.organization AS o WHERE o.id = u.org_id) OR p.org_id <> u.org_id)' AS statement
WHERE to_regclass('auth.users_extended') IS NOT NULL
