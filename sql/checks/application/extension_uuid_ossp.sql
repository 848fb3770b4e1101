-- check: extension_uuid_ossp
-- title: The extension uuid-ossp
-- severity: warn
-- phases: 0,1
-- expected: offered by the server
-- action: none is needed: 01_core_enhancements.ipynb skips it, and nothing of the enhanced schema depends on it (gen_random_uuid() is built in)
-- reads: pg_available_extensions
SELECT 'uuid-ossp' AS object, 1::bigint AS found, 'not offered by this server' AS detail
WHERE NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'uuid-ossp')
