-- Migration 001: Core enhancements
-- phase: 1
--
-- What it is: extensions, the 14 enums of the enhanced schema, the functions every later table leans on (who is asking,
-- updated_at, audit), and the tables of authentication: oauth_provider, api_key, user_session, user_2fa.
--
-- What it locks: no statement reads or rewrites a row of an existing table. Two steps take SHARE ROW EXCLUSIVE, on
-- organization and on profile, for the moment it takes to hang a foreign key of an empty table on them: reading goes on,
-- a write to the two waits for milliseconds. VALIDATE takes ROW SHARE there and scans only our new, empty tables.
-- A comment takes SHARE UPDATE EXCLUSIVE, which neither a reader nor a writer notices, for milliseconds, on those of the
-- application's tables whose columns have none.
-- CREATE EXTENSION, CREATE TYPE and CREATE FUNCTION touch catalogues alone. Nothing here takes longer than a second.
--
-- What an operator must know:
-- - all extensions here are trusted: CREATE on the database suffices, no superuser is needed;
--   "uuid-ossp" is created only where the server offers it, for nothing of ours depends on it;
-- - enums: a label that was added cannot be taken out again, and rolling back drops the types only while no column uses
--   them (later phases first); extensions stay when this migration is rolled back;
-- - the new tables are closed to anon, and to PUBLIC; default privileges that say otherwise are revoked here;
-- - client_secret_encrypted of oauth_provider is readable by service_role alone: `SELECT *` as authenticated is refused
--   there, and the application names its columns;
-- - a record_audit() that is already there, as in the baseline, becomes record_audit_of_baseline(); the triggers of
--   existing tables go on calling it, and a rollback gives the name back;
-- - record_audit() refuses to run when a column it is to redact is gone: whoever renames a secret column renames it in
--   the trigger too, or every write to that table fails. audit_log holds names of letters and underscores only, so
--   user_2fa is written there as user_two_fa;
-- - columns of the application's tables that hold personal data are marked as such by COMMENT where they have no comment;
--   one that is there stays, and the checks name it where it says nothing of personal data;
-- - every user of an organisation reads its audit_log. So an entry of a table that colleagues may not read holds only the
--   row's id and which columns are new (api_key), and one of a row that is a user's alone names no organisation
--   (user_session, user_2fa): service_role reads those, and nobody else.

-- step: extensions
CREATE EXTENSION IF NOT EXISTS hstore;
CREATE EXTENSION IF NOT EXISTS ltree;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;
CREATE EXTENSION IF NOT EXISTS btree_gist;

DO $$
BEGIN
    IF to_regprocedure('public.uuid_generate_v4()') IS NOT NULL THEN
        NULL;  -- the extension's own, or the owner's, which would stand in the way of the extension's
    ELSIF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'uuid-ossp') THEN
        CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
    ELSE
        RAISE WARNING 'extension uuid-ossp is skipped: this server does not offer it, and nothing of ours depends on it';
    END IF;
END
$$;

