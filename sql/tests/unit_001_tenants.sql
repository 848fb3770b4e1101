-- Unit tests of migration 001: tenants stay apart on the new tables, and secrets stay out of audit_log.
-- Writes rows and takes them back: run it in a transaction that is rolled back.
-- requires: two organisations with a profile each, the roles authenticated and anon
-- step: a user sees and changes what is his own
DO $$
DECLARE
    one      uuid := (SELECT id FROM profile WHERE role <> 'admin' ORDER BY org_id, id LIMIT 1);
    own_org  uuid := (SELECT org_id FROM profile WHERE id = one);
    other    uuid := (SELECT id FROM profile WHERE org_id <> own_org ORDER BY org_id, id LIMIT 1);
    far_org  uuid := (SELECT org_id FROM profile WHERE id = other);
    seen     bigint;
BEGIN
    IF one IS NULL OR other IS NULL THEN
        RAISE NOTICE 'not applicable here: this test needs two organisations with a user each, one of them no admin';
        RETURN;
    END IF;
    INSERT INTO api_key (org_id, user_id, name, key_hash, key_prefix)
    VALUES (own_org, one, 'a', 'unit test a', 'a'), (far_org, other, 'b', 'unit test b', 'b');
    INSERT INTO user_session (user_id, session_token_hash, expires_at)
    VALUES (one, 'unit test a', 'infinity'), (other, 'unit test b', 'infinity');
    INSERT INTO user_2fa (user_id, method) VALUES (one, 'unit_test'), (other, 'unit_test');

    PERFORM pg_temp.act_as(one, own_org);

    ASSERT tenant_user_id() = one, 'tenant_user_id() should be the current user';
    ASSERT tenant_org_id() = own_org, 'tenant_org_id() should be the current user''s organisation';

    SELECT count(*) INTO seen FROM api_key WHERE key_hash LIKE 'unit test %';
    ASSERT seen = 1, format('a user should see one of two keys, saw %s', seen);
    SELECT count(*) INTO seen FROM user_session WHERE session_token_hash LIKE 'unit test %';
    ASSERT seen = 1, format('a user should see one of two sessions, saw %s', seen);
    SELECT count(*) INTO seen FROM user_2fa WHERE method = 'unit_test';
    ASSERT seen = 1, format('a user should see one of two factors, saw %s', seen);

    UPDATE api_key SET is_active = false WHERE key_hash LIKE 'unit test %';
    GET DIAGNOSTICS seen = ROW_COUNT;
    ASSERT seen = 1, format('a user should change one of two keys, changed %s', seen);
    DELETE FROM user_session WHERE session_token_hash LIKE 'unit test %';
    GET DIAGNOSTICS seen = ROW_COUNT;
    ASSERT seen = 1, format('a user should delete one of two sessions, deleted %s', seen);

    BEGIN
        INSERT INTO api_key (org_id, user_id, name, key_hash, key_prefix) VALUES (far_org, one, 'c', 'unit test c', 'c');
        RAISE EXCEPTION USING ERRCODE = 'assert_failure', MESSAGE = 'a key in another organisation should be refused';
    EXCEPTION
        WHEN insufficient_privilege THEN NULL;
    END;
    BEGIN
        UPDATE user_2fa SET user_id = other WHERE method = 'unit_test';
        RAISE EXCEPTION USING ERRCODE = 'assert_failure', MESSAGE = 'a factor given to another user should be refused';
    EXCEPTION
        WHEN insufficient_privilege THEN NULL;
    END;

    PERFORM pg_temp.act_as(NULL, NULL);
    SELECT count(*) INTO seen FROM api_key;
    ASSERT seen = 0, format('nobody should see no key, saw %s', seen);

    SET LOCAL ROLE anon;
    BEGIN
        PERFORM FROM api_key;
        RAISE EXCEPTION USING ERRCODE = 'assert_failure', MESSAGE = 'anon should not read api_key';
    EXCEPTION
        WHEN insufficient_privilege THEN NULL;
    END;
    RESET ROLE;
END
$$;

-- step: secrets stay out of the audit log
DO $$
DECLARE
    one   uuid := (SELECT id FROM profile ORDER BY id LIMIT 1);
    org   uuid := (SELECT org_id FROM profile WHERE id = one);
    made  uuid;
    log   audit_log;
BEGIN
    IF one IS NULL THEN
        RAISE NOTICE 'not applicable here: there is no user: secrets were not tried';
        RETURN;
    END IF;
    INSERT INTO api_key (org_id, user_id, name, key_hash, key_prefix)
    VALUES (org, one, 'a', 'unit test secret', 'a')
    RETURNING id INTO made;

    SELECT * INTO log FROM audit_log WHERE record_id = made;
    ASSERT log.action = 'INSERT' AND log.table_name = 'api_key' AND log.org_id = org, 'making a key should be audited';
    ASSERT log.new_data ->> 'id' = made::text AND log.new_data ->> 'name' = '[redacted, new]',
        'what colleagues may not read of a key should not be in audit_log, but that it is new';
    ASSERT log::text NOT LIKE '%unit test secret%', 'a key''s hash should not be in audit_log';

    INSERT INTO user_2fa (user_id, method, secret_encrypted, phone_number, backup_codes)
    VALUES (one, 'unit_test', 'unit test secret', 'unit test secret', '{unit test secret}')
    RETURNING id INTO made;

    SELECT * INTO log FROM audit_log WHERE record_id = made;
    ASSERT log.action = 'INSERT' AND log.table_name = 'user_two_fa', 'making a factor should be audited';
    ASSERT log.org_id IS NULL, 'no colleague should read of a user''s factor in audit_log';
    ASSERT log::text NOT LIKE '%unit test secret%', 'a factor''s secrets should not be in audit_log';
END
$$;
