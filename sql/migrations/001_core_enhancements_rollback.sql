-- Migration 001: Core enhancements, rolled back
-- phase: 1
--
-- What it is: takes back what 001 made, newest first. Extensions stay (other objects may use them by now).
--
-- What it locks: dropping a foreign key takes ACCESS EXCLUSIVE on the table it points to, so that profile and
-- organization each have a step of their own, of milliseconds; the tables dropped afterwards point nowhere.
-- A comment that is taken back takes SHARE UPDATE EXCLUSIVE on its table, which neither a reader nor a writer notices.
--
-- It may follow a migration that was cut off after any of its steps: what is not there is passed over.
--
-- What an operator must know: rows of oauth_provider, api_key, user_session and user_2fa go with their tables, and
-- users signed in by them are signed out; they are salvaged before. Rows of audit_log stay. No CASCADE stands here: while a
-- column, policy or trigger of a later migration uses a type or function of 001, its DROP is refused and names it.

-- step: keys, sessions and factors no longer point to users
ALTER TABLE IF EXISTS user_2fa DROP CONSTRAINT IF EXISTS user_2fa_user_id_fkey;
ALTER TABLE IF EXISTS user_session DROP CONSTRAINT IF EXISTS user_session_user_id_fkey;
ALTER TABLE IF EXISTS api_key DROP CONSTRAINT IF EXISTS api_key_user_id_fkey;

-- step: keys no longer point to organisations
ALTER TABLE IF EXISTS api_key DROP CONSTRAINT IF EXISTS api_key_org_id_fkey;

-- step: personal data of the application's tables
-- The marks that 001 made, by their words; what somebody wrote since in their place stays.
DO $$
DECLARE
    mark  record;
BEGIN
    FOR mark IN
        SELECT attrelid::regclass AS name, attname AS col
        FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace
          AND relkind IN ('r', 'p', 'f')
          AND attnum > 0
          AND NOT attisdropped
          AND col_description(attrelid, attnum)
              ~ '^(personal data: (identity|contact|location|credential|behaviour|free text)|not personal): marked by migration 001\.$'
        ORDER BY attrelid::regclass::text, attnum
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS NULL', mark.name, mark.col);
    END LOOP;
END
$$;

-- step: tables of authentication
DROP TABLE IF EXISTS user_2fa;
DROP TABLE IF EXISTS user_session;
DROP TABLE IF EXISTS api_key;
DROP TABLE IF EXISTS oauth_provider;

-- step: functions
-- touch_updated_at() came in the same step of 001: without it, a record_audit() that is there is the baseline's own.
DO $$
BEGIN
    IF to_regprocedure('touch_updated_at()') IS NOT NULL THEN
        DROP FUNCTION record_audit();
    END IF;

    IF to_regprocedure('record_audit_of_baseline()') IS NOT NULL THEN
        ALTER FUNCTION record_audit_of_baseline() RENAME TO record_audit;
    END IF;
END
$$;

DROP FUNCTION IF EXISTS touch_updated_at();
DROP FUNCTION IF EXISTS tenant_org_id();
DROP FUNCTION IF EXISTS tenant_user_id();

-- step: enums of the enhanced schema
DROP TYPE IF EXISTS template_type;
DROP TYPE IF EXISTS tax_type;
DROP TYPE IF EXISTS sales_order_status;
DROP TYPE IF EXISTS qc_status;
DROP TYPE IF EXISTS payment_status;
DROP TYPE IF EXISTS payment_method;
DROP TYPE IF EXISTS opportunity_stage;
DROP TYPE IF EXISTS lead_status;
DROP TYPE IF EXISTS invoice_status;
DROP TYPE IF EXISTS document_type;
DROP TYPE IF EXISTS currency_code;
DROP TYPE IF EXISTS api_scope;
DROP TYPE IF EXISTS activity_type;
DROP TYPE IF EXISTS access_level;
