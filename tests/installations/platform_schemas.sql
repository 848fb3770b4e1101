-- variant: platform_schemas
-- kind: the platform's other schemas, owned by roles of its own, and extensions in a schema of theirs
-- expect: passes

DO $$
DECLARE
    name  text;
BEGIN
    FOREACH name IN ARRAY ARRAY['supabase_auth_admin', 'supabase_storage_admin']
    LOOP
        IF to_regrole(name) IS NULL THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT CREATEROLE', name);
        END IF;
    END LOOP;
END
$$;

ALTER SCHEMA auth OWNER TO supabase_auth_admin;
ALTER TABLE auth.users OWNER TO supabase_auth_admin;
ALTER FUNCTION auth.uid() OWNER TO supabase_auth_admin;

CREATE SCHEMA extensions;
CREATE EXTENSION pg_trgm SCHEMA extensions;
CREATE EXTENSION hstore SCHEMA extensions;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA extensions;

CREATE SCHEMA storage AUTHORIZATION supabase_storage_admin;
CREATE TABLE storage.objects (
    id         uuid  PRIMARY KEY DEFAULT gen_random_uuid(),
    bucket_id  text,
    name       text,
    owner      uuid  REFERENCES auth.users
);
ALTER TABLE storage.objects OWNER TO supabase_storage_admin;
ALTER TABLE storage.objects ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_objects ON storage.objects TO authenticated USING (owner = auth.uid());
INSERT INTO storage.objects (bucket_id, name) SELECT 'avatars', n || '.png' FROM generate_series(1, 20) AS n;
