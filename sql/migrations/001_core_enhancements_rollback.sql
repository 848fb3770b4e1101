-- Migration 001: Core enhancements, rolled back
-- phase: 1
--
-- What it is: takes back what 001 made, newest first. Extensions stay (other objects may use them by now).
--
-- What it locks: dropping a foreign key takes ACCESS EXCLUSIVE on the table it points to, so that profile and
-- organization each have a step of their own, of milliseconds; the tables dropped afterwards point nowhere.
--
-- What an operator must know: rows of oauth_provider, api_key, user_session and user_2fa go with their tables, and
-- users signed in by them are signed out; they are salvaged before. Rows of audit_log stay. No CASCADE stands here: while a
-- column, policy or trigger of a later migration uses a type or function of 001, its DROP is refused and names it.

-- step: keys, sessions and factors no longer point to users
ALTER TABLE user_2fa DROP CONSTRAINT user_2fa_user_id_fkey;
ALTER TABLE user_session DROP CONSTRAINT user_session_user_id_fkey;
ALTER TABLE api_key DROP CONSTRAINT api_key_user_id_fkey;

-- step: keys no longer point to organisations
ALTER TABLE api_key DROP CONSTRAINT api_key_org_id_fkey;

-- step: tables of authentication
DROP TABLE user_2fa;
DROP TABLE user_session;
DROP TABLE api_key;
DROP TABLE oauth_provider;

-- step: functions
DROP FUNCTION record_audit();

DO $$
BEGIN
    IF to_regprocedure('record_audit_of_baseline()') IS NOT NULL THEN
        ALTER FUNCTION record_audit_of_baseline() RENAME TO record_audit;
    END IF;
END
$$;

DROP FUNCTION touch_updated_at();
DROP FUNCTION tenant_org_id();
DROP FUNCTION tenant_user_id();

-- step: enums of the enhanced schema
DROP TYPE template_type;
DROP TYPE tax_type;
DROP TYPE sales_order_status;
DROP TYPE qc_status;
DROP TYPE payment_status;
DROP TYPE payment_method;
DROP TYPE opportunity_stage;
DROP TYPE lead_status;
DROP TYPE invoice_status;
DROP TYPE document_type;
DROP TYPE currency_code;
DROP TYPE api_scope;
DROP TYPE activity_type;
DROP TYPE access_level;