-- step: enums of the enhanced schema
CREATE TYPE access_level AS ENUM (
    'private', 'organization', 'team', 'public', 'restricted'
);
CREATE TYPE activity_type AS ENUM (
    'call', 'email', 'meeting', 'task', 'note', 'demo', 'proposal', 'follow_up'
);
CREATE TYPE api_scope AS ENUM (
    'read', 'write', 'admin', 'integration', 'webhook', 'analytics'
);
CREATE TYPE currency_code AS ENUM (
    'USD', 'EUR', 'GBP', 'JPY', 'CAD', 'AUD', 'CHF', 'CNY', 'INR', 'BRL'
);
CREATE TYPE document_type AS ENUM (
    'contract', 'invoice', 'quote', 'specification', 'manual', 'certificate', 'image', 'spreadsheet', 'presentation',
    'other'
);
CREATE TYPE invoice_status AS ENUM (
    'draft', 'sent', 'viewed', 'partially_paid', 'paid', 'overdue', 'cancelled', 'refunded'
);
CREATE TYPE lead_status AS ENUM (
    'new', 'contacted', 'qualified', 'proposal', 'negotiation', 'won', 'lost', 'nurturing'
);
CREATE TYPE opportunity_stage AS ENUM (
    'prospecting', 'qualification', 'proposal', 'negotiation', 'closing', 'won', 'lost'
);
CREATE TYPE payment_method AS ENUM (
    'credit_card', 'debit_card', 'bank_transfer', 'paypal', 'stripe', 'invoice', 'check', 'cash'
);
CREATE TYPE payment_status AS ENUM (
    'pending', 'processing', 'completed', 'failed', 'cancelled', 'refunded', 'disputed'
);
CREATE TYPE qc_status AS ENUM (
    'pending', 'in_progress', 'passed', 'failed', 'requires_retest', 'approved', 'rejected'
);
CREATE TYPE sales_order_status AS ENUM (
    'draft', 'pending', 'confirmed', 'processing', 'shipped', 'delivered', 'completed', 'cancelled', 'returned'
);
CREATE TYPE tax_type AS ENUM (
    'vat', 'sales_tax', 'gst', 'excise', 'customs', 'income_tax', 'property_tax'
);
CREATE TYPE template_type AS ENUM (
    'email', 'sms', 'push_notification', 'in_app', 'letter', 'fax'
);

-- step: functions that say who is asking
-- auth.uid() where the platform has it. Falling back to the setting beside it would let a session choose who it is.
CREATE FUNCTION tenant_user_id()
    RETURNS uuid
    LANGUAGE plpgsql
    STABLE
AS $$
BEGIN
    IF to_regprocedure('auth.uid()') IS NOT NULL THEN
        RETURN auth.uid();
    END IF;
    RETURN NULLIF(current_setting('app.current_user_id', true), '')::uuid;
END
$$;

COMMENT ON FUNCTION tenant_user_id() IS
    'Id of the current user, which is profile.id: auth.uid() where there is one, else the setting app.current_user_id; NULL for nobody.';

-- SECURITY DEFINER: a policy on profile that asked for the organisation through profile would ask itself for ever.
-- The user is asked for first: a variable is compared before any policy of profile is, so that this reads one row by its
-- key and does not recurse, even under FORCE ROW LEVEL SECURITY.
CREATE FUNCTION tenant_org_id()
    RETURNS uuid
    LANGUAGE plpgsql
    STABLE
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    current_user_id  uuid := tenant_user_id();
BEGIN
    IF current_user_id IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT org_id FROM profile WHERE id = current_user_id);
END
$$;

COMMENT ON FUNCTION tenant_org_id() IS
    'Organisation of the current user, NULL for nobody. In policies as (SELECT tenant_org_id()): asked once a statement, not once a row.';

REVOKE EXECUTE ON FUNCTION tenant_user_id(), tenant_org_id() FROM PUBLIC, anon;
GRANT EXECUTE ON FUNCTION tenant_user_id(), tenant_org_id() TO authenticated, service_role;

-- step: functions for triggers
-- A trigger function record_audit() of the baseline is moved aside, not replaced: its triggers go on calling it, for
-- they know it by number, and the rollback gives it its name back.
DO $$
BEGIN
    IF to_regprocedure('record_audit()') IS NOT NULL THEN
        ALTER FUNCTION record_audit() RENAME TO record_audit_of_baseline;
    END IF;
END
$$;

CREATE FUNCTION touch_updated_at()
    RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION touch_updated_at() IS
    'Trigger, BEFORE UPDATE FOR EACH ROW: updated_at is the time of the last change.';

