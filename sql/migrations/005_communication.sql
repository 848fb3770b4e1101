-- Migration 005: Communication
-- phase: 4
-- requires: 001, 002
--
-- What it is: communication_template, communication_campaign and communication_log, which is partitioned by quarter of
-- sent_at; and the functions that make partitions ahead of time, for this table and for those of 006 and 007:
-- create_partitions_ahead(), create_default_partition().
--
-- What it locks: no row of an existing table is read or rewritten. Two steps take SHARE ROW EXCLUSIVE, on organization and
-- on profile, for the moment it takes to hang foreign keys of empty tables on them: reading goes on, a write there waits
-- for milliseconds. The key of communication_log is not NOT VALID first: PostgreSQL before 18 has no such key on a
-- partitioned table, and there is no row to scan. Everything else is new.
--
-- What an operator must know:
-- - SELECT create_partitions_ahead('communication_log') makes the quarters that are missing up to half a year ahead, and may
--   be called at any time, by a job each month for example; a second argument says until when. Until it is called, later
--   rows go to the default partition; it moves them to their quarter when it makes that. It waits 100 ms for a lock unless
--   the session has a lock_timeout of its own;
-- - half a year, and no more, because a statement that gives no date is planned over every partition there is;
-- - ATTACH PARTITION takes SHARE UPDATE EXCLUSIVE on the table (reading and writing go on), SHARE ROW EXCLUSIVE on the tables
--   it refers to, and ACCESS EXCLUSIVE on the default partition, which is scanned: it holds little, for that is what
--   partitions ahead of time are for. What is attached is empty, or holds what was just moved: there is nothing to prove;
-- - partitions are reached through their table: nobody but service_role has a right on one, and row-level security is on
--   and without a policy there, so that a GRANT on all tables does not open them;
-- - the new tables are closed to everybody until the last step grants them.

-- step: functions that make partitions
-- MINVALUE reads as -infinity, MAXVALUE as infinity; a default partition has no bounds and is left out.
CREATE FUNCTION partition_bounds(target regclass)
    RETURNS TABLE (
        part  regclass,
        low   timestamptz,
        high  timestamptz
    )
    LANGUAGE sql
    STABLE
    SET search_path = public, pg_temp
