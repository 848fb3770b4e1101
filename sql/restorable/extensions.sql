-- The extensions that this server offers, and the version that CREATE EXTENSION makes.
SELECT name::text, default_version AS version
FROM pg_available_extensions
