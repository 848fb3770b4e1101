-- Migration 005: Communication, validation
--
-- What it is: each step raises, or returns rows, when something is not as 005 made it. It reads catalogues, and sends a message
-- to nobody, which is gone when the step is over.
--
-- What it locks: nothing but ACCESS SHARE, and the rows it makes itself.

-- step: columns are there
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, col, type, required, standard) AS (
        VALUES
            ('communication_template', 'id',               'uuid',                     true,  'gen_random_uuid()'),
            ('communication_template', 'org_id',           'uuid',                     true,  ''),
            ('communication_template', 'name',             'text',                     true,  ''),
            ('communication_template', 'description',      'text',                     false, ''),
            ('communication_template', 'template_type',    'template_type',            true,  ''),
            ('communication_template', 'subject',          'text',                     false, ''),
            ('communication_template', 'content',          'text',                     true,  ''),
            ('communication_template', 'variables',        'text[]',                   false, '''{}''::text[]'),
            ('communication_template', 'is_active',        'boolean',                  false, 'true'),
            ('communication_template', 'usage_count',      'integer',                  false, '0'),
            ('communication_template', 'created_by',       'uuid',                     true,  'tenant_user_id()'),
            ('communication_template', 'created_at',       'timestamp with time zone', false, 'now()'),
            ('communication_template', 'updated_at',       'timestamp with time zone', false, 'now()'),
            ('communication_campaign', 'id',               'uuid',                     true,  'gen_random_uuid()'),
            ('communication_campaign', 'org_id',           'uuid',                     true,  ''),
            ('communication_campaign', 'name',             'text',                     true,  ''),
            ('communication_campaign', 'description',      'text',                     false, ''),
            ('communication_campaign', 'template_id',      'uuid',                     true,  ''),
            ('communication_campaign', 'target_audience',  'jsonb',                    false, '''{}''::jsonb'),
            ('communication_campaign', 'scheduled_at',     'timestamp with time zone', false, ''),
            ('communication_campaign', 'sent_at',          'timestamp with time zone', false, ''),
            ('communication_campaign', 'status',           'text',                     false, '''draft''::text'),
            ('communication_campaign', 'total_recipients', 'integer',                  false, '0'),
            ('communication_campaign', 'successful_sends', 'integer',                  false, '0'),
            ('communication_campaign', 'failed_sends',     'integer',                  false, '0'),
            ('communication_campaign', 'created_by',       'uuid',                     true,  'tenant_user_id()'),
            ('communication_campaign', 'created_at',       'timestamp with time zone', false, 'now()'),
            ('communication_campaign', 'updated_at',       'timestamp with time zone', false, 'now()'),
            ('communication_log',      'id',               'uuid',                     true,  'gen_random_uuid()'),
            ('communication_log',      'org_id',           'uuid',                     true,  ''),
            ('communication_log',      'campaign_id',      'uuid',                     false, ''),
            ('communication_log',      'recipient_type',   'text',                     true,  ''),
            ('communication_log',      'recipient_id',     'uuid',                     true,  ''),
            ('communication_log',      'recipient_email',  'text',                     false, ''),
            ('communication_log',      'recipient_phone',  'text',                     false, ''),
            ('communication_log',      'template_id',      'uuid',                     false, ''),
            ('communication_log',      'subject',          'text',                     false, ''),
            ('communication_log',      'content',          'text',                     true,  ''),
            ('communication_log',      'status',           'text',                     false, '''sent''::text'),
            ('communication_log',      'error_message',    'text',                     false, ''),
            ('communication_log',      'external_id',      'text',                     false, ''),
            ('communication_log',      'sent_at',          'timestamp with time zone', true,  'now()'),
            ('communication_log',      'delivered_at',     'timestamp with time zone', false, ''),
            ('communication_log',      'opened_at',        'timestamp with time zone', false, ''),
            ('communication_log',      'clicked_at',       'timestamp with time zone', false, '')
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
            ('communication_template', 'communication_template_content_not_empty',              'CHECK ((char_length(content) > 0))'),
            ('communication_template', 'communication_template_name_length',                    'CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200)))'),
            ('communication_template', 'communication_template_subject_length',                 'CHECK (((char_length(subject) >= 1) AND (char_length(subject) <= 500)))'),
            ('communication_template', 'communication_template_usage_count_not_negative',       'CHECK ((usage_count >= 0))'),
            ('communication_template', 'communication_template_created_by_fkey',                'FOREIGN KEY (created_by) REFERENCES profile(id)'),
            ('communication_template', 'communication_template_org_id_fkey',                    'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('communication_template', 'communication_template_pkey',                           'PRIMARY KEY (id)'),
            ('communication_campaign', 'communication_campaign_counts_not_negative',            'CHECK (((total_recipients >= 0) AND (successful_sends >= 0) AND (failed_sends >= 0)))'),
            ('communication_campaign', 'communication_campaign_name_length',                    'CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200)))'),
            ('communication_campaign', 'communication_campaign_scheduled_has_a_time',           'CHECK (((status <> ''scheduled''::text) OR (scheduled_at IS NOT NULL)))'),
            ('communication_campaign', 'communication_campaign_sends_have_recipients',          'CHECK (((successful_sends + failed_sends) <= total_recipients))'),
            ('communication_campaign', 'communication_campaign_status_is_a_lower_case_word',    'CHECK ((status ~ ''^[a-z][a-z_]{0,49}$''::text))'),
            ('communication_campaign', 'communication_campaign_created_by_fkey',                'FOREIGN KEY (created_by) REFERENCES profile(id)'),
            ('communication_campaign', 'communication_campaign_org_id_fkey',                    'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('communication_campaign', 'communication_campaign_template_id_fkey',               'FOREIGN KEY (template_id) REFERENCES communication_template(id)'),
            ('communication_campaign', 'communication_campaign_pkey',                           'PRIMARY KEY (id)'),
            ('communication_log',      'communication_log_content_not_empty',                   'CHECK ((char_length(content) > 0))'),
            ('communication_log',      'communication_log_recipient_email_format',              'CHECK ((recipient_email ~ ''^[^@\s]+@[^@\s]+\.[^@\s]+$''::text))'),
            ('communication_log',      'communication_log_recipient_phone_length',              'CHECK (((char_length(recipient_phone) >= 4) AND (char_length(recipient_phone) <= 50)))'),
            ('communication_log',      'communication_log_recipient_type_is_a_lower_case_word', 'CHECK ((recipient_type ~ ''^[a-z][a-z_]{0,49}$''::text))'),
            ('communication_log',      'communication_log_status_is_a_lower_case_word',         'CHECK ((status ~ ''^[a-z][a-z_]{0,49}$''::text))'),
            ('communication_log',      'communication_log_times_follow_sending',                'CHECK (((delivered_at >= sent_at) AND (opened_at >= sent_at) AND (clicked_at >= sent_at)))'),
            ('communication_log',      'communication_log_campaign_id_fkey',                    'FOREIGN KEY (campaign_id) REFERENCES communication_campaign(id) ON DELETE SET NULL'),
            ('communication_log',      'communication_log_org_id_fkey',                         'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('communication_log',      'communication_log_template_id_fkey',                    'FOREIGN KEY (template_id) REFERENCES communication_template(id) ON DELETE SET NULL'),
            ('communication_log',      'communication_log_pkey',                                'PRIMARY KEY (id, sent_at)')
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
            ('communication_template', 'communication_template_pkey',            true,  'btree (id)'),
            ('communication_template', 'idx_communication_template_created_by',  false, 'btree (created_by)'),
            ('communication_template', 'idx_communication_template_org_name',    false, 'btree (org_id, name)'),
            ('communication_template', 'idx_communication_template_org_type',    false, 'btree (org_id, template_type) WHERE is_active'),
            ('communication_campaign', 'communication_campaign_pkey',            true,  'btree (id)'),
            ('communication_campaign', 'idx_communication_campaign_created_by',  false, 'btree (created_by)'),
            ('communication_campaign', 'idx_communication_campaign_due',         false, 'btree (scheduled_at) WHERE (status = ''scheduled''::text)'),
            ('communication_campaign', 'idx_communication_campaign_org_created', false, 'btree (org_id, created_at DESC)'),
            ('communication_campaign', 'idx_communication_campaign_org_status',  false, 'btree (org_id, status)'),
            ('communication_campaign', 'idx_communication_campaign_template',    false, 'btree (template_id)'),
            ('communication_log',      'communication_log_pkey',                 true,  'btree (id, sent_at)'),
            ('communication_log',      'idx_communication_log_campaign',         false, 'btree (campaign_id, status)'),
            ('communication_log',      'idx_communication_log_external',         false, 'btree (external_id) WHERE (external_id IS NOT NULL)'),
            ('communication_log',      'idx_communication_log_org_sent',         false, 'btree (org_id, sent_at DESC)'),
            ('communication_log',      'idx_communication_log_recipient',        false, 'btree (recipient_id, sent_at DESC)'),
            ('communication_log',      'idx_communication_log_template',         false, 'btree (template_id)')
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
  AND conrelid::regclass::text = ANY (ARRAY['communication_template', 'communication_campaign', 'communication_log'])
  AND NOT EXISTS (
      SELECT
      FROM pg_index
      WHERE indrelid = conrelid AND indisvalid AND indpred IS NULL AND indkey[0] = conkey[1]
  );

-- step: row-level security is on
SELECT name AS table_name, 'row-level security is off' AS found
FROM unnest(ARRAY['communication_template', 'communication_campaign', 'communication_log']) AS name
WHERE NOT coalesce((SELECT relrowsecurity FROM pg_class WHERE oid = to_regclass(name)), false);

-- step: policies guard reading and writing
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, policy, command, role, reading, writing) AS (
        VALUES
            ('communication_template', 'tenant_isolation', 'ALL', 'authenticated', '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))', '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('communication_campaign', 'tenant_isolation', 'ALL', 'authenticated', '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))', '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('communication_log',      'tenant_isolation', 'ALL', 'authenticated', '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))', '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))')
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
  AND tablename = ANY (ARRAY['communication_template', 'communication_campaign', 'communication_log'])
  AND policyname <> ALL (ARRAY['tenant_isolation']);

-- step: rights are as narrow as they should be, and as wide as the application needs
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, role, privileges) AS (
        VALUES
            ('communication_template', 'authenticated', 'SELECT INSERT UPDATE DELETE'),
            ('communication_template', 'service_role',  'SELECT INSERT UPDATE DELETE TRUNCATE REFERENCES TRIGGER'),
            ('communication_campaign', 'authenticated', 'SELECT INSERT UPDATE DELETE'),
            ('communication_campaign', 'service_role',  'SELECT INSERT UPDATE DELETE TRUNCATE REFERENCES TRIGGER'),
            ('communication_log',      'authenticated', 'SELECT INSERT UPDATE DELETE'),
            ('communication_log',      'service_role',  'SELECT INSERT UPDATE DELETE TRUNCATE REFERENCES TRIGGER')
    ),
    found (name, role, privileges) AS (
        SELECT name, role, string_agg(privilege, ' ' ORDER BY place)
        FROM unnest(ARRAY['communication_template', 'communication_campaign', 'communication_log']) AS name,
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
            ('communication_template', 'record_audit',         'AFTER INSERT OR DELETE OR UPDATE ON public.communication_template FOR EACH ROW EXECUTE FUNCTION record_audit()'),
            ('communication_template', 'same_organization',    'AFTER INSERT OR UPDATE OF created_by ON public.communication_template NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''org_id'', ''created_by profile'')'),
            ('communication_template', 'stay_in_organization', 'BEFORE UPDATE OF org_id ON public.communication_template FOR EACH ROW WHEN ((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('communication_template', 'touch_updated_at',     'BEFORE UPDATE ON public.communication_template FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('communication_campaign', 'record_audit',         'AFTER INSERT OR DELETE OR UPDATE ON public.communication_campaign FOR EACH ROW EXECUTE FUNCTION record_audit()'),
            ('communication_campaign', 'same_organization',    'AFTER INSERT OR UPDATE OF template_id, created_by ON public.communication_campaign NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''org_id'', ''template_id communication_template'', ''created_by profile'')'),
            ('communication_campaign', 'stay_in_organization', 'BEFORE UPDATE OF org_id ON public.communication_campaign FOR EACH ROW WHEN ((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('communication_campaign', 'touch_updated_at',     'BEFORE UPDATE ON public.communication_campaign FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('communication_log',      'same_organization',    'AFTER INSERT OR UPDATE OF campaign_id, template_id ON public.communication_log FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''org_id'', ''campaign_id communication_campaign'', ''template_id communication_template'')'),
            ('communication_log',      'stay_in_organization', 'BEFORE UPDATE OF org_id ON public.communication_log FOR EACH ROW WHEN ((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()')
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
            ('partition_bounds(regclass)', false, 's', 'record',   '{"search_path=public, pg_temp"}'),
            ('prepare_partition(regclass,text,text)', false, 'v', 'regclass', '{"search_path=public, pg_temp"}'),
            ('create_partitions_ahead(regclass,timestamp with time zone,timestamp with time zone,text)', false, 'v', 'regclass', '{"search_path=public, pg_temp"}'),
            ('create_default_partition(regclass)', false, 'v', 'regclass', '{"search_path=public, pg_temp"}')
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
        SELECT ''::text, ''::text WHERE false
    ),
    -- What a platform grants service_role by default is its own.
    found (name, role) AS (
        SELECT oid::regprocedure::text, role
        FROM pg_proc, unnest(ARRAY['anon', 'authenticated', 'service_role']) AS role
        WHERE pronamespace = 'public'::regnamespace
          AND proname = ANY (ARRAY['partition_bounds', 'prepare_partition', 'create_partitions_ahead', 'create_default_partition'])
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
            ('communication_template', 'description',     'personal data: free text'),
            ('communication_template', 'subject',         'personal data: free text'),
            ('communication_template', 'content',         'personal data: free text'),
            ('communication_campaign', 'description',     'personal data: free text'),
            ('communication_campaign', 'target_audience', 'personal data: behaviour'),
            ('communication_log',      'recipient_id',    'personal data: identity'),
            ('communication_log',      'recipient_email', 'personal data: contact'),
            ('communication_log',      'recipient_phone', 'personal data: contact'),
            ('communication_log',      'subject',         'personal data: free text'),
            ('communication_log',      'content',         'personal data: free text'),
            ('communication_log',      'error_message',   'personal data: free text'),
            ('communication_log',      'external_id',     'personal data: identity'),
            ('communication_log',      'opened_at',       'personal data: behaviour'),
            ('communication_log',      'clicked_at',      'personal data: behaviour')
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
FROM unnest(ARRAY['communication_template', 'communication_campaign', 'communication_log']) AS name
WHERE obj_description(to_regclass(name), 'pg_class') IS NULL;

-- step: quarters follow one another, three months ahead at least
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH bound AS (
        SELECT name, part, low, high, lag(high) OVER (PARTITION BY name ORDER BY low) AS high_before
        FROM unnest(ARRAY['communication_log']) AS name, partition_bounds(name::regclass)
    )
    SELECT string_agg(flaw, '; ' ORDER BY flaw)
    INTO wrong
    FROM (
        SELECT format('%s: a gap before %s', name, part) AS flaw FROM bound WHERE high_before < low
        UNION ALL
        SELECT format('%s ends at %s', name, coalesce(max(high)::text, 'no time')) FROM unnest(ARRAY['communication_log']) AS name LEFT JOIN bound USING (name)
        GROUP BY name
        HAVING coalesce(max(high), '-infinity') < now() + interval '3 months'
    ) AS everything;
    ASSERT wrong IS NULL, format('quarters missing: %s', wrong);
END
$$;

-- step: what lies outside has a place
SELECT name AS table_name, 'no default partition' AS found
FROM unnest(ARRAY['communication_log']) AS name
WHERE NOT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = to_regclass(name) AND partdefid <> 0);

-- step: partitions are guarded
SELECT relname AS partition, coalesce('open to ' || role, 'row-level security is off') AS found
FROM pg_class
JOIN pg_description ON objoid = pg_class.oid AND classoid = 'pg_class'::regclass AND objsubid = 0
LEFT JOIN unnest(ARRAY['anon', 'authenticated']) AS role
    ON has_table_privilege(role, pg_class.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
WHERE description LIKE 'Partition of %made by create\_partitions\_ahead().'
  AND relispartition
  AND (role IS NOT NULL OR NOT relrowsecurity);

-- step: partitions have every index of their table, valid, and a primary key
SELECT part AS partition, coalesce('no index of ' || parent_index.indexrelid::regclass, 'no primary key') AS found
FROM unnest(ARRAY['communication_log']) AS name
CROSS JOIN LATERAL (SELECT inhrelid::regclass AS part FROM pg_inherits WHERE inhparent = to_regclass(name)) AS parts
LEFT JOIN pg_index AS parent_index
    ON parent_index.indrelid = to_regclass(name)
   AND NOT EXISTS (
       SELECT
       FROM pg_index AS own
       JOIN pg_inherits ON inhrelid = own.indexrelid
       WHERE own.indrelid = part AND inhparent = parent_index.indexrelid AND own.indisvalid
   )
WHERE parent_index.indexrelid IS NOT NULL
   OR NOT EXISTS (SELECT FROM pg_index WHERE indrelid = part AND indisprimary AND indisvalid);

-- step: a message of today goes to its quarter, one of another time to the rest
DO $$
DECLARE
    home   uuid := (SELECT id FROM organization ORDER BY id LIMIT 1);
    place  regclass;
BEGIN
    IF home IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO communication_log (org_id, recipient_type, recipient_id, content)
    VALUES (home, 'customer', home, 'Validation')
    RETURNING tableoid INTO place;
    ASSERT place = to_regclass(to_char(now() AT TIME ZONE 'UTC', '"communication_log"_YYYY"_q"Q')), format('a message of today went to %s', place);

    INSERT INTO communication_log (org_id, recipient_type, recipient_id, content, sent_at)
    VALUES (home, 'customer', home, 'Validation', '1999-01-01')
    RETURNING tableoid INTO place;
    ASSERT place = to_regclass('communication_log_default'), format('a message of 1999 went to %s', place);
END
$$;