AS $$
    SELECT
        inhrelid::regclass,
        CASE edge[1] WHEN 'MINVALUE' THEN '-infinity' ELSE btrim(edge[1], '''')::timestamptz END,
        CASE edge[2] WHEN 'MAXVALUE' THEN 'infinity' ELSE btrim(edge[2], '''')::timestamptz END
    FROM pg_inherits
    JOIN pg_class ON pg_class.oid = inhrelid
    CROSS JOIN LATERAL regexp_match(pg_get_expr(relpartbound, inhrelid), 'FROM \((.*)\) TO \((.*)\)') AS edge
    WHERE inhparent = target AND edge IS NOT NULL
$$;

COMMENT ON FUNCTION partition_bounds(regclass) IS
    'From (inclusive) and until (exclusive) when the partitions of a table reach, which is partitioned by one timestamptz.';

-- A plain table that could be a partition. LIKE brings columns, rules, defaults, comments and indexes; foreign keys and
-- triggers come with ATTACH. Where the table has no primary key (audit_log), the partition still has one.
CREATE FUNCTION prepare_partition(target regclass, partition_name text, period text)
    RETURNS regclass
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    parent   record;
    made     regclass;
    sibling  regclass;
    own      record;
    open_to  text;
BEGIN
    SELECT nspname, relname, relowner, pg_get_userbyid(relowner) AS owner
    INTO parent
    FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE pg_class.oid = target;

    IF to_regclass(format('%I.%I', parent.nspname, partition_name)) IS NOT NULL THEN
        RAISE EXCEPTION '% is in the way of a partition of %', partition_name, target
            USING ERRCODE = 'duplicate_table',
                  HINT = format('Attach it (ALTER TABLE %s ATTACH PARTITION %I ...), or rename it.', target, partition_name);
    END IF;

    EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING ALL)', parent.nspname, partition_name, target);
    made := format('%I.%I', parent.nspname, partition_name)::regclass;
    IF NOT EXISTS (SELECT FROM pg_index WHERE indrelid = made AND indisprimary) THEN
        EXECUTE format('ALTER TABLE %s ADD PRIMARY KEY (id)', made);
    END IF;
    IF (SELECT relowner FROM pg_class WHERE oid = made) <> parent.relowner THEN
        EXECUTE format('ALTER TABLE %s OWNER TO %I', made, parent.owner);
    END IF;

    -- What the newest partition has of its own, and the table has not: indexes that were made partition by partition, storage
    -- parameters, statistics targets.
    SELECT inhrelid
    INTO sibling
    FROM pg_inherits
    JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = target AND relkind = 'r'
      AND inhrelid IS DISTINCT FROM (SELECT partdefid FROM pg_partitioned_table WHERE partrelid = target)
    ORDER BY pg_get_expr(relpartbound, inhrelid) DESC
    LIMIT 1;
    IF sibling IS NOT NULL THEN
        FOR own IN
            SELECT
                CASE WHEN indisunique THEN ' UNIQUE' ELSE '' END AS is_unique,
                substring(pg_get_indexdef(indexrelid) FROM ' USING .*') AS definition
            FROM pg_index
            WHERE indrelid = sibling
              AND indisvalid
              AND NOT indisexclusion
              AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid)
              AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
              AND NOT EXISTS (
                  SELECT
                  FROM pg_index AS there
                  WHERE there.indrelid = made
                    AND there.indisunique >= pg_index.indisunique
                    AND substring(pg_get_indexdef(there.indexrelid) FROM ' USING .*') = substring(pg_get_indexdef(pg_index.indexrelid) FROM ' USING .*')
              )
            ORDER BY indexrelid
        LOOP
            EXECUTE format('CREATE%s INDEX ON %s%s', own.is_unique, made, own.definition);
        END LOOP;
        FOR own IN SELECT option_name, option_value FROM pg_class, pg_options_to_table(reloptions) WHERE oid = sibling LOOP
            EXECUTE format('ALTER TABLE %s SET (%I = %L)', made, own.option_name, own.option_value);
        END LOOP;
        FOR own IN
            SELECT attname, attstattarget FROM pg_attribute
            WHERE attrelid = sibling AND attnum > 0 AND NOT attisdropped AND attstattarget >= 0
        LOOP
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', made, own.attname, own.attstattarget);
        END LOOP;
    END IF;

    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', made);
    -- Whatever default privileges gave, to whichever role: it would read around the policies of the table.
    FOR open_to IN
        SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
        FROM pg_class, aclexplode(relacl)
        WHERE pg_class.oid = made AND grantee <> relowner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s CASCADE', made, open_to);
    END LOOP;
    EXECUTE format('GRANT ALL ON %s TO service_role', made);
    EXECUTE format(
        'COMMENT ON TABLE %s IS %L',
        made,
        format('Partition of %s for %s, made by create_partitions_ahead().', parent.relname, period)
    );
    RETURN made;
END
$$;

COMMENT ON FUNCTION prepare_partition(regclass, text, text) IS
    'Makes an empty table that can be attached to another as a partition, with the rights a partition has; its comment says what it is for.';

-- All tables are made before the first lock that anybody feels. What lies in the partition that catches the rest (the default
-- one, or one that reaches to infinity) moves along without firing triggers: it was counted when it came.
CREATE FUNCTION create_partitions_ahead(
    target         regclass,
    until          timestamptz DEFAULT now() + interval '6 months',
    beginning      timestamptz DEFAULT NULL,
    named_after    text DEFAULT NULL
)
    RETURNS SETOF regclass
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    parent       record;
    rest         record;
    catching     regclass[] := '{}';
    catcher      regclass;
    quarter      timestamptz;
    following         timestamptz;
    overlapping  record;
    made         regclass[] := '{}';
    lows         timestamptz[] := '{}';
    highs        timestamptz[] := '{}';
    columns      text;
    is_waiting   boolean;
