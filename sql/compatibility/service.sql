-- The baseline's own statements that no signed-in user makes: organisations and users come and go by the service, and the
-- audit log is written by it beside the triggers.
-- requires: a user with a profile; a role above row-level security

-- step: organization
DO $$
DECLARE
    made  uuid;
    seen  record;
BEGIN
    INSERT INTO organization (name, slug)
    VALUES ('Contract', 'contract-' || gen_random_uuid())
    RETURNING id INTO STRICT made;
    UPDATE organization SET plan_type = 'professional', settings = '{"currency": "EUR"}' WHERE id = made;
    ASSERT FOUND, 'organization: the row just made was not updated';
    SELECT * INTO STRICT seen FROM organization WHERE id = made;
    ASSERT seen.plan_type = 'professional' AND seen.created_at = now(),
        'organization: a default or an update is not what it was';
    DELETE FROM organization WHERE id = made;
    ASSERT FOUND, 'organization: the row just made was not deleted';
END
$$;

-- step: organization with a currency nobody knows
-- The baseline never asked what settings hold: what a client writes there must not be refused.
DO $$
DECLARE
    made  uuid;
BEGIN
    INSERT INTO organization (name, slug, settings)
    VALUES ('Contract', 'contract-' || gen_random_uuid(), '{"currency": "ZAR"}')
    RETURNING id INTO STRICT made;
    UPDATE organization SET settings = '{"currency": "nonsense"}' WHERE id = made;
    UPDATE organization SET settings = NULL WHERE id = made;
    DELETE FROM organization WHERE id = made;
    ASSERT FOUND, 'organization: the row just made was not deleted';
END
$$;

-- step: profile
-- In the place of a user who has none yet, or of a new one.
DO $$
DECLARE
    users  regclass := coalesce(to_regclass('auth.users'), to_regclass('auth.users_extended'));
    org    uuid;
    made   uuid;
    seen   record;
BEGIN
    SELECT org_id INTO STRICT org FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    EXECUTE format('SELECT id FROM %s AS u WHERE NOT EXISTS (SELECT FROM public.profile AS p WHERE p.id = u.id) LIMIT 1', users)
    INTO made;
    IF made IS NULL THEN
        made := gen_random_uuid();
        EXECUTE format('INSERT INTO %s (id) VALUES ($1)', users) USING made;
    END IF;

    INSERT INTO profile (id, org_id, display_name) VALUES (made, org, 'Contract');
    UPDATE profile SET display_name = 'Contract kept', role = 'exec' WHERE id = made;
    ASSERT FOUND, 'profile: the row just made was not updated';
    SELECT * INTO STRICT seen FROM profile WHERE id = made;
    ASSERT seen.is_active AND seen.settings = '{}' AND seen.role = 'exec',
        'profile: a default or an update is not what it was';
    DELETE FROM profile WHERE id = made;
    ASSERT FOUND, 'profile: the row just made was not deleted';
END
$$;

-- step: audit_log
DO $$
DECLARE
    made  uuid;
    seen  record;
BEGIN
    INSERT INTO audit_log (action, table_name) VALUES ('LOGIN', 'profile') RETURNING id INTO STRICT made;
    UPDATE audit_log SET ip_address = '192.0.2.1', timestamp = '2025-08-01 12:00+00' WHERE id = made;
    ASSERT FOUND, 'audit_log: the row just made was not updated';
    SELECT * INTO STRICT seen FROM audit_log WHERE id = made;
    ASSERT seen.timestamp = '2025-08-01 12:00+00' AND seen.org_id IS NULL,
        'audit_log: a default or an update is not what it was';
    DELETE FROM audit_log WHERE id = made;
    ASSERT FOUND, 'audit_log: the row just made was not deleted';
END
$$;

-- step: audit_log without a time, or long ago
-- timestamp has a default and is not NOT NULL: a client may have written NULL all along.
DO $$
DECLARE
    made  uuid;
BEGIN
    INSERT INTO audit_log (action, table_name, timestamp) VALUES ('LOGOUT', 'profile', NULL) RETURNING id INTO STRICT made;
    INSERT INTO audit_log (action, table_name, timestamp) VALUES ('LOGOUT', 'profile', '1999-12-31 12:00+00');
    PERFORM FROM audit_log WHERE id = made AND timestamp IS NULL;
    ASSERT FOUND, 'audit_log: the row without a time was not kept';
END
$$;
