-- Migration 001: Core enhancements, validated
-- phase: 1
--
-- What it is: reads the catalogues and compares them with what 001 makes; reads no row of any table, changes nothing and
-- takes no lock but ACCESS SHARE on catalogues (and mantis_runbook.decision, where currencies that were added are on record). Later migrations may add to what is here; nothing may be missing or
-- different. Each step fails with the names of what is wrong.

-- step: extensions are there
DO $$
DECLARE
    missing  text;
BEGIN
    SELECT string_agg(wanted.name, ', ' ORDER BY wanted.name)
    INTO missing
    FROM unnest(ARRAY['btree_gin', 'btree_gist', 'hstore', 'ltree', 'pg_trgm']) AS wanted (name)
    WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = wanted.name);
    ASSERT missing IS NULL, format('extensions missing: %s', missing);

    ASSERT EXISTS (SELECT FROM pg_extension WHERE extname = 'uuid-ossp')
        OR NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'uuid-ossp')
        OR to_regprocedure('public.uuid_generate_v4()') IS NOT NULL,
        'extensions missing: uuid-ossp, which this server offers';
END
$$;

-- step: enums have their labels, in order
DO $$
DECLARE
    wrong  text;
    added  text[] := '{}';
BEGIN
    -- A currency that the operator added (a decision whose value is its own key) may follow the ten; any other may not.
    IF to_regclass('mantis_runbook.decision') IS NOT NULL THEN
        EXECUTE $query$
            SELECT coalesce(array_agg(key), '{}') FROM mantis_runbook.decision WHERE subject = 'currency' AND value = key
        $query$ INTO added;
    END IF;

    WITH expected (name, labels) AS (
        VALUES
            ('access_level',       'private, organization, team, public, restricted'),
            ('activity_type',      'call, email, meeting, task, note, demo, proposal, follow_up'),
            ('api_scope',          'read, write, admin, integration, webhook, analytics'),
            ('currency_code',      'USD, EUR, GBP, JPY, CAD, AUD, CHF, CNY, INR, BRL'),
            ('document_type',      'contract, invoice, quote, specification, manual, certificate, image, spreadsheet, presentation, other'),
            ('invoice_status',     'draft, sent, viewed, partially_paid, paid, overdue, cancelled, refunded'),
            ('lead_status',        'new, contacted, qualified, proposal, negotiation, won, lost, nurturing'),
            ('opportunity_stage',  'prospecting, qualification, proposal, negotiation, closing, won, lost'),
            ('payment_method',     'credit_card, debit_card, bank_transfer, paypal, stripe, invoice, check, cash'),
            ('payment_status',     'pending, processing, completed, failed, cancelled, refunded, disputed'),
            ('qc_status',          'pending, in_progress, passed, failed, requires_retest, approved, rejected'),
            ('sales_order_status', 'draft, pending, confirmed, processing, shipped, delivered, completed, cancelled, returned'),
            ('tax_type',           'vat, sales_tax, gst, excise, customs, income_tax, property_tax'),
            ('template_type',      'email, sms, push_notification, in_app, letter, fax')
    ),
    found AS (
        SELECT typname AS name, string_agg(enumlabel, ', ' ORDER BY enumsortorder) AS labels
        FROM pg_type
        JOIN pg_enum ON enumtypid = pg_type.oid
        LEFT JOIN expected ON expected.name = typname
        WHERE typnamespace = 'public'::regnamespace
          AND NOT (
              typname = 'currency_code'
              AND enumlabel = ANY (added)
              AND enumlabel <> ALL (string_to_array(expected.labels, ', '))
          )
        GROUP BY typname
    )
    SELECT string_agg(format('%s has %s, expected %s', name, coalesce(found.labels, 'no labels'), expected.labels), '; ' ORDER BY name)
    INTO wrong
    FROM expected
    LEFT JOIN found USING (name)
    WHERE found.labels IS DISTINCT FROM expected.labels;
    ASSERT wrong IS NULL, format('enums differ: %s', wrong);
END
$$;

