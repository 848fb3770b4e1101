-- Integration test: a document, its second version, who may read it and who did (migration 004), as users of organisations of
-- its own. It deletes the organisations at the end and sees that nothing of them is left; then all of it is rolled back, so
-- that audit_log keeps no trace of companies that never were.
-- Requires: 004, a role that may write to the platform's user table and act as authenticated. Locks nothing that is in use.

-- step: a document is kept, changed, shared and read, as users would do it
DO $$
DECLARE
    test_org_id   uuid;
    other_org_id  uuid;
    ada           uuid := gen_random_uuid();
    bob           uuid := gen_random_uuid();
    stranger      uuid := gen_random_uuid();
    first         uuid;
    second        uuid;
    tried         text;
    touched       bigint;
    own_role      text := current_setting('role');
    left_over     bigint;
BEGIN
    BEGIN
        -- Two organisations with users, wherever the platform keeps them
        INSERT INTO organization (name, slug) VALUES ('Test Org', 'test-org-' || gen_random_uuid()) RETURNING id INTO test_org_id;
        INSERT INTO organization (name, slug) VALUES ('Other Org', 'test-org-' || gen_random_uuid()) RETURNING id INTO other_org_id;
        EXECUTE format('INSERT INTO %s (id) VALUES ($1), ($2), ($3)', coalesce(to_regclass('auth.users'), to_regclass('auth.users_extended')))
        USING ada, bob, stranger;
        INSERT INTO profile (id, org_id, role, display_name) VALUES
            (ada, test_org_id, 'ops_manager', 'Ada'),
            (bob, test_org_id, 'cs_agent', 'Bob'),
            (stranger, other_org_id, 'admin', 'Stranger');
        -- Where the platform's table says itself where a user belongs, it has to say so of these as well.
        IF EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = to_regclass('auth.users_extended') AND attname = 'org_id' AND NOT attisdropped
        ) THEN
            EXECUTE 'UPDATE auth.users_extended AS u SET org_id = p.org_id FROM profile AS p WHERE p.id = u.id AND p.created_at = now()';
        END IF;

        -- Ada keeps a contract, and says it anew
        PERFORM pg_temp.act_as(ada, test_org_id);
        INSERT INTO document (org_id, name, file_name, file_size_bytes, mime_type, file_hash, storage_path, document_type)
        VALUES (test_org_id, 'Contract', 'contract.pdf', 1024, 'application/pdf', 'hash 1', 'contracts/1', 'contract')
        RETURNING id INTO first;
        second := add_document_version(first, 'contract-2.pdf', 2048, 'application/pdf', 'hash 2', 'contracts/2', 'signed');
        ASSERT (
            SELECT array_agg((version_number, file_name, is_current_version, uploaded_by, access_level)::text ORDER BY version_number)
                = ARRAY[(1, 'contract.pdf', false, ada, 'private'::access_level)::text, (2, 'contract-2.pdf', true, ada, 'private'::access_level)::text]
            FROM document
        ), 'a user should see two versions of one document, the second one current';

        -- Private: neither a colleague nor a stranger sees it
        PERFORM pg_temp.act_as(bob, test_org_id);
        ASSERT NOT EXISTS (SELECT FROM document), 'a colleague should not see a private document';
        BEGIN
            INSERT INTO document_access_log (document_id, action) VALUES (first, 'view');
            tried := 'possible';
        EXCEPTION
            WHEN insufficient_privilege THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'access to a document that is not seen should not be logged, it was ' || tried;

        -- Permitted to read: Bob does, and no more than that
        PERFORM pg_temp.act_as(ada, test_org_id);
        INSERT INTO document_permission (document_id, user_id, permission_type) VALUES (first, bob, 'read');
        PERFORM pg_temp.act_as(bob, test_org_id);
        ASSERT (SELECT count(*) = 2 FROM document WHERE document_right(id) = 'read'), 'a permission on the first version should hold for all';
        ASSERT (SELECT count(*) = 1 FROM document_permission WHERE granted_by = ada), 'a user should see the own permission';
        UPDATE document SET name = 'Mine' WHERE id IN (first, second);
        GET DIAGNOSTICS touched = ROW_COUNT;
        ASSERT touched = 0, format('a reader should change nothing, and changed %s versions', touched);
        BEGIN
            PERFORM add_document_version(first, 'mine.pdf', 1, 'application/pdf', 'hash 3', 'contracts/3');
            tried := 'possible';
        EXCEPTION
            WHEN insufficient_privilege THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'a version by a reader should be refused, it was ' || tried;
        BEGIN
            INSERT INTO document_permission (document_id, user_id, permission_type) VALUES (first, bob, 'admin');
            tried := 'possible';
        EXCEPTION
            WHEN insufficient_privilege THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'a permission that a reader gives should be refused, it was ' || tried;

        -- What he read is on record, in his name, and stays
        INSERT INTO document_access_log (document_id, action, ip_address) VALUES (second, 'download', '192.0.2.1');
        BEGIN
            INSERT INTO document_access_log (document_id, user_id, action) VALUES (second, ada, 'download');
            tried := 'possible';
        EXCEPTION
            WHEN insufficient_privilege THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'access in another''s name should be refused, it was ' || tried;
        BEGIN
            DELETE FROM document_access_log WHERE document_id = second;
            tried := 'possible';
        EXCEPTION
            WHEN insufficient_privilege THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'taking an access back should be refused, it was ' || tried;

        PERFORM pg_temp.act_as(stranger, other_org_id);
        ASSERT (
            SELECT sum(seen) = 0
            FROM (
                SELECT count(*) FROM document
                UNION ALL SELECT count(*) FROM document_permission
                UNION ALL SELECT count(*) FROM document_access_log
            ) AS tables (seen)
        ), 'an administrator of another organisation should see nothing';

        PERFORM pg_temp.act_as(ada, test_org_id);
        ASSERT (SELECT count(*) = 1 AND bool_and(user_id = bob AND action = 'download') FROM document_access_log WHERE document_id = second),
            'who uploaded a document should see who read it';

        -- The permission is taken back, the second version too; then everybody may read
        DELETE FROM document_permission WHERE document_id = first;
        DELETE FROM document WHERE id = second;
        ASSERT (SELECT is_current_version FROM document WHERE id = first), 'the version that is left should be the current one';
        PERFORM pg_temp.act_as(bob, test_org_id);
        ASSERT NOT EXISTS (SELECT FROM document), 'a permission that is taken back should hold no more';
        PERFORM pg_temp.act_as(ada, test_org_id);
        UPDATE document SET access_level = 'organization' WHERE id = first;
        PERFORM pg_temp.act_as(bob, test_org_id);
        ASSERT (SELECT count(*) = 1 FROM document), 'everybody of the organisation should see what is the organisation''s';

        -- What the audit trail says
        PERFORM set_config('role', own_role, true);
        ASSERT (
            SELECT count(DISTINCT (table_name, action)) = 5 AND bool_and(user_id = ada)
            FROM audit_log
            WHERE org_id = test_org_id
              AND table_name IN ('document', 'document_permission')
        ), 'the audit trail should tell who did all this';

        -- Cleanup
        SET CONSTRAINTS ALL IMMEDIATE;
        DELETE FROM organization WHERE id IN (test_org_id, other_org_id);
        SELECT sum(remaining)
        INTO left_over
        FROM (
            SELECT count(*) FROM document WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM document_permission WHERE document_id IN (first, second)
            UNION ALL SELECT count(*) FROM document_access_log WHERE document_id IN (first, second)
            UNION ALL SELECT count(*) FROM profile WHERE id IN (ada, bob, stranger)
        ) AS tables (remaining);
        ASSERT left_over = 0, format('%s rows outlived their organisation', left_over);

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR004';
    EXCEPTION
        WHEN SQLSTATE 'MR004' THEN
            NULL;
    END;
END
$$;