-- SECURITY DEFINER: whoever may change a row need not be allowed to write audit_log, nor to forge it.
-- An organisation or a user that is being deleted right now is written as NULL: audit_log references both, and
-- deleting one must not fail on the very row that records it.
CREATE FUNCTION record_audit()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    audited  text := (SELECT relname FROM pg_class WHERE oid = coalesce(pg_partition_root(TG_RELID), TG_RELID));
    before   jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    after    jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    image    jsonb := coalesce(after, before);
    tenant   uuid := (image ->> 'org_id')::uuid;
    link     text[];
    shown    text[];
    changed  boolean;
    secret   text;
BEGIN
    FOR argument IN 0 .. TG_NARGS - 1 LOOP
        secret := TG_ARGV[argument];
        IF secret LIKE 'only %' THEN
            shown := string_to_array(secret, ' ');
            CONTINUE;
        END IF;
        IF secret LIKE '% %' THEN
            link := string_to_array(secret, ' ');
            EXECUTE format('SELECT org_id FROM %I WHERE id = $1', link[2]) INTO tenant USING (image ->> link[1])::uuid;
            CONTINUE;
        END IF;
        IF NOT image ? secret THEN
            RAISE EXCEPTION 'record_audit() is to redact column % of %, which has no such column', secret, audited
                USING HINT = 'A secret must not reach audit_log: name the column as it is called now in the trigger.';
        END IF;
        changed := before -> secret IS DISTINCT FROM after -> secret;
        IF before -> secret <> 'null' THEN
            before := jsonb_set(before, ARRAY[secret], '"[redacted]"');
        END IF;
        IF after -> secret <> 'null' THEN
            after := jsonb_set(after, ARRAY[secret], CASE WHEN changed THEN '"[redacted, new]"' ELSE '"[redacted]"' END::jsonb);
        END IF;
    END LOOP;

    -- NULL is a value too. The later image is told from the earlier one, so it is written first.
    IF shown IS NOT NULL THEN
        after := (
            SELECT jsonb_object_agg(key, CASE
                WHEN key = ANY (shown) THEN value
                WHEN value IS DISTINCT FROM before -> key THEN '"[redacted, new]"'
                ELSE '"[redacted]"'
            END)
            FROM jsonb_each(after)
        );
        before := (
            SELECT jsonb_object_agg(key, CASE WHEN key = ANY (shown) THEN value ELSE '"[redacted]"' END)
            FROM jsonb_each(before)
        );
    END IF;

    audited := regexp_replace(replace(audited, '2fa', 'two_fa'), '[^a-z_]', '_', 'g');
    -- Everybody of the organisation that an entry names reads it: of a user's own row, none of his colleagues may.
    IF image ? 'org_id' OR link IS NOT NULL THEN
        tenant := coalesce(tenant, (SELECT org_id FROM profile WHERE id = (image ->> 'user_id')::uuid), tenant_org_id());
    END IF;
    -- Deleted together with its parent, by somebody who is of no organisation: what was written of it before knows.
    IF tenant IS NULL AND link IS NOT NULL THEN
        tenant := (
            SELECT org_id
            FROM audit_log
            WHERE table_name = audited
              AND record_id = (image ->> 'id')::uuid
              AND org_id IS NOT NULL
            LIMIT 1
        );
    END IF;

    INSERT INTO audit_log (org_id, user_id, action, table_name, record_id, old_data, new_data)
    VALUES (
        (SELECT id FROM organization WHERE id = tenant),
        (SELECT id FROM profile WHERE id = tenant_user_id()),
        TG_OP::audit_action,
        audited,
        (image ->> 'id')::uuid,
        before,
        after
    );
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION record_audit() IS
    'Trigger, AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW: writes the row''s images to audit_log. Its arguments are columns whose values are redacted there; "only column ...": all but these are; and for a table without org_id "column table": the parent whose organisation it belongs to, else it belongs to none.';

REVOKE EXECUTE ON FUNCTION touch_updated_at(), record_audit() FROM PUBLIC, anon, authenticated;

