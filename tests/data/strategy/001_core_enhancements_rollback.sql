-- Rollback: Core Enhancements
BEGIN;

-- Update migration status
UPDATE schema_migrations
SET status = 'rolled_back'
WHERE version = '001';

-- Drop tables (in reverse order)
DROP TABLE IF EXISTS oauth_provider;

-- Drop enums (check dependencies first)
DROP TYPE IF EXISTS currency_code CASCADE;
DROP TYPE IF EXISTS payment_status CASCADE;

-- Note: Extensions are not dropped to avoid affecting other objects

COMMIT;
