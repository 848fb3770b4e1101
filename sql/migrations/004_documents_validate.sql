-- Migration 004: Documents, validation
--
-- What it is: each step raises, or returns rows, when something is not as 004 made it. It reads catalogues, and tries versions
-- on a document of its own, which is gone when the step is over.
--
-- What it locks: nothing but ACCESS SHARE, and the rows it makes itself.

-- step: columns are there
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, col, type, required, standard) AS (
        VALUES
            ('document',            'id',                 'uuid',                     true,  'gen_random_uuid()'),
            ('document',            'org_id',             'uuid',                     true,  ''),
            ('document',            'name',               'text',                     true,  ''),
            ('document',            'description',        'text',                     false, ''),
            ('document',            'file_name',          'text',                     true,  ''),
            ('document',            'file_size_bytes',    'bigint',                   true,  ''),
            ('document',            'mime_type',          'text',                     true,  ''),
            ('document',            'file_hash',          'text',                     true,  ''),
            ('document',            'storage_path',       'text',                     true,  ''),
            ('document',            'document_type',      'document_type',            false, '''other''::document_type'),
            ('document',            'access_level',       'access_level',             false, '''private''::access_level'),
            ('document',            'version_number',     'integer',                  false, '1'),
            ('document',            'parent_document_id', 'uuid',                     false, ''),
            ('document',            'is_current_version', 'boolean',                  false, 'true'),
            ('document',            'tags',               'text[]',                   false, '''{}''::text[]'),
            ('document',            'metadata',           'jsonb',                    false, '''{}''::jsonb'),
            ('document',            'uploaded_by',        'uuid',                     true,  'tenant_user_id()'),
            ('document',            'created_at',         'timestamp with time zone', false, 'now()'),
            ('document',            'updated_at',         'timestamp with time zone', false, 'now()'),
            ('document_permission', 'id',                 'uuid',                     true,  'gen_random_uuid()'),
            ('document_permission', 'document_id',        'uuid',                     true,  ''),
            ('document_permission', 'user_id',            'uuid',                     false, ''),
            ('document_permission', 'role',               'user_role',                false, ''),
            ('document_permission', 'permission_type',    'text',                     true,  ''),
            ('document_permission', 'granted_by',         'uuid',                     true,  'tenant_user_id()'),
            ('document_permission', 'granted_at',         'timestamp with time zone', false, 'now()'),
            ('document_permission', 'expires_at',         'timestamp with time zone', false, ''),
            ('document_access_log', 'id',                 'uuid',                     true,  'gen_random_uuid()'),
            ('document_access_log', 'document_id',        'uuid',                     true,  ''),
            ('document_access_log', 'user_id',            'uuid',                     false, 'tenant_user_id()'),
            ('document_access_log', 'action',             'text',                     true,  ''),
            ('document_access_log', 'ip_address',         'inet',                     false, ''),
            ('document_access_log', 'user_agent',         'text',                     false, ''),
            ('document_access_log', 'accessed_at',        'timestamp with time zone', false, 'now()')
    ),
    found AS (
        SELECT relname::text, attname::text, format_type(atttypid, atttypmod), attnotnull, coalesce(pg_get_expr(adbin, adrelid), '')
        FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
    )
    SELECT string_agg(format('%s.%s %s%s%s', name, col, type, CASE WHEN required THEN ' not null' ELSE '' END, ' = ' || nullif(standard, '')), '; ' ORDER BY format('%s.%s %s%s%s', name, col, type, CASE WHEN required THEN ' not null' ELSE '' END, ' = ' || nullif(standard, '')))
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('columns missing or different: %s', wrong);
END
$$;

-- step: constraints are there, say what they should, and are validated
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, constraint_name, definition) AS (
        VALUES
            ('document',            'document_file_hash_length',                       'CHECK (((char_length(file_hash) >= 1) AND (char_length(file_hash) <= 200)))'),
            ('document',            'document_file_name_length',                       'CHECK (((char_length(file_name) >= 1) AND (char_length(file_name) <= 255)))'),
            ('document',            'document_file_size_not_negative',                 'CHECK ((file_size_bytes >= 0))'),
            ('document',            'document_first_version_has_no_parent',            'CHECK (((version_number = 1) = (parent_document_id IS NULL)))'),
            ('document',            'document_is_not_its_own_parent',                  'CHECK ((parent_document_id <> id))'),
            ('document',            'document_mime_type_format',                       'CHECK ((mime_type ~ ''^[^/\s]+/\S''::text))'),
            ('document',            'document_name_length',                            'CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200)))'),
            ('document',            'document_storage_path_not_empty',                 'CHECK ((char_length(storage_path) > 0))'),
            ('document',            'document_version_number_is_known',                'CHECK ((((version_number >= 1) IS TRUE) AND (is_current_version IS NOT NULL)))'),
            ('document',            'document_org_id_fkey',                            'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('document',            'document_parent_document_id_fkey',                'FOREIGN KEY (parent_document_id) REFERENCES document(id) ON DELETE CASCADE'),
            ('document',            'document_uploaded_by_fkey',                       'FOREIGN KEY (uploaded_by) REFERENCES profile(id)'),
            ('document',            'document_pkey',                                   'PRIMARY KEY (id)'),
            ('document_permission', 'document_permission_expires_after_grant',         'CHECK ((expires_at > granted_at))'),
            ('document_permission', 'document_permission_for_a_user_or_a_role',        'CHECK ((num_nonnulls(user_id, role) = 1))'),
            ('document_permission', 'document_permission_type_is_known',               'CHECK ((permission_type = ANY (ARRAY[''read''::text, ''write''::text, ''admin''::text])))'),
            ('document_permission', 'document_permission_document_id_fkey',            'FOREIGN KEY (document_id) REFERENCES document(id) ON DELETE CASCADE'),
            ('document_permission', 'document_permission_granted_by_fkey',             'FOREIGN KEY (granted_by) REFERENCES profile(id)'),
            ('document_permission', 'document_permission_user_id_fkey',                'FOREIGN KEY (user_id) REFERENCES profile(id) ON DELETE CASCADE'),
            ('document_permission', 'document_permission_pkey',                        'PRIMARY KEY (id)'),
            ('document_access_log', 'document_access_log_action_is_a_lower_case_word', 'CHECK ((action ~ ''^[a-z][a-z_]{0,49}$''::text))'),
            ('document_access_log', 'document_access_log_document_id_fkey',            'FOREIGN KEY (document_id) REFERENCES document(id) ON DELETE CASCADE'),
            ('document_access_log', 'document_access_log_user_id_fkey',                'FOREIGN KEY (user_id) REFERENCES profile(id) ON DELETE SET NULL'),
            ('document_access_log', 'document_access_log_pkey',                        'PRIMARY KEY (id)')
    ),
    found AS (
        SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
        FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND convalidated
    )
    SELECT string_agg(format('%s on %s', constraint_name, name), '; ' ORDER BY format('%s on %s', constraint_name, name))
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('constraints missing, different or not validated: %s', wrong);
END
$$;

-- step: indexes are there, and valid
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, index_name, is_unique, definition) AS (
        VALUES
            ('document',            'document_one_current_version',               true,  'btree (COALESCE(parent_document_id, id)) WHERE is_current_version'),
            ('document',            'document_pkey',                              true,  'btree (id)'),
            ('document',            'document_version_number_is_unique_in_chain', true,  'btree (COALESCE(parent_document_id, id), version_number)'),
            ('document',            'idx_document_org_created',                   false, 'btree (org_id, created_at DESC)'),
            ('document',            'idx_document_org_hash',                      false, 'btree (org_id, file_hash)'),
            ('document',            'idx_document_org_type',                      false, 'btree (org_id, document_type)'),
            ('document',            'idx_document_parent',                        false, 'btree (parent_document_id)'),
            ('document',            'idx_document_tags',                          false, 'gin (tags)'),
            ('document',            'idx_document_uploaded_by',                   false, 'btree (uploaded_by)'),
            ('document_permission', 'document_permission_of_role_is_unique',      true,  'btree (document_id, role, permission_type) WHERE (role IS NOT NULL)'),
            ('document_permission', 'document_permission_of_user_is_unique',      true,  'btree (document_id, user_id, permission_type) WHERE (user_id IS NOT NULL)'),
            ('document_permission', 'document_permission_pkey',                   true,  'btree (id)'),
            ('document_permission', 'idx_document_permission_document',           false, 'btree (document_id)'),
            ('document_permission', 'idx_document_permission_granted_by',         false, 'btree (granted_by)'),
            ('document_permission', 'idx_document_permission_user',               false, 'btree (user_id)'),
            ('document_access_log', 'document_access_log_pkey',                   true,  'btree (id)'),
            ('document_access_log', 'idx_document_access_log_document',           false, 'btree (document_id, accessed_at DESC)'),
            ('document_access_log', 'idx_document_access_log_user',               false, 'btree (user_id, accessed_at DESC)')
    ),
    found AS (
        SELECT indrelid::regclass::text, indexrelid::regclass::text, indisunique, substring(pg_get_indexdef(indexrelid) FROM ' USING (.*)')
        FROM pg_index
        WHERE indisvalid AND indisready
    )
    SELECT string_agg(format('%s on %s', index_name, name), '; ' ORDER BY format('%s on %s', index_name, name))
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('indexes missing, invalid or different: %s', wrong);
END
$$;

-- step: every foreign key has an index
SELECT conrelid::regclass AS table_name, conname AS without_index
FROM pg_constraint
WHERE contype = 'f'
  AND conparentid = 0
  AND conrelid::regclass::text = ANY (ARRAY['document', 'document_permission', 'document_access_log'])
  AND NOT EXISTS (
      SELECT
      FROM pg_index
      WHERE indrelid = conrelid AND indisvalid AND indpred IS NULL AND indkey[0] = conkey[1]
  );

-- step: row-level security is on
SELECT name AS table_name, 'row-level security is off' AS found
FROM unnest(ARRAY['document', 'document_permission', 'document_access_log']) AS name
WHERE NOT coalesce((SELECT relrowsecurity FROM pg_class WHERE oid = to_regclass(name)), false);

-- step: policies guard reading and writing
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, policy, command, role, reading, writing) AS (
        VALUES
            ('document',            'document_changed_by_writers',                 'UPDATE', 'authenticated', '((org_id = ( SELECT tenant_org_id() AS tenant_org_id)) AND (document_right(id) = ANY (ARRAY[''write''::text, ''admin''::text])))', '((org_id = ( SELECT tenant_org_id() AS tenant_org_id)) AND (document_right(id) = ANY (ARRAY[''write''::text, ''admin''::text])))'),
            ('document',            'document_deleted_by_its_administrators',      'DELETE', 'authenticated', '((org_id = ( SELECT tenant_org_id() AS tenant_org_id)) AND (document_right(id) = ''admin''::text))', ''),
            ('document',            'document_read_as_its_level_says',             'SELECT', 'authenticated', '((org_id = ( SELECT tenant_org_id() AS tenant_org_id)) AND ((access_level = ANY (ARRAY[''organization''::access_level, ''public''::access_level])) OR ((uploaded_by = ( SELECT tenant_user_id() AS tenant_user_id)) AND ((parent_document_id IS NULL) OR (document_right(parent_document_id) = ANY (ARRAY[''write''::text, ''admin''::text])))) OR (document_right(id) IS NOT NULL)))', ''),
            ('document',            'document_uploaded_in_own_name',               'INSERT', 'authenticated', '', '((org_id = ( SELECT tenant_org_id() AS tenant_org_id)) AND (uploaded_by = ( SELECT tenant_user_id() AS tenant_user_id)) AND ((parent_document_id IS NULL) OR (document_right(parent_document_id) = ANY (ARRAY[''write''::text, ''admin''::text]))))'),
            ('document_permission', 'document_permission_given_by_administrators', 'ALL',    'authenticated', '(document_right(document_id) = ''admin''::text)', '((document_right(document_id) = ''admin''::text) AND (granted_by = ( SELECT tenant_user_id() AS tenant_user_id)))'),
            ('document_permission', 'document_permission_seen_by_its_user',        'SELECT', 'authenticated', '((user_id = ( SELECT tenant_user_id() AS tenant_user_id)) AND (document_right(document_id) IS NOT NULL))', ''),
            ('document_access_log', 'document_access_log_read_by_administrators',  'SELECT', 'authenticated', '((document_right(document_id) = ''admin''::text) OR ((user_id = ( SELECT tenant_user_id() AS tenant_user_id)) AND (document_right(document_id) IS NOT NULL)))', ''),
            ('document_access_log', 'document_access_log_written_in_own_name',     'INSERT', 'authenticated', '', '((user_id = ( SELECT tenant_user_id() AS tenant_user_id)) AND (document_right(document_id) IS NOT NULL))')
    ),
    found AS (
        SELECT tablename::text, policyname::text, cmd, array_to_string(roles, ' '), coalesce(qual, ''), coalesce(with_check, '')
        FROM pg_policies
        WHERE schemaname = 'public' AND permissive = 'PERMISSIVE'
    )
    SELECT string_agg(format('%s on %s', policy, name), '; ' ORDER BY format('%s on %s', policy, name))
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('policies missing or different: %s', wrong);
END
$$;

