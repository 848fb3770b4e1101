-- variant: users_extended
-- kind: tenants resolved through auth.users_extended, whose column org_id says where a user belongs
-- shape: extended
-- expect: passes

UPDATE auth.users_extended AS u
SET org_id = p.org_id
FROM profile AS p
WHERE p.id = u.id;

CREATE OR REPLACE FUNCTION current_org_id()
    RETURNS uuid
    LANGUAGE sql
    STABLE
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
    SELECT org_id FROM auth.users_extended WHERE id = auth.uid()
$$;