BEGIN
    SELECT relname, quote_ident(attname) AS key, nullif(partdefid, 0)::regclass AS fallback
    INTO parent
    FROM pg_partitioned_table
    JOIN pg_class ON pg_class.oid = partrelid
    JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
    WHERE partrelid = target AND partstrat = 'r' AND partnatts = 1 AND atttypid = 'timestamptz'::regtype;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is not partitioned by ranges of one timestamptz', target
            USING ERRCODE = 'wrong_object_type';
    END IF;
    IF NOT isfinite(until) THEN
        RAISE EXCEPTION 'partitions are made until a day, not until %', until USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF current_setting('lock_timeout') = '0' THEN
        PERFORM set_config('lock_timeout', '100ms', true);
    END IF;

    SELECT part, low INTO rest FROM partition_bounds(target) WHERE high = 'infinity' AND low > '-infinity';
    -- Quarters that were missed since the last one that is there are made up for, and a partition that reaches to infinity is
    -- cut from its beginning. What comes before the first stays where it is.
    SELECT greatest(
        min(low) FILTER (WHERE isfinite(low)),
        least(now(), max(high) FILTER (WHERE isfinite(high)))
    )
    INTO quarter
    FROM partition_bounds(target);
    quarter := date_trunc('quarter', least(coalesce(beginning, quarter), rest.low), 'UTC');

    WHILE quarter <= until LOOP
        following := (quarter AT TIME ZONE 'UTC' + interval '3 months') AT TIME ZONE 'UTC';
        SELECT
            string_agg(part::text, ', ' ORDER BY low) AS parts,
            sum(least(high, following) - greatest(low, quarter)) = following - quarter AS is_whole
        INTO overlapping
        FROM partition_bounds(target)
        WHERE low < following AND high > quarter AND part IS DISTINCT FROM rest.part;

        IF overlapping.parts IS NULL THEN
            made := made || prepare_partition(
                target,
                coalesce(named_after, parent.relname) || to_char(quarter AT TIME ZONE 'UTC', '_YYYY"_q"Q'),
                to_char(quarter AT TIME ZONE 'UTC', 'YYYY "Q"Q')
            );
            lows := lows || quarter;
            highs := highs || following;
        ELSIF NOT overlapping.is_whole THEN
            RAISE EXCEPTION '% covers the quarter from % only in part', overlapping.parts, quarter
                USING ERRCODE = 'invalid_object_definition',
                      HINT = format('Make a partition of %s for the other part of the quarter by hand.', target);
        END IF;
        quarter := following;
    END LOOP;
    IF made = '{}' THEN
        RETURN;
    END IF;

    IF rest.low < highs[cardinality(highs)] THEN
        EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', target);
        EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', target, rest.part);
        catching := catching || rest.part;
    ELSE
        EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', target);
    END IF;
    IF parent.fallback IS NOT NULL THEN
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', parent.fallback);
        catching := catching || parent.fallback;
    END IF;

    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
    INTO columns
    FROM pg_attribute
    WHERE attrelid = target AND attnum > 0 AND NOT attisdropped AND attgenerated = '';

    FOR number IN 1 .. cardinality(made) LOOP
        FOREACH catcher IN ARRAY catching LOOP
            EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %s >= $1 AND %2$s < $2)', catcher, parent.key)
            INTO is_waiting
            USING lows[number], highs[number];
            CONTINUE WHEN NOT is_waiting;

            EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', catcher);
            EXECUTE format(
                'WITH moved AS (DELETE FROM %1$s WHERE %2$s >= $1 AND %2$s < $2 RETURNING %3$s)'
                ' INSERT INTO %4$s (%3$s) SELECT %3$s FROM moved',
                catcher, parent.key, columns, made[number]
            )
            USING lows[number], highs[number];
            EXECUTE format('ALTER TABLE %s ENABLE TRIGGER USER', catcher);
        END LOOP;
        EXECUTE format(
            'ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
            target, made[number], lows[number], highs[number]
        );
    END LOOP;

    IF rest.part = ANY (catching) THEN
        EXECUTE format(
            'ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (''infinity'')',
            target, rest.part, highs[cardinality(highs)]
        );
    END IF;
    RETURN QUERY SELECT unnest(made);