-- step: there is no other policy
SELECT tablename AS table_name, policyname AS not_ours
FROM pg_policies
WHERE schemaname = 'public'
  AND tablename = ANY (ARRAY['document', 'document_permission', 'document_access_log'])
  AND policyname <> ALL (ARRAY['document_access_log_read_by_administrators', 'document_access_log_written_in_own_name', 'document_changed_by_writers', 'document_deleted_by_its_administrators', 'document_permission_given_by_administrators', 'document_permission_seen_by_its_user', 'document_read_as_its_level_says', 'document_uploaded_in_own_name']);

-- step: rights are as narrow as they should be, and as wide as the application needs
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, role, privileges) AS (
        VALUES
            ('document',            'authenticated', 'SELECT INSERT UPDATE DELETE'),
            ('document',            'service_role',  'SELECT INSERT UPDATE DELETE TRUNCATE REFERENCES TRIGGER'),
            ('document_permission', 'authenticated', 'SELECT INSERT UPDATE DELETE'),
            ('document_permission', 'service_role',  'SELECT INSERT UPDATE DELETE TRUNCATE REFERENCES TRIGGER'),
            ('document_access_log', 'authenticated', 'SELECT INSERT'),
            ('document_access_log', 'service_role',  'SELECT INSERT UPDATE DELETE TRUNCATE REFERENCES TRIGGER')
    ),
    found (name, role, privileges) AS (
        SELECT name, role, string_agg(privilege, ' ' ORDER BY place)
        FROM unnest(ARRAY['document', 'document_permission', 'document_access_log']) AS name,
            unnest(ARRAY['anon', 'authenticated', 'service_role']) AS role,
            unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) WITH ORDINALITY AS of (privilege, place)
        WHERE has_table_privilege(role, to_regclass(name), privilege)
        GROUP BY name, role
    )
    SELECT string_agg(format('%s on %s: %s', role, name, coalesce(found.privileges, 'none')), '; ' ORDER BY name, role)
    INTO wrong
    FROM wanted
    FULL JOIN found USING (name, role)
    WHERE wanted.privileges IS DISTINCT FROM found.privileges;
    ASSERT wrong IS NULL, format('rights differ: %s', wrong);
