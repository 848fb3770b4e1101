-- check: server_version
-- title: The server's version
-- severity: fail
-- phases: all
-- expected: PostgreSQL 14 or later
-- action: upgrade the server first; nothing here was tried on this version
-- reads: pg_settings
SELECT
    'server_version' AS object,
    current_setting('server_version_num')::bigint AS found,
    format('PostgreSQL %s', current_setting('server_version')) AS detail
WHERE current_setting('server_version_num')::integer < 140000