-- step: tables have their columns
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH expected (name, columns) AS (
        VALUES
            ('oauth_provider',
             'id uuid not null, name text not null, client_id text not null, client_secret_encrypted text not null, '
             'authorization_url text not null, token_url text not null, user_info_url text not null, scope text, '
             'is_active boolean, created_at timestamp with time zone, updated_at timestamp with time zone'),
            ('api_key',
             'id uuid not null, org_id uuid not null, user_id uuid not null, name text not null, key_hash text not null, '
             'key_prefix text not null, scopes api_scope[] not null, rate_limit_per_hour integer, is_active boolean, '
             'last_used_at timestamp with time zone, expires_at timestamp with time zone, '
             'created_at timestamp with time zone, updated_at timestamp with time zone'),
            ('user_session',
             'id uuid not null, user_id uuid not null, session_token_hash text not null, ip_address inet, user_agent text, '
             'device_fingerprint text, location_country text, location_city text, is_active boolean, '
             'expires_at timestamp with time zone not null, created_at timestamp with time zone, '
             'last_activity_at timestamp with time zone'),
            ('user_2fa',
             'id uuid not null, user_id uuid not null, method text not null, secret_encrypted text, phone_number text, '
             'is_verified boolean, backup_codes text[], created_at timestamp with time zone, '
             'verified_at timestamp with time zone')
    ),
    wanted AS (
        SELECT name, unnest(string_to_array(columns, ', ')) AS col FROM expected
    ),
    found AS (
        SELECT
            relname::text AS name,
            format('%s %s%s', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN ' not null' ELSE '' END) AS col
        FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
    )
    SELECT string_agg(format('%s: %s', name, col), '; ' ORDER BY name, col)
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('columns missing or of another type: %s', wrong);
END
$$;

-- step: columns have their defaults
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, col, value) AS (
        VALUES
            ('oauth_provider', 'id', 'gen_random_uuid()'), ('oauth_provider', 'scope', '''email profile''::text'),
            ('oauth_provider', 'is_active', 'true'), ('oauth_provider', 'created_at', 'now()'),
            ('oauth_provider', 'updated_at', 'now()'),
            ('api_key', 'id', 'gen_random_uuid()'), ('api_key', 'is_active', 'true'), ('api_key', 'created_at', 'now()'),
            ('api_key', 'updated_at', 'now()'), ('api_key', 'rate_limit_per_hour', '1000'),
            ('api_key', 'scopes', '''{read}''::api_scope[]'),
            ('user_session', 'id', 'gen_random_uuid()'), ('user_session', 'is_active', 'true'),
            ('user_session', 'created_at', 'now()'), ('user_session', 'last_activity_at', 'now()'),
            ('user_2fa', 'id', 'gen_random_uuid()'), ('user_2fa', 'is_verified', 'false'), ('user_2fa', 'created_at', 'now()')
    ),
    found AS (
        SELECT relname::text, attname::text, pg_get_expr(adbin, adrelid)
        FROM pg_attrdef
        JOIN pg_class ON pg_class.oid = adrelid
        JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
        WHERE relnamespace = 'public'::regnamespace
    )
    SELECT string_agg(format('%s.%s = %s', name, col, value), '; ' ORDER BY name, col)
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('defaults missing or different: %s', wrong);
END
$$;

-- step: constraints are there and validated
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, kind, conname) AS (
        VALUES
            ('oauth_provider', 'p', 'oauth_provider_pkey'),
            ('oauth_provider', 'u', 'oauth_provider_name_key'),
            ('oauth_provider', 'c', 'oauth_provider_name_length'),
            ('oauth_provider', 'c', 'oauth_provider_urls_format'),
            ('api_key', 'p', 'api_key_pkey'),
            ('api_key', 'u', 'api_key_hash_is_unique'),
            ('api_key', 'c', 'api_key_name_length'),
            ('api_key', 'c', 'api_key_hash_not_empty'),
            ('api_key', 'c', 'api_key_prefix_length'),
            ('api_key', 'c', 'api_key_grants_at_least_one_scope'),
            ('api_key', 'c', 'api_key_rate_limit_positive'),
            ('api_key', 'c', 'api_key_expires_after_creation'),
            ('api_key', 'f', 'api_key_org_id_fkey'),
            ('api_key', 'f', 'api_key_user_id_fkey'),
            ('user_session', 'p', 'user_session_pkey'),
            ('user_session', 'u', 'user_session_token_hash_is_unique'),
            ('user_session', 'c', 'user_session_token_hash_not_empty'),
            ('user_session', 'c', 'user_session_expires_after_creation'),
            ('user_session', 'c', 'user_session_active_after_creation'),
            ('user_session', 'f', 'user_session_user_id_fkey'),
            ('user_2fa', 'p', 'user_2fa_pkey'),
            ('user_2fa', 'u', 'user_2fa_one_of_each_method_per_user'),
            ('user_2fa', 'c', 'user_2fa_method_is_a_lower_case_word'),
            ('user_2fa', 'c', 'user_2fa_totp_has_a_secret'),
            ('user_2fa', 'c', 'user_2fa_sms_has_a_number'),
            ('user_2fa', 'c', 'user_2fa_phone_number_length'),
            ('user_2fa', 'c', 'user_2fa_verified_after_creation'),
            ('user_2fa', 'f', 'user_2fa_user_id_fkey')
    ),
    found AS (
        SELECT relname::text, contype::text, pg_constraint.conname::text
        FROM pg_constraint
        JOIN pg_class ON pg_class.oid = conrelid
        WHERE relnamespace = 'public'::regnamespace AND convalidated
    )
    SELECT string_agg(conname, ', ' ORDER BY name, conname)
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('constraints missing or not validated: %s', wrong);
END
$$;