END
$$;

-- step: triggers are there, switched on, and do what they should
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, trigger, definition) AS (
        VALUES
            ('document',            'document_has_one_current_version', 'AFTER INSERT OR DELETE OR UPDATE OF is_current_version ON public.document DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION verify_current_document_version()'),
            ('document',            'keep_current_document_version',    'BEFORE UPDATE OF is_current_version ON public.document FOR EACH ROW WHEN ((new.is_current_version AND (NOT old.is_current_version))) EXECUTE FUNCTION keep_document_versions()'),
            ('document',            'keep_document_versions',           'BEFORE INSERT ON public.document FOR EACH ROW EXECUTE FUNCTION keep_document_versions()'),
            ('document',            'promote_document_version',         'AFTER DELETE ON public.document FOR EACH ROW WHEN ((old.is_current_version AND (old.parent_document_id IS NOT NULL))) EXECUTE FUNCTION promote_document_version()'),
            ('document',            'record_audit',                     'AFTER INSERT OR DELETE OR UPDATE ON public.document FOR EACH ROW EXECUTE FUNCTION record_audit(''only id org_id parent_document_id'')'),
            ('document',            'refuse_change_of_document',        'BEFORE UPDATE OF parent_document_id, version_number, uploaded_by, access_level ON public.document FOR EACH ROW EXECUTE FUNCTION refuse_change_of_document()'),
            ('document',            'same_organization',                'AFTER INSERT OR UPDATE OF parent_document_id, uploaded_by ON public.document NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''org_id'', ''parent_document_id document'', ''uploaded_by profile'')'),
            ('document',            'stay_in_organization',             'BEFORE UPDATE OF org_id ON public.document FOR EACH ROW WHEN ((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('document',            'touch_updated_at',                 'BEFORE UPDATE ON public.document FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('document_permission', 'record_audit',                     'AFTER INSERT OR DELETE OR UPDATE ON public.document_permission FOR EACH ROW EXECUTE FUNCTION record_audit(''document_id document'', ''only id document_id'')'),
            ('document_permission', 'same_organization',                'AFTER INSERT OR UPDATE OF document_id, user_id, granted_by ON public.document_permission NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''document_id document'', ''user_id profile'', ''granted_by profile'')'),
            ('document_access_log', 'same_organization',                'AFTER INSERT OR UPDATE OF document_id, user_id ON public.document_access_log NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''document_id document'', ''user_id profile'')')
    ),
    found AS (
        SELECT tgrelid::regclass::text, tgname::text, regexp_replace(pg_get_triggerdef(oid), '^CREATE (CONSTRAINT )?TRIGGER \S+ ', '')
        FROM pg_trigger
        WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')
    )
    SELECT string_agg(format('%s on %s', trigger, name), '; ' ORDER BY format('%s on %s', trigger, name))
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('triggers missing, off or different: %s', wrong);
END
$$;

-- step: functions run as whom they should, with a pinned search_path
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, definer, volatility, result, settings) AS (
        VALUES
            ('keep_document_versions()', true,  'v', 'trigger', '{"search_path=public, pg_temp"}'),
            ('promote_document_version()', true,  'v', 'trigger', '{"search_path=public, pg_temp"}'),
            ('refuse_change_of_document()', false, 'v', 'trigger', '{"search_path=public, pg_temp"}'),
            ('verify_current_document_version()', true,  'v', 'trigger', '{"search_path=public, pg_temp"}'),
            ('document_right(uuid)', true,  's', 'text',    '{"search_path=public, pg_temp"}'),
            ('add_document_version(uuid,text,bigint,text,text,text,text)', false, 'v', 'uuid',    '{"search_path=public, pg_temp"}')
    ),
    found AS (
        SELECT oid::regprocedure::text, prosecdef, provolatile::text, prorettype::regtype::text, proconfig::text
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
    )
    SELECT string_agg(name, '; ' ORDER BY name)
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('functions missing or different: %s', wrong);
END
$$;