END
$$;

COMMENT ON FUNCTION create_partitions_ahead(regclass, timestamptz, timestamptz, text) IS
    'Makes the quarters that a partitioned table lacks, from the present one, or from where its last one ends if that is over (or from beginning, and not before its first), until the one that holds until, and names them after the table (or named_after). Returns what it made.';

CREATE FUNCTION create_default_partition(target regclass)
    RETURNS regclass
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    made  regclass;
BEGIN
    IF (SELECT partdefid FROM pg_partitioned_table WHERE partrelid = target) <> 0 THEN
        RETURN NULL;
    END IF;
    made := prepare_partition(
        target,
        (SELECT relname FROM pg_class WHERE oid = target) || '_default',
        'what no other partition takes'
    );
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s DEFAULT', target, made);
    RETURN made;
END
$$;

COMMENT ON FUNCTION create_default_partition(regclass) IS
    'Gives a partitioned table the partition for what no other takes; NULL where it has one.';

REVOKE EXECUTE ON FUNCTION
    partition_bounds(regclass),
    prepare_partition(regclass, text, text),
    create_partitions_ahead(regclass, timestamptz, timestamptz, text),
    create_default_partition(regclass)
    FROM PUBLIC, anon, authenticated;

-- step: templates
CREATE TABLE communication_template (
    id             uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id         uuid           NOT NULL,
    name           text           NOT NULL,
    description    text,
    template_type  template_type  NOT NULL,
    subject        text,
    content        text           NOT NULL,
    variables      text[]         DEFAULT '{}',
    is_active      boolean        DEFAULT true,
    usage_count    integer        DEFAULT 0,
    created_by     uuid           NOT NULL DEFAULT tenant_user_id(),
    created_at     timestamptz    DEFAULT now(),
    updated_at     timestamptz    DEFAULT now(),

    CONSTRAINT communication_template_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT communication_template_subject_length
        CHECK (char_length(subject) BETWEEN 1 AND 500),
    CONSTRAINT communication_template_content_not_empty
        CHECK (char_length(content) > 0),
    CONSTRAINT communication_template_usage_count_not_negative
        CHECK (usage_count >= 0)
);

COMMENT ON TABLE  communication_template             IS 'Texts with variables, from which messages are made.';
COMMENT ON COLUMN communication_template.name        IS 'not personal: what the template is called.';
COMMENT ON COLUMN communication_template.description IS 'personal data: free text: may name people.';
COMMENT ON COLUMN communication_template.subject     IS 'personal data: free text: may name people, where no variable does.';
COMMENT ON COLUMN communication_template.content     IS 'personal data: free text: may name people, where no variable does.';
COMMENT ON COLUMN communication_template.variables   IS 'Names of the variables that the text has.';

CREATE INDEX idx_communication_template_org_type ON communication_template (org_id, template_type) WHERE is_active;
CREATE INDEX idx_communication_template_org_name ON communication_template (org_id, name);
CREATE INDEX idx_communication_template_created_by ON communication_template (created_by);

ALTER TABLE communication_template ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON communication_template
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));
REVOKE ALL ON communication_template FROM PUBLIC, anon, authenticated;

CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON communication_template
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF created_by ON communication_template
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization('org_id', 'created_by profile');
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON communication_template
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON communication_template
    FOR EACH ROW EXECUTE FUNCTION record_audit();