-- step: foreign keys point where they should, and delete what they should
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (conname, target, on_delete) AS (
        VALUES
            ('api_key_org_id_fkey',       'organization', 'c'),
            ('api_key_user_id_fkey',      'profile',      'c'),
            ('user_session_user_id_fkey', 'profile',      'c'),
            ('user_2fa_user_id_fkey',     'profile',      'c')
    ),
    found AS (
        SELECT conname::text, relname::text, confdeltype::text
        FROM pg_constraint
        JOIN pg_class ON pg_class.oid = confrelid
        WHERE contype = 'f' AND connamespace = 'public'::regnamespace
    )
    SELECT string_agg(format('%s to %s', conname, target), ', ' ORDER BY conname)
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('foreign keys differ: %s', wrong);
END
$$;

-- step: rules refuse what they should
-- The text of a rule, because a rule can be there by name and mean nothing.
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (conname, part) AS (
        VALUES
            ('oauth_provider_name_length',           'char_length(name) >= 2'),
            ('oauth_provider_name_length',           'char_length(name) <= 50'),
            ('oauth_provider_urls_format',           'authorization_url ~ ''^https://.*'''),
            ('oauth_provider_urls_format',           'token_url ~ ''^https://.*'''),
            ('oauth_provider_urls_format',           'user_info_url ~ ''^https://.*'''),
            ('api_key_hash_not_empty',               'char_length(key_hash) > 0'),
            ('api_key_name_length',                  'char_length(name) <= 200'),
            ('api_key_prefix_length',                'char_length(key_prefix) <= 32'),
            ('api_key_rate_limit_positive',          'rate_limit_per_hour > 0'),
            ('api_key_grants_at_least_one_scope',    'cardinality(scopes) > 0'),
            ('api_key_expires_after_creation',       'expires_at > created_at'),
            ('user_session_token_hash_not_empty',    'char_length(session_token_hash) > 0'),
            ('user_session_expires_after_creation',  'expires_at > created_at'),
            ('user_session_active_after_creation',   'last_activity_at >= created_at'),
            ('user_2fa_method_is_a_lower_case_word', 'method ~ '),
            ('user_2fa_phone_number_length',         'char_length(phone_number) >= 4'),
            ('user_2fa_totp_has_a_secret',           'secret_encrypted IS NOT NULL'),
            ('user_2fa_sms_has_a_number',            'phone_number IS NOT NULL'),
            ('user_2fa_verified_after_creation',     'verified_at >= created_at')
    )
    SELECT string_agg(format('%s: %s', conname, part), '; ' ORDER BY conname, part)
    INTO wrong
    FROM wanted
    WHERE NOT EXISTS (
        SELECT
        FROM pg_constraint
        WHERE pg_constraint.conname = wanted.conname
          AND connamespace = 'public'::regnamespace
          AND contype = 'c'
          AND position(part IN replace(pg_get_constraintdef(oid), '::text', '')) > 0
    );
    ASSERT wrong IS NULL, format('rules do not say: %s', wrong);