-- step: OAuth providers
-- Global, not a tenant's: every organisation signs in through the same providers.
CREATE TABLE oauth_provider (
    id                       uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    name                     text         NOT NULL,
    client_id                text         NOT NULL,
    client_secret_encrypted  text         NOT NULL,
    authorization_url        text         NOT NULL,
    token_url                text         NOT NULL,
    user_info_url            text         NOT NULL,
    scope                    text         DEFAULT 'email profile',
    is_active                boolean      DEFAULT true,
    created_at               timestamptz  DEFAULT now(),
    updated_at               timestamptz  DEFAULT now(),

    CONSTRAINT oauth_provider_name_key
        UNIQUE (name),
    CONSTRAINT oauth_provider_name_length
        CHECK (char_length(name) >= 2 AND char_length(name) <= 50),
    CONSTRAINT oauth_provider_urls_format
        CHECK (
            authorization_url ~ '^https://.*'
            AND token_url ~ '^https://.*'
            AND user_info_url ~ '^https://.*'
        )
);

COMMENT ON TABLE  oauth_provider IS 'Identity providers through which users of every organisation sign in; kept by service_role.';
COMMENT ON COLUMN oauth_provider.name IS 'not personal: the provider''s name.';
COMMENT ON COLUMN oauth_provider.client_id IS 'Our public identifier at the provider.';
COMMENT ON COLUMN oauth_provider.client_secret_encrypted IS 'personal data: credential: the platform''s own, encrypted by the application, readable by service_role alone, redacted in audit_log.';
COMMENT ON COLUMN oauth_provider.is_active IS 'Only active providers are shown to users.';

-- The constraint's index answers equality; this one answers prefixes, so that it is no duplicate.
CREATE INDEX idx_oauth_provider_name ON oauth_provider (name text_pattern_ops);
CREATE INDEX idx_oauth_provider_active ON oauth_provider (is_active) WHERE is_active = true;

ALTER TABLE oauth_provider ENABLE ROW LEVEL SECURITY;
CREATE POLICY oauth_provider_shown_while_active ON oauth_provider
    FOR SELECT TO authenticated
    USING (is_active);
CREATE POLICY oauth_provider_kept_by_service_role ON oauth_provider
    FOR ALL TO service_role
    USING (true)
    WITH CHECK (true);

REVOKE ALL ON oauth_provider FROM PUBLIC, anon, authenticated;
GRANT SELECT (id, name, client_id, authorization_url, token_url, user_info_url, scope, is_active, created_at, updated_at)
    ON oauth_provider TO authenticated;
GRANT ALL ON oauth_provider TO service_role;

CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON oauth_provider
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON oauth_provider
    FOR EACH ROW EXECUTE FUNCTION record_audit('client_secret_encrypted');

-- step: API keys
CREATE TABLE api_key (
    id                   uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id               uuid         NOT NULL,
    user_id              uuid         NOT NULL,
    name                 text         NOT NULL,
    key_hash             text         NOT NULL,
    key_prefix           text         NOT NULL,
    scopes               api_scope[]  NOT NULL DEFAULT '{read}',
    rate_limit_per_hour  integer      DEFAULT 1000,
    is_active            boolean      DEFAULT true,
    last_used_at         timestamptz,
    expires_at           timestamptz,
    created_at           timestamptz  DEFAULT now(),
    updated_at           timestamptz  DEFAULT now(),

    CONSTRAINT api_key_hash_is_unique
        UNIQUE (key_hash),
    CONSTRAINT api_key_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT api_key_hash_not_empty
        CHECK (char_length(key_hash) > 0),
    CONSTRAINT api_key_prefix_length
        CHECK (char_length(key_prefix) BETWEEN 1 AND 32),
    CONSTRAINT api_key_grants_at_least_one_scope
        CHECK (cardinality(scopes) > 0 AND array_position(scopes, NULL) IS NULL),
    CONSTRAINT api_key_rate_limit_positive
        CHECK (rate_limit_per_hour > 0),
    CONSTRAINT api_key_expires_after_creation
        CHECK (expires_at > created_at)
);

