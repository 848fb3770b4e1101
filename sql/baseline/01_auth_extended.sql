-- Baseline 01, the other installation: auth.users_extended in place of auth.users.
-- requires: an empty database, a superuser
-- provides: auth.users_extended, auth.uid(), the roles anon, authenticated and service_role
-- Load this or 01_auth.sql, never both; every later file works on either.

CREATE SCHEMA auth;

COMMENT ON SCHEMA auth IS 'Users of an installation without Supabase.';

-- Roles belong to the whole cluster: another database may have made them before, or may be making them now.
DO $$
BEGIN
    IF to_regrole('anon') IS NULL THEN
        CREATE ROLE anon NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

DO $$
BEGIN
    IF to_regrole('authenticated') IS NULL THEN
        CREATE ROLE authenticated NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

DO $$
BEGIN
    IF to_regrole('service_role') IS NULL THEN
        CREATE ROLE service_role NOLOGIN BYPASSRLS;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

CREATE TABLE auth.users_extended (
    id      uuid  PRIMARY KEY DEFAULT gen_random_uuid(),
    email   text,
    org_id  uuid,
    role    text
);

COMMENT ON TABLE  auth.users_extended        IS 'The platform''s users; profile.id is the same id.';
COMMENT ON COLUMN auth.users_extended.email  IS 'Personal data: the address the user signs in with.';
COMMENT ON COLUMN auth.users_extended.org_id IS
    'The user''s organisation, guarded by no foreign key: this table is older than public.organization.';

CREATE FUNCTION auth.uid()
    RETURNS uuid
    LANGUAGE sql
    STABLE
    PARALLEL SAFE
AS $$
    SELECT NULLIF(current_setting('app.current_user_id', true), '')::uuid
$$;

COMMENT ON FUNCTION auth.uid() IS
    'The current user, from the setting app.current_user_id; NULL when it is unset or empty.';

GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role;
GRANT EXECUTE ON FUNCTION auth.uid() TO anon, authenticated, service_role;
GRANT SELECT ON auth.users_extended TO service_role;