END
$$;

-- step: indexes are there and valid
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, col, partial) AS (
        VALUES
            ('idx_oauth_provider_name',   'name',       false),
            ('idx_oauth_provider_active', 'is_active',  true),
            ('idx_api_key_org',           'org_id',     false),
            ('idx_api_key_user',          'user_id',    false),
            ('idx_api_key_prefix',        'key_prefix', false),
            ('idx_api_key_active',        'org_id',     true),
            ('idx_user_session_user',     'user_id',    false),
            ('idx_user_session_active',   'user_id',    true),
            ('idx_user_session_expires',  'expires_at', true),
            ('idx_user_2fa_verified',     'user_id',    true)
    ),
    found AS (
        SELECT relname::text, pg_get_indexdef(indexrelid, 1, false), indpred IS NOT NULL
        FROM pg_index
        JOIN pg_class ON pg_class.oid = indexrelid
        WHERE relnamespace = 'public'::regnamespace AND indisvalid AND indisready
    )
    SELECT string_agg(name, ', ' ORDER BY name)
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('indexes missing, invalid or of another shape: %s', wrong);
END
$$;

-- step: row-level security is on
DO $$
DECLARE
    wrong  text;
BEGIN
    SELECT string_agg(wanted.name, ', ' ORDER BY wanted.name)
    INTO wrong
    FROM unnest(ARRAY['oauth_provider', 'api_key', 'user_session', 'user_2fa']) AS wanted (name)
    WHERE NOT EXISTS (
        SELECT FROM pg_class WHERE relname = wanted.name AND relnamespace = 'public'::regnamespace AND relrowsecurity
    );
    ASSERT wrong IS NULL, format('row-level security is off: %s', wrong);
END
$$;

-- step: policies are there, guard reading and writing, and there are no others
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH expected (name, policy, command, role, reading, writing) AS (
        VALUES
            ('oauth_provider', 'oauth_provider_shown_while_active',   'SELECT', 'authenticated', 'is_active', ''),
            ('oauth_provider', 'oauth_provider_kept_by_service_role', 'ALL', 'service_role', 'true', 'true'),
            ('api_key', 'api_key_of_own_user', 'ALL', 'authenticated',
             'tenant_org_id tenant_user_id', 'tenant_org_id tenant_user_id'),
            ('api_key', 'api_key_seen_by_admins', 'SELECT', 'authenticated', 'tenant_org_id admin tenant_user_id', ''),
            ('user_session', 'user_session_of_own_user', 'ALL', 'authenticated', 'tenant_user_id', 'tenant_user_id'),
            ('user_2fa', 'user_2fa_of_own_user', 'ALL', 'authenticated', 'tenant_user_id', 'tenant_user_id')
    ),
    found AS (
        SELECT tablename, policyname, cmd, roles::text[] AS roles, qual, with_check
        FROM pg_policies
        WHERE schemaname = 'public' AND permissive = 'PERMISSIVE'
    )
    SELECT string_agg(coalesce(expected.policy, policyname || ' is not ours'), ', ')
    INTO wrong
    FROM expected
    FULL JOIN found ON tablename = expected.name AND policyname = expected.policy
    WHERE (expected.name IS NULL AND tablename IN ('oauth_provider', 'api_key', 'user_session', 'user_2fa'))
       OR (
           expected.name IS NOT NULL
           AND (
               (cmd, roles) IS DISTINCT FROM (expected.command, ARRAY[expected.role])
               OR EXISTS (SELECT FROM string_to_table(reading, ' ') AS word WHERE position(word IN coalesce(qual, '')) = 0)
               OR EXISTS (SELECT FROM string_to_table(writing, ' ') AS word WHERE position(word IN coalesce(with_check, '')) = 0)
           )
       );
    ASSERT wrong IS NULL, format('policies missing or different: %s', wrong);