COMMENT ON TABLE  api_key IS 'Keys with which programs act for a user; the key itself is shown once and never kept.';
COMMENT ON COLUMN api_key.name IS 'not personal: what the key is for.';
COMMENT ON COLUMN api_key.key_hash IS 'personal data: credential: hash of the key, redacted in audit_log as all of the row is.';
COMMENT ON COLUMN api_key.key_prefix IS 'First characters of the key, to tell keys apart; no secret.';
COMMENT ON COLUMN api_key.last_used_at IS 'personal data: behaviour: when the key was last used; changes of it alone are not audited.';

CREATE INDEX idx_api_key_org ON api_key (org_id);
CREATE INDEX idx_api_key_user ON api_key (user_id);
CREATE INDEX idx_api_key_prefix ON api_key (key_prefix);
CREATE INDEX idx_api_key_active ON api_key (org_id, expires_at) WHERE is_active = true;

-- Own keys to work with; the organisation's administrators see all of its keys, and may not use another's name.
ALTER TABLE api_key ENABLE ROW LEVEL SECURITY;
CREATE POLICY api_key_of_own_user ON api_key
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()) AND user_id = (SELECT tenant_user_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()) AND user_id = (SELECT tenant_user_id()));
CREATE POLICY api_key_seen_by_admins ON api_key
    FOR SELECT TO authenticated
    USING (
        org_id = (SELECT tenant_org_id())
        AND (SELECT role = 'admin' FROM profile WHERE id = (SELECT tenant_user_id()))
    );

REVOKE ALL ON api_key FROM PUBLIC, anon, authenticated;
GRANT SELECT, INSERT, UPDATE, DELETE ON api_key TO authenticated;
GRANT ALL ON api_key TO service_role;

CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON api_key
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
-- Every request sets last_used_at: audited, it would bury what matters.
CREATE TRIGGER record_audit
    AFTER INSERT OR DELETE
    OR UPDATE OF org_id, user_id, name, key_hash, key_prefix, scopes, rate_limit_per_hour, is_active, expires_at
    ON api_key
    FOR EACH ROW EXECUTE FUNCTION record_audit('only id org_id');

-- step: sessions of users
CREATE TABLE user_session (
    id                  uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id             uuid         NOT NULL,
    session_token_hash  text         NOT NULL,
    ip_address          inet,
    user_agent          text,
    device_fingerprint  text,
    location_country    text,
    location_city       text,
    is_active           boolean      DEFAULT true,
    expires_at          timestamptz  NOT NULL,
    created_at          timestamptz  DEFAULT now(),
    last_activity_at    timestamptz  DEFAULT now(),

    CONSTRAINT user_session_token_hash_is_unique
        UNIQUE (session_token_hash),
    CONSTRAINT user_session_token_hash_not_empty
        CHECK (char_length(session_token_hash) > 0),
    CONSTRAINT user_session_expires_after_creation
        CHECK (expires_at > created_at),
    CONSTRAINT user_session_active_after_creation
        CHECK (last_activity_at >= created_at)
);

COMMENT ON TABLE  user_session IS 'Sign-ins of a user on a device, until they end or expire.';
COMMENT ON COLUMN user_session.session_token_hash IS 'personal data: credential: hash of the session token, redacted in audit_log.';
COMMENT ON COLUMN user_session.ip_address IS 'personal data: location: where the request came from, redacted in audit_log.';
COMMENT ON COLUMN user_session.user_agent IS 'personal data: behaviour: the browser or program, redacted in audit_log.';
COMMENT ON COLUMN user_session.device_fingerprint IS 'personal data: identity: recognises the device, redacted in audit_log.';
COMMENT ON COLUMN user_session.location_country IS 'personal data: location: derived from the address, redacted in audit_log.';
COMMENT ON COLUMN user_session.location_city IS 'personal data: location: derived from the address, redacted in audit_log.';
COMMENT ON COLUMN user_session.last_activity_at IS 'personal data: behaviour: when the user was last seen; changes of it alone are not audited.';

