-- Baseline 01: a stand-in for Supabase's schema auth, for plain PostgreSQL.
-- requires: an empty database, a superuser
-- provides: auth.users, auth.uid(), the roles anon, authenticated and service_role
-- The other installation in the wild is 01_auth_extended.sql; load one of the two, never both.

CREATE SCHEMA auth;

COMMENT ON SCHEMA auth IS 'Stand-in for the platform''s authentication schema.';

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

CREATE TABLE auth.users (
    id          uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    email       text,
    created_at  timestamptz  DEFAULT now()
);

COMMENT ON TABLE  auth.users       IS 'The platform''s users; profile.id is the same id.';
COMMENT ON COLUMN auth.users.email IS 'Personal data: the address the user signs in with.';

CREATE FUNCTION auth.uid()
    RETURNS uuid
    LANGUAGE sql
    STABLE
    PARALLEL SAFE
AS $$
    SELECT NULLIF(current_setting('request.jwt.claim.sub', true), '')::uuid
$$;

COMMENT ON FUNCTION auth.uid() IS
    'The current user, from the setting request.jwt.claim.sub; NULL when it is unset or empty.';

GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role;
GRANT EXECUTE ON FUNCTION auth.uid() TO anon, authenticated, service_role;
GRANT SELECT ON auth.users TO service_role;
