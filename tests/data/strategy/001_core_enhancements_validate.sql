-- Validate migration success
SELECT
    version,
    description,
    status,
    applied_at
FROM schema_migrations
WHERE version = '001';

-- Validate table creation
SELECT table_name, table_type
FROM information_schema.tables
WHERE table_schema = 'public'
AND table_name = 'oauth_provider';

-- Validate enum creation
SELECT typname, typcategory
FROM pg_type
WHERE typname IN ('currency_code', 'payment_status');