-- step: campaigns
CREATE TABLE communication_campaign (
    id                uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id            uuid         NOT NULL,
    name              text         NOT NULL,
    description       text,
    template_id       uuid         NOT NULL,
    target_audience   jsonb        DEFAULT '{}',
    scheduled_at      timestamptz,
    sent_at           timestamptz,
    status            text         DEFAULT 'draft',
    total_recipients  integer      DEFAULT 0,
    successful_sends  integer      DEFAULT 0,
    failed_sends      integer      DEFAULT 0,
    created_by        uuid         NOT NULL DEFAULT tenant_user_id(),
    created_at        timestamptz  DEFAULT now(),
    updated_at        timestamptz  DEFAULT now(),

    CONSTRAINT communication_campaign_template_id_fkey
        FOREIGN KEY (template_id) REFERENCES communication_template (id),
    CONSTRAINT communication_campaign_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT communication_campaign_status_is_a_lower_case_word
        CHECK (status ~ '^[a-z][a-z_]{0,49}$'),
    CONSTRAINT communication_campaign_scheduled_has_a_time
        CHECK (status <> 'scheduled' OR scheduled_at IS NOT NULL),
    CONSTRAINT communication_campaign_counts_not_negative
        CHECK (total_recipients >= 0 AND successful_sends >= 0 AND failed_sends >= 0),
    CONSTRAINT communication_campaign_sends_have_recipients
        CHECK (successful_sends + failed_sends <= total_recipients)
);

COMMENT ON TABLE  communication_campaign                 IS 'A template sent to many, at once or at a given time.';
COMMENT ON COLUMN communication_campaign.name            IS 'not personal: what the campaign is called.';
COMMENT ON COLUMN communication_campaign.description     IS 'personal data: free text: may name people.';
COMMENT ON COLUMN communication_campaign.target_audience IS 'personal data: behaviour: by what the recipients are chosen.';
COMMENT ON COLUMN communication_campaign.status          IS 'A word of the application: draft, scheduled, sending, sent, cancelled, failed ...';

CREATE INDEX idx_communication_campaign_org_status ON communication_campaign (org_id, status);
CREATE INDEX idx_communication_campaign_org_created ON communication_campaign (org_id, created_at DESC);
CREATE INDEX idx_communication_campaign_due ON communication_campaign (scheduled_at) WHERE status = 'scheduled';
CREATE INDEX idx_communication_campaign_template ON communication_campaign (template_id);
CREATE INDEX idx_communication_campaign_created_by ON communication_campaign (created_by);

ALTER TABLE communication_campaign ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON communication_campaign
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));
REVOKE ALL ON communication_campaign FROM PUBLIC, anon, authenticated;

CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON communication_campaign
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF template_id, created_by ON communication_campaign
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(
        'org_id', 'template_id communication_template', 'created_by profile'
    );
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON communication_campaign
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON communication_campaign
    FOR EACH ROW EXECUTE FUNCTION record_audit();

-- step: what was sent
-- No record_audit: this is itself a log, and the second largest of all.
CREATE TABLE communication_log (
    id               uuid         NOT NULL DEFAULT gen_random_uuid(),
    org_id           uuid         NOT NULL,
    campaign_id      uuid,
    recipient_type   text         NOT NULL,
    recipient_id     uuid         NOT NULL,
    recipient_email  text,
    recipient_phone  text,
    template_id      uuid,
    subject          text,
    content          text         NOT NULL,
    status           text         DEFAULT 'sent',
    error_message    text,
    external_id      text,
    sent_at          timestamptz  NOT NULL DEFAULT now(),
    delivered_at     timestamptz,
    opened_at        timestamptz,
    clicked_at       timestamptz,

    CONSTRAINT communication_log_pkey
        PRIMARY KEY (id, sent_at),
    CONSTRAINT communication_log_campaign_id_fkey
        FOREIGN KEY (campaign_id) REFERENCES communication_campaign (id) ON DELETE SET NULL,
    CONSTRAINT communication_log_template_id_fkey
        FOREIGN KEY (template_id) REFERENCES communication_template (id) ON DELETE SET NULL,
    CONSTRAINT communication_log_recipient_type_is_a_lower_case_word
        CHECK (recipient_type ~ '^[a-z][a-z_]{0,49}$'),
    CONSTRAINT communication_log_recipient_email_format
        CHECK (recipient_email ~ '^[^@\s]+@[^@\s]+\.[^@\s]+$'),
    CONSTRAINT communication_log_recipient_phone_length
        CHECK (char_length(recipient_phone) BETWEEN 4 AND 50),
    CONSTRAINT communication_log_content_not_empty
        CHECK (char_length(content) > 0),
    CONSTRAINT communication_log_status_is_a_lower_case_word
        CHECK (status ~ '^[a-z][a-z_]{0,49}$'),
    CONSTRAINT communication_log_times_follow_sending
        CHECK (delivered_at >= sent_at AND opened_at >= sent_at AND clicked_at >= sent_at)
) PARTITION BY RANGE (sent_at);

