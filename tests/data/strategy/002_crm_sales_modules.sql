-- Migration: CRM and Sales Modules
-- Version: 002
-- Description: Implement CRM tables and sales management system

BEGIN;

INSERT INTO schema_migrations (version, description, status)
VALUES ('002', 'CRM and Sales Modules', 'running');

-- Customer contacts
CREATE TABLE customer_contact (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id uuid NOT NULL REFERENCES customer(id) ON DELETE CASCADE,
    first_name text NOT NULL,
    last_name text NOT NULL,
    title text,
    email text,
    phone text,
    mobile text,
    is_primary boolean DEFAULT false,
    is_active boolean DEFAULT true,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),

    CONSTRAINT contact_name_length CHECK (
        char_length(first_name) >= 1 AND char_length(first_name) <= 100 AND
        char_length(last_name) >= 1 AND char_length(last_name) <= 100
    ),
    CONSTRAINT contact_email_format CHECK (email IS NULL OR email ~ '^[^@\s]+@[^@\s]+\.[^@\s]+$')
);

-- Add RLS and indexes
ALTER TABLE customer_contact ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON customer_contact
    USING (
        (SELECT org_id FROM customer WHERE id = customer_contact.customer_id) =
        (SELECT org_id FROM profile WHERE id = auth.uid())
    );

-- Indexes
CREATE INDEX CONCURRENTLY idx_customer_contact_customer ON customer_contact(customer_id);
CREATE INDEX CONCURRENTLY idx_customer_contact_email ON customer_contact(email) WHERE email IS NOT NULL;
CREATE INDEX CONCURRENTLY idx_customer_contact_primary ON customer_contact(customer_id, is_primary) WHERE is_primary = true;

-- Continue with other CRM tables...

UPDATE schema_migrations
SET status = 'completed', applied_at = now()
WHERE version = '002';

COMMIT;
