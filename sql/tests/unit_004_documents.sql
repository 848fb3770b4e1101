-- Unit tests of migration 004: versions follow one another, rules refuse what they should, each access level lets in whom
-- it should and nobody else.
-- Every test works in a subtransaction that it ends with an error of its own: nothing stays, whoever runs this. Where a test
-- needs users, it takes some who are there, for users are the platform's to make; without them it says so.
-- Requires: 004. Locks nothing but rows of its own.

-- step: rules of documents refuse what they should
DO $$
DECLARE
    writer   record;
    doc      uuid;
    attempt  record;
    broken   text;
BEGIN
    SELECT id, org_id INTO writer FROM profile ORDER BY id LIMIT 1;
    IF NOT FOUND THEN
        RAISE NOTICE 'not applicable here: there is no user: rules were not tried';
        RETURN;
    END IF;

    BEGIN
        INSERT INTO document (org_id, name, file_name, file_size_bytes, mime_type, file_hash, storage_path, uploaded_by)
        VALUES (writer.org_id, 'Unit', 'a.txt', 0, 'text/plain', 'h', 'p', writer.id)
        RETURNING id INTO doc;

        FOR attempt IN
            -- $1 document, $2 user
            SELECT * FROM (VALUES
                ('document_name_length', 'UPDATE document SET name = '''' WHERE id = $1'),
                ('document_file_name_length', 'UPDATE document SET file_name = repeat(''a'', 256) WHERE id = $1'),
                ('document_file_size_not_negative', 'UPDATE document SET file_size_bytes = -1 WHERE id = $1'),
                ('document_mime_type_format', 'UPDATE document SET mime_type = ''text'' WHERE id = $1'),
                ('document_file_hash_length', 'UPDATE document SET file_hash = '''' WHERE id = $1'),
                ('document_storage_path_not_empty', 'UPDATE document SET storage_path = '''' WHERE id = $1'),
                ('document_version_number_is_known', 'UPDATE document SET is_current_version = NULL WHERE id = $1'),
                ('document_permission_for_a_user_or_a_role', 'INSERT INTO document_permission (document_id, permission_type, granted_by) VALUES ($1, ''read'', $2)'),
                ('document_permission_for_a_user_or_a_role', 'INSERT INTO document_permission (document_id, user_id, role, permission_type, granted_by) VALUES ($1, $2, ''exec'', ''read'', $2)'),
                ('document_permission_type_is_known', 'INSERT INTO document_permission (document_id, user_id, permission_type, granted_by) VALUES ($1, $2, ''dance'', $2)'),
                ('document_permission_expires_after_grant', 'INSERT INTO document_permission (document_id, user_id, permission_type, granted_by, expires_at) VALUES ($1, $2, ''read'', $2, now() - interval ''1 day'')'),
                ('document_permission_of_user_is_unique', 'INSERT INTO document_permission (document_id, user_id, permission_type, granted_by) VALUES ($1, $2, ''read'', $2), ($1, $2, ''read'', $2)'),
                ('document_permission_of_role_is_unique', 'INSERT INTO document_permission (document_id, role, permission_type, granted_by) VALUES ($1, ''exec'', ''read'', $2), ($1, ''exec'', ''read'', $2)'),
                ('document_access_log_action_is_a_lower_case_word', 'INSERT INTO document_access_log (document_id, user_id, action) VALUES ($1, $2, ''Opened it'')')
            ) AS attempts (rule, statement)
        LOOP
            broken := 'nothing';
            BEGIN
                EXECUTE 'SELECT $1::uuid, $2::uuid' USING doc, writer.id;
                EXECUTE attempt.statement USING doc, writer.id;
            EXCEPTION
                WHEN integrity_constraint_violation OR check_violation OR unique_violation THEN
                    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
            END;
            ASSERT broken = attempt.rule, format('%s should refuse, and %s did: %s', attempt.rule, broken, attempt.statement);
        END LOOP;

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR004';
    EXCEPTION
        WHEN SQLSTATE 'MR004' THEN NULL;
    END;
END
$$;

-- step: a version stays in its chain, with its number and its uploader
DO $$
DECLARE
    writer   record;
    first    uuid;
    second   uuid;
    third    uuid;
    refused  integer := 0;
    attempt  text;
BEGIN
    SELECT id, org_id INTO writer FROM profile ORDER BY id LIMIT 1;
    IF NOT FOUND THEN
        RAISE NOTICE 'not applicable here: there is no user: versions were not tried';
        RETURN;
    END IF;

    BEGIN
        INSERT INTO document (org_id, name, file_name, file_size_bytes, mime_type, file_hash, storage_path, uploaded_by, version_number, is_current_version)
        VALUES (writer.org_id, 'Unit', 'a.txt', 0, 'text/plain', 'h', 'p', writer.id, 7, false)
        RETURNING id INTO first;
        ASSERT (SELECT (version_number, is_current_version) = (1, true) FROM document WHERE id = first), 'a first version should be number 1, and current, whatever the client says';

        second := add_document_version(first, 'b.txt', 1, 'text/plain', 'h2', 'p2', 'said anew');
        ASSERT (SELECT (name, description, parent_document_id, version_number) = ('Unit', 'said anew', first, 2) FROM document WHERE id = second),
            'a version should take what it is not given from the one before';
        third := add_document_version(second, 'c.txt', 1, 'text/plain', 'h3', 'p3');
        ASSERT (SELECT parent_document_id FROM document WHERE id = third) = first,
            'a version of a version should hang on the first one';

        FOREACH attempt IN ARRAY ARRAY['parent_document_id = NULL', 'version_number = 9', 'uploaded_by = gen_random_uuid()'] LOOP
            BEGIN
                EXECUTE format('UPDATE document SET %s WHERE id = $1', attempt) USING second;
            EXCEPTION
                WHEN insufficient_privilege THEN
                    refused := refused + 1;
            END;
        END LOOP;
        ASSERT refused = 3, 'chain, number and uploader of a version should stay';

        DELETE FROM document WHERE id = first;
        ASSERT NOT EXISTS (SELECT FROM document WHERE id = second), 'a chain should go with its first document';
        SET CONSTRAINTS ALL IMMEDIATE;

        BEGIN
            PERFORM add_document_version(first, 'd.txt', 1, 'text/plain', 'h', 'p');
            RAISE EXCEPTION 'a version of nothing should be refused' USING ERRCODE = 'assert_failure';
        EXCEPTION
            WHEN no_data_found THEN NULL;
        END;

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR004';
    EXCEPTION
        WHEN SQLSTATE 'MR004' THEN NULL;
    END;
END
$$;

-- step: each access level lets in whom it should
DO $$
DECLARE
    people   record;
    doc      uuid;
    version  uuid;
    tried    record;
    rights   text;
BEGIN
    -- The uploader; a colleague of the same role; one of another role; an administrator; a stranger.
    SELECT
        owner.id AS owner, owner.org_id AS org, peer.id AS peer, other.id AS other, boss.id AS boss, stranger.id AS stranger
    INTO people
    FROM profile AS owner
    JOIN profile AS peer ON peer.org_id = owner.org_id AND peer.role = owner.role AND peer.id <> owner.id
    JOIN profile AS other ON other.org_id = owner.org_id AND other.role NOT IN (owner.role, 'admin')
    JOIN profile AS boss ON boss.org_id = owner.org_id AND boss.role = 'admin'
    JOIN profile AS stranger ON stranger.org_id <> owner.org_id AND stranger.role = 'admin'
    WHERE owner.role <> 'admin'
    ORDER BY owner.id, peer.id, other.id, boss.id, stranger.id
    LIMIT 1;
    IF NOT FOUND THEN
        RAISE NOTICE 'not applicable here: there are not the users for it: access levels were not tried';
        RETURN;
    END IF;

    BEGIN
        FOR tried IN
            SELECT * FROM (VALUES
                ('private',      'admin none none none none'),
                ('restricted',   'admin none none admin none'),
                ('team',         'admin read none admin none'),
                ('organization', 'admin read read admin none'),
                ('public',       'admin read read admin none')
            ) AS levels (level, expected)
        LOOP
            INSERT INTO document (org_id, name, file_name, file_size_bytes, mime_type, file_hash, storage_path, uploaded_by, access_level)
            VALUES (people.org, 'Unit', 'a.txt', 0, 'text/plain', 'h', 'p', people.owner, tried.level::access_level)
            RETURNING id INTO doc;

            rights := '';
            FOR position IN 1 .. 5 LOOP
                PERFORM pg_temp.act_as(id, org_id, current_user)
                FROM profile
                WHERE id = (ARRAY[people.owner, people.peer, people.other, people.boss, people.stranger])[position];
                rights := rights || ' ' || coalesce(document_right(doc), 'none');
            END LOOP;
            ASSERT ltrim(rights) = tried.expected, format('%s should give %s, gave%s', tried.level, tried.expected, rights);
        END LOOP;

        -- Permissions: on the document, by role, expired; on the first version for a later one.
        INSERT INTO document (org_id, name, file_name, file_size_bytes, mime_type, file_hash, storage_path, uploaded_by)
        VALUES (people.org, 'Unit', 'a.txt', 0, 'text/plain', 'h', 'p', people.owner)
        RETURNING id INTO doc;
        PERFORM pg_temp.act_as(people.peer, people.org, current_user);

        INSERT INTO document_permission (document_id, user_id, permission_type, granted_by, granted_at, expires_at)
        VALUES (doc, people.peer, 'admin', people.owner, '2000-01-01', '2000-01-02');
        ASSERT document_right(doc) IS NULL, 'a permission that expired should hold no more';
        INSERT INTO document_permission (document_id, role, permission_type, granted_by)
        SELECT doc, role, 'read', people.owner FROM profile WHERE id = people.peer;
        ASSERT document_right(doc) = 'read', 'a permission of the role should hold';
        INSERT INTO document_permission (document_id, user_id, permission_type, granted_by)
        VALUES (doc, people.peer, 'write', people.owner);
        ASSERT document_right(doc) = 'write', 'the strongest permission should hold';
        version := add_document_version(doc, 'b.txt', 1, 'text/plain', 'h', 'p');
        ASSERT document_right(version) = 'write', 'who adds a version should be no more than a writer of it';
        PERFORM pg_temp.act_as(people.owner, people.org, current_user);
        ASSERT document_right(version) = 'admin', 'who uploaded the first version should administer all';

        INSERT INTO document (org_id, name, file_name, file_size_bytes, mime_type, file_hash, storage_path, uploaded_by, parent_document_id, access_level)
        VALUES (people.org, 'Unit', 'c.txt', 0, 'text/plain', 'h', 'p', people.peer, version, 'public')
        RETURNING id INTO version;
        ASSERT (SELECT access_level = 'private' FROM document WHERE id = version), 'a version should be let see by whom the one before was';

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR004';
    EXCEPTION
        WHEN SQLSTATE 'MR004' THEN NULL;
    END;
END
$$;