-- step: functions are for whom they should be
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, role) AS (
        VALUES
            ('add_document_version(uuid,text,bigint,text,text,text,text)', 'authenticated'),
            ('add_document_version(uuid,text,bigint,text,text,text,text)', 'service_role'),
            ('document_right(uuid)', 'authenticated'),
            ('document_right(uuid)', 'service_role')
    ),
    -- What a platform grants service_role by default is its own.
    found (name, role) AS (
        SELECT oid::regprocedure::text, role
        FROM pg_proc, unnest(ARRAY['anon', 'authenticated', 'service_role']) AS role
        WHERE pronamespace = 'public'::regnamespace
          AND proname = ANY (ARRAY['keep_document_versions', 'promote_document_version', 'refuse_change_of_document', 'verify_current_document_version', 'document_right', 'add_document_version'])
          AND has_function_privilege(role, oid, 'EXECUTE')
    )
    SELECT string_agg(format('%s %s', role, name), '; ' ORDER BY name, role)
    INTO wrong
    FROM wanted
    FULL JOIN found USING (name, role)
    WHERE wanted.name IS NULL AND role <> 'service_role' OR found.name IS NULL;
    ASSERT wrong IS NULL, format('functions too open or too closed: %s', wrong);
END
$$;

-- step: personal data and money are commented as such
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, col, class) AS (
        VALUES
            ('document',            'name',        'personal data: free text'),
            ('document',            'description', 'personal data: free text'),
            ('document',            'file_name',   'personal data: free text'),
            ('document',            'metadata',    'personal data: free text'),
            ('document',            'uploaded_by', 'personal data: behaviour'),
            ('document_permission', 'user_id',     'personal data: behaviour'),
            ('document_permission', 'granted_by',  'personal data: behaviour'),
            ('document_access_log', 'user_id',     'personal data: behaviour'),
            ('document_access_log', 'ip_address',  'personal data: location'),
            ('document_access_log', 'user_agent',  'personal data: behaviour'),
            ('document_access_log', 'accessed_at', 'personal data: behaviour')
    ),
    found AS (
        SELECT attrelid::regclass::text, attname::text, substring(col_description(attrelid, attnum) FROM '^(personal data: [a-z ]+|money):')
        FROM pg_attribute
        WHERE attnum > 0 AND NOT attisdropped AND col_description(attrelid, attnum) IS NOT NULL
    )
    SELECT string_agg(format('%s.%s', name, col), '; ' ORDER BY format('%s.%s', name, col))
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('columns not commented as personal data or money: %s', wrong);
END
$$;