CREATE INDEX idx_user_session_user ON user_session (user_id);
CREATE INDEX idx_user_session_active ON user_session (user_id, last_activity_at) WHERE is_active = true;
CREATE INDEX idx_user_session_expires ON user_session (expires_at) WHERE is_active = true;

ALTER TABLE user_session ENABLE ROW LEVEL SECURITY;
CREATE POLICY user_session_of_own_user ON user_session
    FOR ALL TO authenticated
    USING (user_id = (SELECT tenant_user_id()))
    WITH CHECK (user_id = (SELECT tenant_user_id()));

REVOKE ALL ON user_session FROM PUBLIC, anon, authenticated;
GRANT SELECT, INSERT, UPDATE, DELETE ON user_session TO authenticated;
GRANT ALL ON user_session TO service_role;

CREATE TRIGGER record_audit
    AFTER INSERT OR DELETE OR UPDATE OF user_id, session_token_hash, is_active, expires_at
    ON user_session
    FOR EACH ROW EXECUTE FUNCTION record_audit(
        'session_token_hash', 'ip_address', 'user_agent', 'device_fingerprint', 'location_country', 'location_city'
    );

-- step: second factors of users
CREATE TABLE user_2fa (
    id                uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id           uuid         NOT NULL,
    method            text         NOT NULL,
    secret_encrypted  text,
    phone_number      text,
    is_verified       boolean      DEFAULT false,
    backup_codes      text[],
    created_at        timestamptz  DEFAULT now(),
    verified_at       timestamptz,

    CONSTRAINT user_2fa_one_of_each_method_per_user
        UNIQUE (user_id, method),
    CONSTRAINT user_2fa_method_is_a_lower_case_word
        CHECK (method ~ '^[a-z][a-z0-9_]{1,49}$'),
    CONSTRAINT user_2fa_totp_has_a_secret
        CHECK (method <> 'totp' OR secret_encrypted IS NOT NULL),
    CONSTRAINT user_2fa_sms_has_a_number
        CHECK (method <> 'sms' OR phone_number IS NOT NULL),
    CONSTRAINT user_2fa_phone_number_length
        CHECK (char_length(phone_number) BETWEEN 4 AND 50),
    CONSTRAINT user_2fa_verified_after_creation
        CHECK (verified_at >= created_at)
);

COMMENT ON TABLE  user_2fa IS 'Second factors of a user: an authenticator, a telephone, backup codes; audit_log calls it user_two_fa.';
COMMENT ON COLUMN user_2fa.secret_encrypted IS 'personal data: credential: encrypted by the application, redacted in audit_log.';
COMMENT ON COLUMN user_2fa.phone_number IS 'personal data: contact: where codes are sent, redacted in audit_log.';
COMMENT ON COLUMN user_2fa.backup_codes IS 'personal data: credential: hashes of one-time codes, redacted in audit_log.';

CREATE INDEX idx_user_2fa_verified ON user_2fa (user_id) WHERE is_verified = true;

ALTER TABLE user_2fa ENABLE ROW LEVEL SECURITY;
CREATE POLICY user_2fa_of_own_user ON user_2fa
    FOR ALL TO authenticated
    USING (user_id = (SELECT tenant_user_id()))
    WITH CHECK (user_id = (SELECT tenant_user_id()));

REVOKE ALL ON user_2fa FROM PUBLIC, anon, authenticated;
GRANT SELECT, INSERT, UPDATE, DELETE ON user_2fa TO authenticated;
GRANT ALL ON user_2fa TO service_role;

CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON user_2fa
    FOR EACH ROW EXECUTE FUNCTION record_audit('secret_encrypted', 'phone_number', 'backup_codes');

-- step: personal data of the application's tables is marked
-- Where a column has no comment: what is there already says what its owner meant. The rollback knows these by their words.
DO $$
DECLARE
    mark  record;
