-- Unit tests of migration 005: rules refuse what they should, and partitions are made ahead of time, split and filled.
-- Every test works in a subtransaction that it ends with an error of its own: nothing stays, whoever runs this.
-- Requires: 005. Locks nothing but rows and tables of its own.

-- step: rules of communication refuse what they should
DO $$
DECLARE
    writer   record;
    text_id  uuid;
    attempt  record;
    broken   text;
BEGIN
    SELECT id, org_id INTO writer FROM profile ORDER BY id LIMIT 1;
    IF NOT FOUND THEN
        RAISE NOTICE 'not applicable here: there is no user: rules were not tried';
        RETURN;
    END IF;

    BEGIN
        INSERT INTO communication_template (org_id, name, template_type, content, created_by)
        VALUES (writer.org_id, 'Unit', 'email', 'Hello', writer.id)
        RETURNING id INTO text_id;

        FOR attempt IN
            -- $1 organisation, $2 user, $3 template
            SELECT * FROM (VALUES
                ('communication_template_name_length', 'UPDATE communication_template SET name = '''' WHERE id = $3'),
                ('communication_template_subject_length', 'UPDATE communication_template SET subject = '''' WHERE id = $3'),
                ('communication_template_content_not_empty', 'UPDATE communication_template SET content = '''' WHERE id = $3'),
                ('communication_template_usage_count_not_negative', 'UPDATE communication_template SET usage_count = -1 WHERE id = $3'),
                ('communication_campaign_name_length', 'INSERT INTO communication_campaign (org_id, name, template_id, created_by) VALUES ($1, '''', $3, $2)'),
                ('communication_campaign_status_is_a_lower_case_word', 'INSERT INTO communication_campaign (org_id, name, template_id, created_by, status) VALUES ($1, ''A'', $3, $2, ''Not yet'')'),
                ('communication_campaign_scheduled_has_a_time', 'INSERT INTO communication_campaign (org_id, name, template_id, created_by, status) VALUES ($1, ''A'', $3, $2, ''scheduled'')'),
                ('communication_campaign_counts_not_negative', 'INSERT INTO communication_campaign (org_id, name, template_id, created_by, failed_sends) VALUES ($1, ''A'', $3, $2, -1)'),
                ('communication_campaign_sends_have_recipients', 'INSERT INTO communication_campaign (org_id, name, template_id, created_by, total_recipients, successful_sends, failed_sends) VALUES ($1, ''A'', $3, $2, 3, 2, 2)'),
                ('communication_log_recipient_type_is_a_lower_case_word', 'INSERT INTO communication_log (org_id, recipient_type, recipient_id, content) VALUES ($1, ''A customer'', $2, ''Hello'')'),
                ('communication_log_recipient_email_format', 'INSERT INTO communication_log (org_id, recipient_type, recipient_id, content, recipient_email) VALUES ($1, ''customer'', $2, ''Hello'', ''nobody'')'),
                ('communication_log_recipient_phone_length', 'INSERT INTO communication_log (org_id, recipient_type, recipient_id, content, recipient_phone) VALUES ($1, ''customer'', $2, ''Hello'', ''1'')'),
                ('communication_log_content_not_empty', 'INSERT INTO communication_log (org_id, recipient_type, recipient_id, content) VALUES ($1, ''customer'', $2, '''')'),
                ('communication_log_status_is_a_lower_case_word', 'INSERT INTO communication_log (org_id, recipient_type, recipient_id, content, status) VALUES ($1, ''customer'', $2, ''Hello'', ''On its way'')'),
                ('communication_log_times_follow_sending', 'INSERT INTO communication_log (org_id, recipient_type, recipient_id, content, opened_at) VALUES ($1, ''customer'', $2, ''Hello'', now() - interval ''1 day'')')
            ) AS attempts (rule, statement)
        LOOP
            broken := 'nothing';
            BEGIN
                EXECUTE 'SELECT $1::uuid, $2::uuid, $3::uuid' USING writer.org_id, writer.id, text_id;
                EXECUTE attempt.statement USING writer.org_id, writer.id, text_id;
            EXCEPTION
                WHEN integrity_constraint_violation OR check_violation THEN
                    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
            END;
            ASSERT broken = attempt.rule, format('%s should refuse, and %s did: %s', attempt.rule, broken, attempt.statement);
        END LOOP;

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR005';
    EXCEPTION
        WHEN SQLSTATE 'MR005' THEN NULL;
    END;
END
$$;

-- step: partitions are made where they lack, and what waits for them moves in
DO $$
DECLARE
    refused  text := 'nothing';
BEGIN
    BEGIN
        -- No primary key, as in audit_log: each partition has one all the same.
        CREATE TABLE unit_log (id uuid NOT NULL DEFAULT gen_random_uuid(), at timestamptz, n integer CHECK (n > 0)) PARTITION BY RANGE (at);
        CREATE INDEX ON unit_log (at);
        ASSERT create_default_partition('unit_log')::text = 'unit_log_default', 'a default partition should be made';
        ASSERT create_default_partition('unit_log') IS NULL, 'a second default partition should not be made';
        INSERT INTO unit_log (at, n) VALUES ('2030-02-01', 1), ('2030-05-01', 2), ('2031-01-01', 3), (NULL, 4);

        ASSERT (SELECT array_agg(made::text ORDER BY made::text) FROM create_partitions_ahead('unit_log', '2030-07-01', '2030-01-15') AS made)
            = ARRAY['unit_log_2030_q1', 'unit_log_2030_q2', 'unit_log_2030_q3'], 'three quarters should be made';
        ASSERT (SELECT array_agg(tableoid::regclass || ' ' || n ORDER BY n) FROM unit_log)
            = ARRAY['unit_log_2030_q1 1', 'unit_log_2030_q2 2', 'unit_log_default 3', 'unit_log_default 4'], 'what waited should be in its quarter';
        ASSERT NOT EXISTS (SELECT FROM create_partitions_ahead('unit_log', '2030-07-01')), 'nothing should be made twice';
        ASSERT (
            SELECT count(*) FROM pg_index WHERE indisprimary AND indrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'unit_log'::regclass)
        ) = 4, 'each partition should have a primary key';

        -- A gap between partitions is filled, a name that is taken is refused.
        DROP TABLE unit_log_2030_q2;
        ASSERT (SELECT array_agg(made::text) FROM create_partitions_ahead('unit_log', '2030-07-01') AS made) = ARRAY['unit_log_2030_q2'], 'a gap should be filled';
        CREATE TABLE unit_log_2030_q4 (a integer);
        BEGIN
            PERFORM create_partitions_ahead('unit_log', '2030-10-01');
        EXCEPTION
            WHEN duplicate_table THEN
                refused := sqlerrm;
        END;
        ASSERT refused = 'unit_log_2030_q4 is in the way of a partition of unit_log', format('a name that is taken should be refused, not: %s', refused);
        DROP TABLE unit_log_2030_q4;

        -- One that reaches to infinity is split.
        DELETE FROM unit_log WHERE n = 3;
        CREATE TABLE unit_log_later PARTITION OF unit_log FOR VALUES FROM ('2030-10-01 00:00+00') TO ('infinity');
        -- A publication FOR ALL TABLES takes it in at once, and needs to know rows of it that are moved.
        ALTER TABLE unit_log_later REPLICA IDENTITY FULL;
        INSERT INTO unit_log (at, n) VALUES ('2030-11-01', 5), ('2040-01-01', 6);
        ASSERT (SELECT count(*) FROM create_partitions_ahead('unit_log', '2031-01-01')) = 2, 'two quarters should be cut off from the last';
        ASSERT (SELECT array_agg(tableoid::regclass || ' ' || n ORDER BY n) FROM unit_log WHERE n > 2)
            = ARRAY['unit_log_default 4', 'unit_log_2030_q4 5', 'unit_log_later 6'], 'what waited should be in its quarter, the rest stay';
        ASSERT (SELECT low FROM partition_bounds('unit_log') WHERE part = 'unit_log_later'::regclass) = '2031-04-01 00:00+00', 'the last should begin after them';

        -- A partition of half a quarter is refused.
        DROP TABLE unit_log_2030_q1;
        CREATE TABLE unit_log_january PARTITION OF unit_log FOR VALUES FROM ('2030-01-01 00:00+00') TO ('2030-02-01 00:00+00');
        refused := 'nothing';
        BEGIN
            PERFORM create_partitions_ahead('unit_log', '2031-01-01');
        EXCEPTION
            WHEN invalid_object_definition THEN
                refused := sqlerrm;
        END;
        ASSERT refused LIKE 'unit_log_january covers the quarter from 2030-01-01%only in part', format('half a quarter should be refused, not: %s', refused);

        refused := 'nothing';
        BEGIN
            PERFORM create_partitions_ahead('organization');
        EXCEPTION
            WHEN wrong_object_type THEN
                refused := 'organization';
        END;
        ASSERT refused = 'organization', 'a table that is not partitioned should be refused';

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR005';
    EXCEPTION
        WHEN SQLSTATE 'MR005' THEN NULL;
    END;
END
$$;

-- step: partitions begin with the present quarter, or with the first one that was missed, and not before the first there is
DO $$
DECLARE
    present   timestamptz := date_trunc('quarter', now(), 'UTC');
    half_ago  timestamptz := (present AT TIME ZONE 'UTC' - interval '6 months') AT TIME ZONE 'UTC';
    next      timestamptz := (present AT TIME ZONE 'UTC' + interval '3 months') AT TIME ZONE 'UTC';
    attempt   record;
    found     record;
BEGIN
    BEGIN
        CREATE TABLE unit_new (id uuid NOT NULL, at timestamptz) PARTITION BY RANGE (at);
        CREATE TABLE unit_paused (LIKE unit_new) PARTITION BY RANGE (at);
        CREATE TABLE unit_open (LIKE unit_new) PARTITION BY RANGE (at);
        CREATE TABLE unit_given (LIKE unit_new) PARTITION BY RANGE (at);
        CREATE TABLE unit_ahead (LIKE unit_new) PARTITION BY RANGE (at);
        EXECUTE format('CREATE TABLE unit_paused_before PARTITION OF unit_paused FOR VALUES FROM (''2020-01-01'') TO (%L)', half_ago);
        EXECUTE format('CREATE TABLE unit_open_later PARTITION OF unit_open FOR VALUES FROM (%L) TO (''infinity'')', half_ago);
        EXECUTE format('CREATE TABLE unit_given_later PARTITION OF unit_given FOR VALUES FROM (%L) TO (''infinity'')', half_ago);
        EXECUTE format('CREATE TABLE unit_ahead_later PARTITION OF unit_ahead FOR VALUES FROM (%L) TO (''infinity'')', next);
        ALTER TABLE unit_open_later REPLICA IDENTITY FULL;
        ALTER TABLE unit_given_later REPLICA IDENTITY FULL;
        ALTER TABLE unit_ahead_later REPLICA IDENTITY FULL;
        INSERT INTO unit_open VALUES (gen_random_uuid(), half_ago);
        INSERT INTO unit_given VALUES (gen_random_uuid(), half_ago);

        FOR attempt IN
            SELECT *
            FROM (VALUES
                ('unit_new', NULL, present),
                ('unit_paused', NULL, half_ago),
                ('unit_open', NULL, half_ago),
                ('unit_given', present, half_ago),
                ('unit_ahead', NULL, next)
            ) AS attempts (name, given, beginning)
        LOOP
            PERFORM create_partitions_ahead(attempt.name::regclass, beginning => attempt.given);
            SELECT min(low) AS low, max(high) AS high INTO found FROM partition_bounds(attempt.name::regclass) WHERE part::text LIKE '%\_q_';
            ASSERT found.low = attempt.beginning, format('%s should begin at %s, not at %s', attempt.name, attempt.beginning, found.low);
            ASSERT found.high > now() + interval '6 months' AND found.high < now() + interval '10 months',
                format('%s should end in half a year, not at %s', attempt.name, found.high);
        END LOOP;

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR005';
    EXCEPTION
        WHEN SQLSTATE 'MR005' THEN NULL;
    END;
END
$$;
