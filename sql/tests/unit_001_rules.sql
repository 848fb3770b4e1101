-- Unit tests of migration 001: what the rules of the authentication tables refuse, and that a natural INSERT passes.
-- Writes rows and takes them back: run it in a transaction that is rolled back.
-- requires: a profile
-- step: each rule refuses what breaks it, and nothing else does
DO $$
DECLARE
    somebody  uuid := (SELECT id FROM profile ORDER BY id LIMIT 1);
    org       uuid := (SELECT org_id FROM profile ORDER BY id LIMIT 1);
    provider  constant text := 'INSERT INTO oauth_provider (name, client_id, client_secret_encrypted, authorization_url, token_url, user_info_url) ';
    key       constant text := 'INSERT INTO api_key (org_id, user_id, name, key_hash, key_prefix, scopes, rate_limit_per_hour, expires_at) ';
    session   constant text := 'INSERT INTO user_session (user_id, session_token_hash, expires_at, last_activity_at) ';
    factor    constant text := 'INSERT INTO user_2fa (user_id, method, secret_encrypted, phone_number, verified_at) ';
    url       constant text := 'https://id.example/';
    one       record;
    refused   text;
BEGIN
    IF somebody IS NULL THEN
        RAISE NOTICE 'not applicable here: this test needs a profile';
        RETURN;
    END IF;

    FOR one IN
        SELECT * FROM (VALUES
            (provider || format('VALUES (%L, ''c'', ''s'', %L, %L, %L)', 'acme', url, url, url), ''),
            (provider || format('VALUES (%L, ''c'', ''s'', %L, %L, %L)', 'a', url, url, url), 'oauth_provider_name_length'),
            (provider || format('VALUES (%L, ''c'', ''s'', %L, %L, %L)', repeat('a', 51), url, url, url), 'oauth_provider_name_length'),
            (provider || format('VALUES (%L, ''c'', ''s'', %L, %L, %L)', 'acme', 'http://id.example/', url, url), 'oauth_provider_urls_format'),
            (provider || format('VALUES (%L, ''c'', ''s'', %L, %L, %L)', 'acme', url, 'ftp://id.example/', url), 'oauth_provider_urls_format'),
            (provider || format('VALUES (%L, ''c'', ''s'', %L, %L, %L)', 'acme', url, url, 'id.example'), 'oauth_provider_urls_format'),
            (provider || format('VALUES (%1$L, ''c'', ''s'', %2$L, %2$L, %2$L), (%1$L, ''c'', ''s'', %2$L, %2$L, %2$L)', 'acme', url), 'oauth_provider_name_key'),
            (key || format('VALUES (%L, %L, ''ci'', ''hash'', ''mk_1'', ''{read,write}'', 10, now() + ''1 day'')', org, somebody), ''),
            (key || format('VALUES (%L, %L, '''', ''hash'', ''mk_1'', ''{read}'', 10, NULL)', org, somebody), 'api_key_name_length'),
            (key || format('VALUES (%L, %L, ''ci'', '''', ''mk_1'', ''{read}'', 10, NULL)', org, somebody), 'api_key_hash_not_empty'),
            (key || format('VALUES (%L, %L, ''ci'', ''hash'', '''', ''{read}'', 10, NULL)', org, somebody), 'api_key_prefix_length'),
            (key || format('VALUES (%L, %L, ''ci'', ''hash'', ''mk_1'', ''{}'', 10, NULL)', org, somebody), 'api_key_grants_at_least_one_scope'),
            (key || format('VALUES (%L, %L, ''ci'', ''hash'', ''mk_1'', ''{read,NULL}'', 10, NULL)', org, somebody), 'api_key_grants_at_least_one_scope'),
            (key || format('VALUES (%L, %L, ''ci'', ''hash'', ''mk_1'', ''{read}'', 0, NULL)', org, somebody), 'api_key_rate_limit_positive'),
            (key || format('VALUES (%L, %L, ''ci'', ''hash'', ''mk_1'', ''{read}'', 10, now() - ''1 day''::interval)', org, somebody), 'api_key_expires_after_creation'),
            (key || format('VALUES (%1$L, %2$L, ''a'', ''hash'', ''a'', ''{read}'', 1, NULL), (%1$L, %2$L, ''b'', ''hash'', ''b'', ''{read}'', 1, NULL)', org, somebody), 'api_key_hash_is_unique'),
            (key || format('VALUES (%L, %L, ''ci'', ''hash'', ''mk_1'', ''{read}'', 10, NULL)', gen_random_uuid(), somebody), 'api_key_org_id_fkey'),
            (key || format('VALUES (%L, %L, ''ci'', ''hash'', ''mk_1'', ''{read}'', 10, NULL)', org, gen_random_uuid()), 'api_key_user_id_fkey'),
            (session || format('VALUES (%L, ''hash'', now() + ''1 day'', now())', somebody), ''),
            (session || format('VALUES (%L, '''', now() + ''1 day'', now())', somebody), 'user_session_token_hash_not_empty'),
            (session || format('VALUES (%L, ''hash'', now(), now())', somebody), 'user_session_expires_after_creation'),
            (session || format('VALUES (%L, ''hash'', now() + ''1 day'', now() - ''1 day''::interval)', somebody), 'user_session_active_after_creation'),
            (session || format('VALUES (%1$L, ''hash'', ''infinity'', now()), (%1$L, ''hash'', ''infinity'', now())', somebody), 'user_session_token_hash_is_unique'),
            (session || format('VALUES (%L, ''hash'', ''infinity'', now())', gen_random_uuid()), 'user_session_user_id_fkey'),
            (factor || format('VALUES (%L, ''totp'', ''secret'', NULL, now())', somebody), ''),
            (factor || format('VALUES (%L, ''TOTP'', ''secret'', NULL, NULL)', somebody), 'user_2fa_method_is_a_lower_case_word'),
            (factor || format('VALUES (%L, ''totp'', NULL, NULL, NULL)', somebody), 'user_2fa_totp_has_a_secret'),
            (factor || format('VALUES (%L, ''sms'', NULL, NULL, NULL)', somebody), 'user_2fa_sms_has_a_number'),
            (factor || format('VALUES (%L, ''sms'', NULL, ''1'', NULL)', somebody), 'user_2fa_phone_number_length'),
            (factor || format('VALUES (%L, ''totp'', ''secret'', NULL, now() - ''1 day''::interval)', somebody), 'user_2fa_verified_after_creation'),
            (factor || format('VALUES (%1$L, ''totp'', ''a'', NULL, NULL), (%1$L, ''totp'', ''b'', NULL, NULL)', somebody), 'user_2fa_one_of_each_method_per_user'),
            (factor || format('VALUES (%L, ''totp'', ''secret'', NULL, NULL)', gen_random_uuid()), 'user_2fa_user_id_fkey')
        ) AS tried (statement, refused_by)
    LOOP
        BEGIN
            refused := '';
            EXECUTE one.statement;
            RAISE EXCEPTION USING ERRCODE = 'MR001';
        EXCEPTION
            WHEN SQLSTATE 'MR001' THEN NULL;
            WHEN integrity_constraint_violation THEN GET STACKED DIAGNOSTICS refused = CONSTRAINT_NAME;
        END;
        ASSERT refused = one.refused_by,
            format('should be refused by %s, was by %s: %s', coalesce(nullif(one.refused_by, ''), 'nothing'), coalesce(nullif(refused, ''), 'nothing'), one.statement);
    END LOOP;
END
$$;