COMMENT ON TABLE  communication_log                 IS 'Every message that was sent, one row each; partitioned by quarter of sent_at.';
COMMENT ON COLUMN communication_log.recipient_id    IS 'personal data: identity: id of the recipient in the table that recipient_type stands for, guarded by no foreign key.';
COMMENT ON COLUMN communication_log.recipient_email IS 'personal data: contact: where the message was sent.';
COMMENT ON COLUMN communication_log.recipient_phone IS 'personal data: contact: where the message was sent.';
COMMENT ON COLUMN communication_log.subject         IS 'personal data: free text: as the recipient read it.';
COMMENT ON COLUMN communication_log.content         IS 'personal data: free text: as the recipient read it.';
COMMENT ON COLUMN communication_log.error_message   IS 'personal data: free text: as the provider said it, which may quote an address.';
COMMENT ON COLUMN communication_log.external_id     IS 'personal data: identity: the provider''s number of the message.';
COMMENT ON COLUMN communication_log.opened_at       IS 'personal data: behaviour: when the recipient opened it.';
COMMENT ON COLUMN communication_log.clicked_at      IS 'personal data: behaviour: when the recipient followed a link.';
COMMENT ON COLUMN communication_log.status          IS 'A word of the application: queued, sent, delivered, opened, bounced, failed ...';

CREATE INDEX idx_communication_log_org_sent ON communication_log (org_id, sent_at DESC);
CREATE INDEX idx_communication_log_campaign ON communication_log (campaign_id, status);
CREATE INDEX idx_communication_log_template ON communication_log (template_id);
CREATE INDEX idx_communication_log_recipient ON communication_log (recipient_id, sent_at DESC);
CREATE INDEX idx_communication_log_external ON communication_log (external_id) WHERE external_id IS NOT NULL;

ALTER TABLE communication_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON communication_log
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));
REVOKE ALL ON communication_log FROM PUBLIC, anon, authenticated;

CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON communication_log
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE TRIGGER same_organization
    AFTER INSERT OR UPDATE OF campaign_id, template_id ON communication_log
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(
        'org_id', 'campaign_id communication_campaign', 'template_id communication_template'
    );

SELECT create_partitions_ahead('communication_log');
SELECT create_default_partition('communication_log');

-- step: templates and campaigns belong to organisations
ALTER TABLE communication_template ADD CONSTRAINT communication_template_org_id_fkey
    FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE communication_campaign ADD CONSTRAINT communication_campaign_org_id_fkey
    FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;

-- step: what was sent belongs to organisations
ALTER TABLE communication_log ADD CONSTRAINT communication_log_org_id_fkey
    FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE;

-- step: templates and campaigns name users
ALTER TABLE communication_template ADD CONSTRAINT communication_template_created_by_fkey
    FOREIGN KEY (created_by) REFERENCES profile (id) NOT VALID;
ALTER TABLE communication_campaign ADD CONSTRAINT communication_campaign_created_by_fkey
    FOREIGN KEY (created_by) REFERENCES profile (id) NOT VALID;

-- step: foreign keys of communication hold for every row
ALTER TABLE communication_template
    VALIDATE CONSTRAINT communication_template_org_id_fkey,
    VALIDATE CONSTRAINT communication_template_created_by_fkey;
ALTER TABLE communication_campaign
    VALIDATE CONSTRAINT communication_campaign_org_id_fkey,
    VALIDATE CONSTRAINT communication_campaign_created_by_fkey;

-- step: open communication to the application
GRANT SELECT, INSERT, UPDATE, DELETE ON communication_template, communication_campaign, communication_log TO authenticated;
GRANT ALL ON communication_template, communication_campaign, communication_log TO service_role;