END
$$;

-- step: rights are as narrow as they should be
DO $$
DECLARE
    wrong  text;
BEGIN
    SELECT string_agg(format('%s may %s %s', role, privilege, name), ', ' ORDER BY name, role, privilege)
    INTO wrong
    FROM unnest(ARRAY['oauth_provider', 'api_key', 'user_session', 'user_2fa']) AS name,
        unnest(ARRAY['anon', 'authenticated']) AS role,
        unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
    WHERE has_table_privilege(role, name::regclass, privilege)
      AND NOT (
          role = 'authenticated'
          AND name <> 'oauth_provider'
          AND privilege IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
      );
    ASSERT wrong IS NULL, format('rights too wide: %s', wrong);

    SELECT string_agg(format('%s may read %s', role, attname), ', ' ORDER BY role, attname)
    INTO wrong
    FROM unnest(ARRAY['anon', 'authenticated']) AS role, pg_attribute
    WHERE attrelid = 'oauth_provider'::regclass
      AND attnum > 0
      AND NOT attisdropped
      AND has_column_privilege(role, attrelid, attnum, 'SELECT')
      AND (role = 'anon' OR attname = 'client_secret_encrypted');
    ASSERT wrong IS NULL, format('rights too wide on oauth_provider: %s', wrong);
END
$$;

-- step: rights are as wide as the application needs
DO $$
DECLARE
    wrong  text;
BEGIN
    SELECT string_agg(format('%s may not %s %s', role, privilege, name), ', ' ORDER BY name, role, privilege)
    INTO wrong
    FROM unnest(ARRAY['oauth_provider', 'api_key', 'user_session', 'user_2fa']) AS name,
        unnest(ARRAY['authenticated', 'service_role']) AS role,
        unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
    WHERE NOT has_table_privilege(role, name::regclass, privilege)
      AND NOT (role = 'authenticated' AND name = 'oauth_provider');
    ASSERT wrong IS NULL, format('rights too narrow: %s', wrong);

    SELECT string_agg(attname, ', ' ORDER BY attnum)
    INTO wrong
    FROM pg_attribute
    WHERE attrelid = 'oauth_provider'::regclass
      AND attnum > 0
      AND NOT attisdropped
      AND attname <> 'client_secret_encrypted'
      AND NOT has_column_privilege('authenticated', attrelid, attnum, 'SELECT');
    ASSERT wrong IS NULL, format('rights too narrow: authenticated may not read %s of oauth_provider', wrong);

    SELECT string_agg(format('%s may not call %s', role, name), ', ' ORDER BY role, name)
    INTO wrong
    FROM unnest(ARRAY['tenant_user_id()', 'tenant_org_id()']) AS name,
        unnest(ARRAY['authenticated', 'service_role']) AS role
    WHERE NOT has_function_privilege(role, name, 'EXECUTE');
    ASSERT wrong IS NULL, format('rights too narrow: %s', wrong);
END
$$;