-- step: every table has a comment
SELECT name AS without_comment
FROM unnest(ARRAY['document', 'document_permission', 'document_access_log']) AS name
WHERE obj_description(to_regclass(name), 'pg_class') IS NULL;

-- step: exactly one version of each chain is the current one
SELECT coalesce(parent_document_id, id) AS document, count(*) FILTER (WHERE is_current_version) AS current_versions
FROM document
GROUP BY 1
HAVING count(*) FILTER (WHERE is_current_version) <> 1;

-- step: numbers of versions are those of one chain, and nothing refers to another organisation
SELECT version.id AS document, 'not in the chain it names' AS found
FROM document AS version
JOIN document AS first ON first.id = version.parent_document_id
WHERE first.parent_document_id IS NOT NULL OR first.org_id <> version.org_id;

-- step: a version takes the place of the one before
DO $$
DECLARE
    writer  record;
    first   uuid;
    second  uuid;
    third   uuid;
    said    text := 'nothing';
BEGIN
    SELECT id, org_id INTO writer FROM profile ORDER BY id LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM set_config('request.jwt.claim.sub', writer.id::text, true), set_config('app.current_user_id', writer.id::text, true);

    INSERT INTO document (org_id, name, file_name, file_size_bytes, mime_type, file_hash, storage_path)
    VALUES (writer.org_id, 'Validation', 'a.txt', 1, 'text/plain', 'hash', 'nowhere')
    RETURNING id INTO first;
    second := add_document_version(first, 'b.txt', 2, 'text/plain', 'hash 2', 'nowhere');
    third := add_document_version(second, 'c.txt', 3, 'text/plain', 'hash 3', 'nowhere');
    ASSERT (
        SELECT array_agg((version_number, parent_document_id, is_current_version)::text ORDER BY version_number)
        FROM document
        WHERE first IN (id, parent_document_id)
    ) = ARRAY[(1, NULL::uuid, false)::text, (2, first, false)::text, (3, first, true)::text],
        'three versions should be numbered 1 to 3, and the last be the current one';

    DELETE FROM document WHERE id = third;
    ASSERT (SELECT is_current_version FROM document WHERE id = second), 'the version before a deleted one should be the current one';

    UPDATE document SET is_current_version = true WHERE id = first;
    SET CONSTRAINTS ALL IMMEDIATE;
    ASSERT NOT (SELECT is_current_version FROM document WHERE id = second), 'one version should be the current one, not two';

    BEGIN
        UPDATE document SET is_current_version = false WHERE id = first;
    EXCEPTION
        WHEN check_violation THEN
            said := 'refused';
    END;
    ASSERT said = 'refused', 'a document without a current version should be refused';
END
$$;

-- step: nobody has no right on a document
DO $$
BEGIN
    PERFORM set_config('request.jwt.claim.sub', '', true), set_config('app.current_user_id', '', true);
    ASSERT (SELECT count(document_right(id)) FROM (SELECT id FROM document LIMIT 100) AS few) = 0, 'a session that names no user has a right on documents';
    ASSERT document_right(gen_random_uuid()) IS NULL, 'there is a right on a document that is not there';
END
$$;
