-- Integration test: from template to campaign and log (migration 005), as users of organisations of its own.
-- It deletes the organisations at the end and sees that nothing of them is left; then all of it is rolled back, so that
-- audit_log keeps no trace of companies that never were.
-- Requires: 005, a role that may write to the platform's user table and act as authenticated. Locks nothing that is in use.

-- step: a template is sent to customers, and what became of it is on record, as a user would do it
DO $$
DECLARE
    test_org_id       uuid;
    other_org_id      uuid;
    test_user_id      uuid := gen_random_uuid();
    stranger          uuid := gen_random_uuid();
    test_template_id  uuid;
    test_campaign_id  uuid;
    tried             text;
    own_role          text := current_setting('role');
    left_over         bigint;
BEGIN
    BEGIN
        -- Two organisations with a user each, wherever the platform keeps users
        INSERT INTO organization (name, slug) VALUES ('Test Org', 'test-org-' || gen_random_uuid()) RETURNING id INTO test_org_id;
        INSERT INTO organization (name, slug) VALUES ('Other Org', 'test-org-' || gen_random_uuid()) RETURNING id INTO other_org_id;
        EXECUTE format('INSERT INTO %s (id) VALUES ($1), ($2)', coalesce(to_regclass('auth.users'), to_regclass('auth.users_extended')))
        USING test_user_id, stranger;
        INSERT INTO profile (id, org_id, role, display_name) VALUES
            (test_user_id, test_org_id, 'admin', 'Test User'),
            (stranger, other_org_id, 'admin', 'Stranger');
        -- Where the platform's table says itself where a user belongs, it has to say so of these as well.
        IF EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = to_regclass('auth.users_extended') AND attname = 'org_id' AND NOT attisdropped
        ) THEN
            EXECUTE 'UPDATE auth.users_extended AS u SET org_id = p.org_id FROM profile AS p WHERE p.id = u.id AND p.created_at = now()';
        END IF;

        PERFORM pg_temp.act_as(test_user_id, test_org_id);

        -- A template, and a campaign that is to send it to two customers tomorrow
        INSERT INTO customer (org_id, name, email) VALUES
            (test_org_id, 'Ada Byron', 'ada@engines.example'),
            (test_org_id, 'Charles Babbage', 'charles@engines.example');
        INSERT INTO communication_template (org_id, name, template_type, subject, content, variables)
        VALUES (test_org_id, 'Greeting', 'email', 'Hello {name}', 'Dear {name}, the engine runs.', '{name}')
        RETURNING id INTO test_template_id;
        INSERT INTO communication_campaign (org_id, name, template_id, status, scheduled_at)
        VALUES (test_org_id, 'The engine runs', test_template_id, 'scheduled', now() + interval '1 day')
        RETURNING id INTO test_campaign_id;
        ASSERT (SELECT created_by = test_user_id FROM communication_campaign WHERE id = test_campaign_id),
            'a campaign should know who made it';

        -- Sent: one message arrives and is opened, one does not
        UPDATE communication_campaign SET status = 'sending', total_recipients = 2 WHERE id = test_campaign_id;
        INSERT INTO communication_log (org_id, campaign_id, template_id, recipient_type, recipient_id, recipient_email, subject, content)
        SELECT
            c.org_id, test_campaign_id, t.id, 'customer', c.id, c.email,
            replace(t.subject, '{name}', c.name), replace(t.content, '{name}', c.name)
        FROM customer AS c
        JOIN communication_template AS t ON t.id = test_template_id;
        UPDATE communication_log SET status = 'opened', delivered_at = sent_at, opened_at = sent_at + interval '1 minute'
        WHERE campaign_id = test_campaign_id AND recipient_email = 'ada@engines.example';
        UPDATE communication_log SET status = 'bounced', error_message = 'no such mailbox'
        WHERE campaign_id = test_campaign_id AND recipient_email = 'charles@engines.example';
        UPDATE communication_campaign AS c
        SET status = 'sent', sent_at = now(), successful_sends = log.arrived, failed_sends = log.failed
        FROM (
            SELECT count(*) FILTER (WHERE status = 'opened') AS arrived, count(*) FILTER (WHERE status = 'bounced') AS failed
            FROM communication_log
            WHERE campaign_id = test_campaign_id
        ) AS log
        WHERE c.id = test_campaign_id;
        ASSERT (
            SELECT (status, total_recipients, successful_sends, failed_sends) = ('sent', 2, 1, 1)
            FROM communication_campaign
            WHERE id = test_campaign_id
        ), 'a campaign should count what the log says';
        ASSERT (
            SELECT array_agg(subject ORDER BY subject) = '{Hello Ada Byron,Hello Charles Babbage}'
            FROM communication_log
            WHERE template_id = test_template_id AND sent_at = now()
        ), 'the log should hold what was sent';
        BEGIN
            UPDATE communication_campaign SET failed_sends = 2 WHERE id = test_campaign_id;
            tried := 'possible';
        EXCEPTION
            WHEN check_violation THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'more sends than recipients should be refused, it was ' || tried;
        BEGIN
            DELETE FROM communication_template WHERE id = test_template_id;
            tried := 'possible';
        EXCEPTION
            WHEN foreign_key_violation THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'deleting the template of a campaign should be refused, it was ' || tried;

        -- Another organisation neither sees it nor sends with it
        PERFORM pg_temp.act_as(stranger, other_org_id);
        ASSERT (
            SELECT sum(seen) = 0
            FROM (
                SELECT count(*) FROM communication_template
                UNION ALL SELECT count(*) FROM communication_campaign
                UNION ALL SELECT count(*) FROM communication_log
            ) AS tables (seen)
        ), 'an administrator of another organisation should see nothing';
        BEGIN
            INSERT INTO communication_campaign (org_id, name, template_id) VALUES (other_org_id, 'Borrowed', test_template_id);
            tried := 'possible';
        EXCEPTION
            WHEN foreign_key_violation THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'a campaign with another organisation''s template should be refused, it was ' || tried;
        BEGIN
            INSERT INTO communication_log (org_id, campaign_id, recipient_type, recipient_id, content)
            VALUES (test_org_id, test_campaign_id, 'customer', stranger, 'Hello');
            tried := 'possible';
        EXCEPTION
            WHEN insufficient_privilege THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'a message in another organisation''s name should be refused, it was ' || tried;

        -- The log outlives its campaign
        PERFORM pg_temp.act_as(test_user_id, test_org_id);
        DELETE FROM communication_campaign WHERE id = test_campaign_id;
        ASSERT (SELECT count(*) = 2 AND count(campaign_id) = 0 FROM communication_log WHERE template_id = test_template_id),
            'what was sent should stay when its campaign is deleted';

        -- What the audit trail says
        PERFORM set_config('role', own_role, true);
        ASSERT (
            SELECT count(DISTINCT (table_name, action)) = 4 AND bool_and(user_id = test_user_id)
            FROM audit_log
            WHERE org_id = test_org_id
              AND table_name IN ('communication_template', 'communication_campaign')
        ), 'the audit trail should tell who did all this';

        -- Cleanup
        DELETE FROM organization WHERE id IN (test_org_id, other_org_id);
        SET CONSTRAINTS ALL IMMEDIATE;
        SELECT sum(remaining)
        INTO left_over
        FROM (
            SELECT count(*) FROM communication_template WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM communication_campaign WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM communication_log WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM customer WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM profile WHERE id IN (test_user_id, stranger)
        ) AS tables (remaining);
        ASSERT left_over = 0, format('%s rows outlived their organisation', left_over);

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR005';
    EXCEPTION
        WHEN SQLSTATE 'MR005' THEN
            NULL;
    END;
END
$$;