-- step: triggers are there, switched on, and told what to redact
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, trigger, function, secrets) AS (
        VALUES
            ('oauth_provider', 'touch_updated_at', 'touch_updated_at', ''),
            ('oauth_provider', 'record_audit',     'record_audit', 'client_secret_encrypted'),
            ('api_key',        'touch_updated_at', 'touch_updated_at', ''),
            ('api_key',        'record_audit',     'record_audit', 'only id org_id'),
            ('user_session',   'record_audit',     'record_audit',
             'device_fingerprint ip_address location_city location_country session_token_hash user_agent'),
            ('user_2fa',       'record_audit',     'record_audit', 'backup_codes phone_number secret_encrypted')
    ),
    found AS (
        SELECT
            relname::text,
            tgname::text,
            proname::text,
            (
                SELECT coalesce(string_agg(argument, ' ' ORDER BY argument COLLATE "C"), '')
                FROM string_to_table(encode(tgargs, 'escape'), '\000') AS argument
                WHERE argument <> ''
            )
        FROM pg_trigger
        JOIN pg_class ON pg_class.oid = tgrelid
        JOIN pg_proc ON pg_proc.oid = tgfoid
        WHERE relnamespace = 'public'::regnamespace AND NOT tgisinternal AND tgenabled IN ('O', 'A')
    )
    SELECT string_agg(format('%s on %s', trigger, name), ', ' ORDER BY name, trigger)
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('triggers missing, off, or with other arguments: %s', wrong);
END
$$;

-- step: functions run as whom they should, with a pinned search_path
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, definer, result, volatility, pinned) AS (
        VALUES
            ('tenant_user_id',   false, 'uuid',    's', NULL::text[]),
            ('tenant_org_id',    true,  'uuid',    's', ARRAY['search_path=public, pg_temp']),
            ('touch_updated_at', false, 'trigger', 'v', NULL),
            ('record_audit',     true,  'trigger', 'v', ARRAY['search_path=public, pg_temp'])
    ),
    found AS (
        SELECT proname::text, prosecdef, prorettype::regtype::text, provolatile::text, proconfig
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND pronargs = 0
    )
    SELECT string_agg(name || '()', ', ' ORDER BY name)
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('functions missing or different: %s', wrong);

    SELECT string_agg(format('%s may call %s', role, name), ', ' ORDER BY role, name)
    INTO wrong
    FROM unnest(ARRAY['record_audit()', 'tenant_org_id()', 'tenant_user_id()', 'touch_updated_at()']) AS name,
        unnest(ARRAY['anon']) AS role
    WHERE has_function_privilege(role, name, 'EXECUTE');
    ASSERT wrong IS NULL, format('functions open to strangers: %s', wrong);
END
$$;

-- step: nobody has no organisation
DO $$
BEGIN
    PERFORM set_config('request.jwt.claim.sub', '', true), set_config('app.current_user_id', '', true);
    ASSERT tenant_user_id() IS NULL, 'a session that names no user has one: tenant_user_id()';
    ASSERT tenant_org_id() IS NULL, 'a session that names no user has an organisation: tenant_org_id()';
END
$$;

-- step: secrets and personal data are commented as such
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, col, class) AS (
        VALUES
            ('oauth_provider', 'client_secret_encrypted', 'credential'),
            ('api_key',        'key_hash',                'credential'),
            ('api_key',        'last_used_at',            'behaviour'),
            ('user_session',   'session_token_hash',      'credential'),
            ('user_session',   'ip_address',              'location'),
            ('user_session',   'user_agent',              'behaviour'),
            ('user_session',   'device_fingerprint',      'identity'),
            ('user_session',   'location_country',        'location'),
            ('user_session',   'location_city',           'location'),
            ('user_session',   'last_activity_at',        'behaviour'),
            ('user_2fa',       'secret_encrypted',        'credential'),
            ('user_2fa',       'phone_number',            'contact'),
            ('user_2fa',       'backup_codes',            'credential')
    )
    SELECT string_agg(format('%s.%s', name, col), ', ' ORDER BY name, col)
    INTO wrong
    FROM wanted
    WHERE NOT EXISTS (
        SELECT
        FROM pg_attribute
        WHERE attrelid = name::regclass
          AND attname = col
          AND col_description(attrelid, attnum) LIKE 'personal data: ' || class || '%'
    );
    ASSERT wrong IS NULL, format('columns not commented as personal data: %s', wrong);

    SELECT string_agg(name, ', ' ORDER BY name)
    INTO wrong
    FROM unnest(ARRAY['oauth_provider', 'api_key', 'user_session', 'user_2fa']) AS name
    WHERE obj_description(name::regclass, 'pg_class') IS NULL;
    ASSERT wrong IS NULL, format('tables without a comment: %s', wrong);
END
$$;