BEGIN
    FOR mark IN
        WITH known (name, class, columns) AS (
            VALUES
                ('organization',          'not personal',              'name settings'),
                ('profile',               'personal data: identity',   'display_name avatar_url'),
                ('profile',               'personal data: behaviour',  'settings last_seen_at'),
                ('supplier',              'personal data: identity',   'name'),
                ('supplier',              'personal data: contact',    'contact_email contact_phone'),
                ('supplier',              'personal data: location',   'address'),
                ('supplier',              'personal data: free text',  'notes'),
                ('inventory_item',        'not personal',              'name description location'),
                ('purchase_order',        'personal data: free text',  'notes'),
                ('customer',              'personal data: identity',   'name company'),
                ('customer',              'personal data: contact',    'email phone'),
                ('customer',              'personal data: location',   'address'),
                ('customer',              'personal data: free text',  'metadata'),
                ('customer_interaction',  'personal data: free text',  'subject content metadata'),
                ('support_ticket',        'personal data: free text',  'title description resolution_notes'),
                ('ticket_comment',        'personal data: free text',  'content attachments'),
                ('ai_conversation',       'personal data: free text',  'title'),
                ('ai_message',            'personal data: free text',  'content metadata'),
                ('ai_dataset',            'not personal',              'name description'),
                ('ai_prompt_template',    'not personal',              'name description'),
                ('integration_connector', 'not personal',              'name'),
                ('integration_connector', 'personal data: credential', 'credentials_encrypted'),
                ('integration_connector', 'personal data: free text',  'error_message'),
                ('automation_pipeline',   'not personal',              'name description'),
                ('pipeline_execution',    'personal data: free text',  'trigger_data execution_data error_message'),
                ('data_import',           'personal data: free text',  'error_log preview_data'),
                ('integration_log',       'personal data: free text',  'message metadata'),
                ('dashboard',             'not personal',              'name description'),
                ('widget',                'not personal',              'name description'),
                ('widget_data_cache',     'personal data: free text',  'cached_data'),
                ('dashboard_share',       'personal data: credential', 'share_token'),
                ('alert_rule',            'not personal',              'name description'),
                ('notification',          'personal data: free text',  'title message metadata'),
                ('audit_log',             'personal data: free text',  'old_data new_data'),
                ('audit_log',             'personal data: location',   'ip_address'),
                ('audit_log',             'personal data: behaviour',  'user_agent')
        )
        SELECT attrelid::regclass AS name, attname AS col, class || ': marked by migration 001.' AS words
        FROM known
        CROSS JOIN LATERAL string_to_table(columns, ' ') AS col
        JOIN pg_attribute ON attrelid = to_regclass(format('public.%I', known.name)) AND attname = col AND NOT attisdropped
        WHERE col_description(attrelid, attnum) IS NULL
        ORDER BY attrelid::regclass::text, attnum
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', mark.name, mark.col, mark.words);
    END LOOP;
END
$$;

-- step: keys belong to organisations
ALTER TABLE api_key
    ADD CONSTRAINT api_key_org_id_fkey FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;

-- step: keys, sessions and factors belong to users
ALTER TABLE api_key
    ADD CONSTRAINT api_key_user_id_fkey FOREIGN KEY (user_id) REFERENCES profile (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE user_session
    ADD CONSTRAINT user_session_user_id_fkey FOREIGN KEY (user_id) REFERENCES profile (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE user_2fa
    ADD CONSTRAINT user_2fa_user_id_fkey FOREIGN KEY (user_id) REFERENCES profile (id) ON DELETE CASCADE NOT VALID;

-- step: foreign keys hold for every row
ALTER TABLE api_key VALIDATE CONSTRAINT api_key_org_id_fkey;
ALTER TABLE api_key VALIDATE CONSTRAINT api_key_user_id_fkey;
ALTER TABLE user_session VALIDATE CONSTRAINT user_session_user_id_fkey;
ALTER TABLE user_2fa VALIDATE CONSTRAINT user_2fa_user_id_fkey;
