-- Migration: Core Enhancements
-- Version: 001
-- Description: Add essential enums, extensions, and core authentication enhancements

BEGIN;

-- Track migration start
INSERT INTO schema_migrations (version, description, status)
VALUES ('001', 'Core Enhancements - Enums and Authentication', 'running');

-- 1. Enable extensions (idempotent)
CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
CREATE EXTENSION IF NOT EXISTS "hstore";
CREATE EXTENSION IF NOT EXISTS "ltree";
CREATE EXTENSION IF NOT EXISTS "pg_trgm";
CREATE EXTENSION IF NOT EXISTS "btree_gin";
CREATE EXTENSION IF NOT EXISTS "btree_gist";

-- 2. Add new enums
DO $$
BEGIN
    -- Currency codes
    IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'currency_code') THEN
        CREATE TYPE currency_code AS ENUM (
            'USD', 'EUR', 'GBP', 'JPY', 'CAD', 'AUD', 'CHF', 'CNY', 'INR', 'BRL'
        );
    END IF;

    -- Payment status
    IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'payment_status') THEN
        CREATE TYPE payment_status AS ENUM (
            'pending', 'processing', 'completed', 'failed', 'cancelled', 'refunded', 'disputed'
        );
    END IF;

    -- Add other enums...
END $$;

-- 3. Authentication enhancements
CREATE TABLE IF NOT EXISTS oauth_provider (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    client_id text NOT NULL,
    client_secret_encrypted text NOT NULL,
    authorization_url text NOT NULL,
    token_url text NOT NULL,
    user_info_url text NOT NULL,
    scope text DEFAULT 'email profile',
    is_active boolean DEFAULT true,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),

    CONSTRAINT oauth_provider_name_length CHECK (char_length(name) >= 2 AND char_length(name) <= 50),
    CONSTRAINT oauth_provider_urls_format CHECK (
        authorization_url ~ '^https://.*' AND
        token_url ~ '^https://.*' AND
        user_info_url ~ '^https://.*'
    )
);

-- Enable RLS
ALTER TABLE oauth_provider ENABLE ROW LEVEL SECURITY;

-- Add indexes
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_oauth_provider_name ON oauth_provider(name);
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_oauth_provider_active ON oauth_provider(is_active) WHERE is_active = true;

-- Update migration status
UPDATE schema_migrations
SET status = 'completed', applied_at = now()
WHERE version = '001';

COMMIT;
