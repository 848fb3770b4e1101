-- Migration 004: Documents
-- phase: 4
-- requires: 001, 002
--
-- What it is: document with its versions, document_permission, document_access_log; document_right(), which says what the
-- current user may do with a document, and add_document_version().
--
-- What it locks: no row of an existing table is read or rewritten. Two steps take SHARE ROW EXCLUSIVE, on organization and
-- on profile, for the moment it takes to hang foreign keys of empty tables on them: reading goes on, a write there waits
-- for milliseconds. VALIDATE takes ROW SHARE there and scans only our new, empty tables. Everything else is new.
--
-- What an operator must know:
-- - versions: parent_document_id of a version names the first document of its chain; whoever names a later one is
--   corrected by trigger. version_number and is_current_version are the database's: a new version is the current one, its
--   number follows the highest, and when the current one is deleted the highest that is left takes its place. Two that add
--   a version at once wait for each other. Deleting the first document deletes its chain;
-- - access_level: private: whoever uploaded the first version, and whoever is permitted; restricted: the same, and the
--   organisation's administrators; team: also everybody with that uploader's role; organization and public: everybody of
--   the organisation. public does not mean other tenants: what leaves the organisation leaves by the application
--   (service_role);
-- - a new version begins with the access_level of the version before it, whatever the client says, and belongs to whom the
--   chain belongs: who adds one may do with it what he may with the rest, and no more;
-- - a permission (read, write or admin) given on the first document holds for the whole chain, given on a version for that
--   one; it goes to a user or to a role, never to both;
-- - document_access_log is written and read, never changed: neither UPDATE nor DELETE is granted to users;
-- - audit_log, which every user of the organisation reads, says of a document and of a permission only its id, its document's
--   and which columns are new; the values are in the row alone;
-- - the new tables are closed to everybody until the last step grants them.

-- step: documents
CREATE TABLE document (
    id                  uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id              uuid           NOT NULL,
    name                text           NOT NULL,
    description         text,
    file_name           text           NOT NULL,
    file_size_bytes     bigint         NOT NULL,
    mime_type           text           NOT NULL,
    file_hash           text           NOT NULL,
    storage_path        text           NOT NULL,
    document_type       document_type  DEFAULT 'other',
    access_level        access_level   DEFAULT 'private',
    version_number      integer        DEFAULT 1,
    parent_document_id  uuid,
    is_current_version  boolean        DEFAULT true,
    tags                text[]         DEFAULT '{}',
    metadata            jsonb          DEFAULT '{}',
    uploaded_by         uuid           NOT NULL DEFAULT tenant_user_id(),
    created_at          timestamptz    DEFAULT now(),
    updated_at          timestamptz    DEFAULT now(),

    CONSTRAINT document_parent_document_id_fkey
        FOREIGN KEY (parent_document_id) REFERENCES document (id) ON DELETE CASCADE,
    CONSTRAINT document_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT document_file_name_length
        CHECK (char_length(file_name) BETWEEN 1 AND 255),
    CONSTRAINT document_file_size_not_negative
        CHECK (file_size_bytes >= 0),
    CONSTRAINT document_mime_type_format
        CHECK (mime_type ~ '^[^/\s]+/\S'),
    CONSTRAINT document_file_hash_length
        CHECK (char_length(file_hash) BETWEEN 1 AND 200),
    CONSTRAINT document_storage_path_not_empty
        CHECK (char_length(storage_path) > 0),
    CONSTRAINT document_version_number_is_known
        CHECK ((version_number >= 1) IS TRUE AND is_current_version IS NOT NULL),
    CONSTRAINT document_first_version_has_no_parent
        CHECK ((version_number = 1) = (parent_document_id IS NULL)),
    CONSTRAINT document_is_not_its_own_parent
        CHECK (parent_document_id <> id)
);

COMMENT ON TABLE  document                    IS 'A file kept for an organisation, one row a version; exactly one version of a chain is the current one.';
COMMENT ON COLUMN document.name               IS 'personal data: free text: may name people.';
COMMENT ON COLUMN document.description        IS 'personal data: free text: may name people.';
COMMENT ON COLUMN document.file_name          IS 'personal data: free text: as the user called the file.';
COMMENT ON COLUMN document.metadata           IS 'personal data: free text: whatever the application notes about the file.';
COMMENT ON COLUMN document.uploaded_by        IS 'personal data: behaviour: who uploaded this version.';
COMMENT ON COLUMN document.file_hash          IS 'Digest of the content, to find the same file again.';
COMMENT ON COLUMN document.storage_path       IS 'Where the content lies; the database keeps none of it.';
COMMENT ON COLUMN document.access_level       IS 'Who of the organisation may read it; NULL lets nobody in but by permission, as private.';
COMMENT ON COLUMN document.parent_document_id IS 'The first document of the chain, NULL for itself; kept by trigger.';
COMMENT ON COLUMN document.version_number     IS 'Counts within the chain from 1; kept by trigger.';

CREATE UNIQUE INDEX document_one_current_version
    ON document ((coalesce(parent_document_id, id))) WHERE is_current_version;
CREATE UNIQUE INDEX document_version_number_is_unique_in_chain
    ON document ((coalesce(parent_document_id, id)), version_number);
CREATE INDEX idx_document_org_created ON document (org_id, created_at DESC);
CREATE INDEX idx_document_org_type ON document (org_id, document_type);
CREATE INDEX idx_document_org_hash ON document (org_id, file_hash);
CREATE INDEX idx_document_parent ON document (parent_document_id);
CREATE INDEX idx_document_uploaded_by ON document (uploaded_by);
CREATE INDEX idx_document_tags ON document USING gin (tags);

REVOKE ALL ON document FROM PUBLIC, anon, authenticated;

-- step: permissions on documents
CREATE TABLE document_permission (
    id               uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    document_id      uuid         NOT NULL,
    user_id          uuid,
    role             user_role,
    permission_type  text         NOT NULL,
    granted_by       uuid         NOT NULL DEFAULT tenant_user_id(),
    granted_at       timestamptz  DEFAULT now(),
    expires_at       timestamptz,

    CONSTRAINT document_permission_document_id_fkey
        FOREIGN KEY (document_id) REFERENCES document (id) ON DELETE CASCADE,
    CONSTRAINT document_permission_for_a_user_or_a_role
        CHECK (num_nonnulls(user_id, role) = 1),
    CONSTRAINT document_permission_type_is_known
        CHECK (permission_type IN ('read', 'write', 'admin')),
    CONSTRAINT document_permission_expires_after_grant
        CHECK (expires_at > granted_at)
);

COMMENT ON TABLE  document_permission            IS 'Who may read, write or administer a document beyond what its access_level says.';
COMMENT ON COLUMN document_permission.document_id IS 'The first document of a chain: all of its versions; a later one: that version.';
COMMENT ON COLUMN document_permission.user_id    IS 'personal data: behaviour: who is permitted.';
COMMENT ON COLUMN document_permission.granted_by IS 'personal data: behaviour: who permitted it.';
COMMENT ON COLUMN document_permission.expires_at IS 'From then on the permission holds no more; NULL: for ever.';

CREATE UNIQUE INDEX document_permission_of_user_is_unique
    ON document_permission (document_id, user_id, permission_type) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX document_permission_of_role_is_unique
    ON document_permission (document_id, role, permission_type) WHERE role IS NOT NULL;
CREATE INDEX idx_document_permission_document ON document_permission (document_id);
CREATE INDEX idx_document_permission_user ON document_permission (user_id);
CREATE INDEX idx_document_permission_granted_by ON document_permission (granted_by);

REVOKE ALL ON document_permission FROM PUBLIC, anon, authenticated;

-- step: access to documents
CREATE TABLE document_access_log (
    id           uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    document_id  uuid         NOT NULL,
    user_id      uuid         DEFAULT tenant_user_id(),
    action       text         NOT NULL,
    ip_address   inet,
    user_agent   text,
    accessed_at  timestamptz  DEFAULT now(),

    CONSTRAINT document_access_log_document_id_fkey
        FOREIGN KEY (document_id) REFERENCES document (id) ON DELETE CASCADE,
    CONSTRAINT document_access_log_action_is_a_lower_case_word
        CHECK (action ~ '^[a-z][a-z_]{0,49}$')
);

COMMENT ON TABLE  document_access_log             IS 'Who opened, downloaded or shared which document, and when; written and read, never changed.';
COMMENT ON COLUMN document_access_log.user_id     IS 'personal data: behaviour: who it was; NULL when the user is gone.';
COMMENT ON COLUMN document_access_log.ip_address  IS 'personal data: location: where the request came from.';
COMMENT ON COLUMN document_access_log.user_agent  IS 'personal data: behaviour: what the request was made with.';
COMMENT ON COLUMN document_access_log.accessed_at IS 'personal data: behaviour: when it was.';

CREATE INDEX idx_document_access_log_document ON document_access_log (document_id, accessed_at DESC);
CREATE INDEX idx_document_access_log_user ON document_access_log (user_id, accessed_at DESC);

REVOKE ALL ON document_access_log FROM PUBLIC, anon, authenticated;

-- step: versions of documents
-- SECURITY DEFINER: whoever may add a version need not be allowed to change the version before it. What a stranger names
-- is left alone: row-level security and the constraint triggers refuse the row in a moment.
CREATE FUNCTION keep_document_versions()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    chain  uuid;
BEGIN
    IF TG_OP = 'INSERT' AND NEW.parent_document_id IS NULL THEN
        NEW.version_number := 1;
        NEW.is_current_version := true;
        RETURN NEW;
    END IF;

    IF TG_OP = 'INSERT' THEN
        SELECT coalesce(parent_document_id, id)
        INTO chain
        FROM document
        WHERE id = NEW.parent_document_id AND org_id = NEW.org_id;
        IF NOT FOUND THEN
            RETURN NEW;
        END IF;
    ELSE
        chain := coalesce(NEW.parent_document_id, NEW.id);
    END IF;

    -- One at a time: the number, and who is current, are decided under the first document's lock.
    PERFORM FROM document WHERE id = chain FOR UPDATE;

    IF TG_OP = 'INSERT' THEN
        NEW.parent_document_id := chain;
        NEW.version_number := 1 + (SELECT max(version_number) FROM document WHERE id = chain OR parent_document_id = chain);
        NEW.is_current_version := coalesce(NEW.is_current_version, true);
        -- Who may write may not publish: that is for administrators, once the version is there.
        NEW.access_level := (
            SELECT access_level
            FROM document
            WHERE id = chain OR parent_document_id = chain
            ORDER BY version_number DESC
            LIMIT 1
        );
    END IF;

    IF NEW.is_current_version THEN
        UPDATE document
        SET is_current_version = false
        WHERE (id = chain OR parent_document_id = chain) AND id <> NEW.id AND is_current_version;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION keep_document_versions() IS
    'Trigger on document, BEFORE: numbers versions, hangs them on the first of their chain, and takes access_level and the mark from the version before.';

CREATE FUNCTION promote_document_version()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE document
    SET is_current_version = true
    WHERE id = (
        SELECT id
        FROM document
        WHERE OLD.parent_document_id IN (id, parent_document_id)
        ORDER BY version_number DESC
        LIMIT 1
    );
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION promote_document_version() IS
    'Trigger on document, AFTER DELETE of a current version: the highest one left becomes the current one.';

CREATE FUNCTION refuse_change_of_document()
    RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
BEGIN
    IF (NEW.parent_document_id, NEW.version_number, NEW.uploaded_by)
        IS DISTINCT FROM (OLD.parent_document_id, OLD.version_number, OLD.uploaded_by)
    THEN
        RAISE EXCEPTION 'document % keeps its place in its chain, and who uploaded it', OLD.id
            USING ERRCODE = 'insufficient_privilege', TABLE = TG_TABLE_NAME,
                  HINT = 'Add a version with add_document_version().';
    END IF;
    IF NEW.access_level IS DISTINCT FROM OLD.access_level
        AND tenant_user_id() IS NOT NULL
        AND document_right(OLD.id) IS DISTINCT FROM 'admin'
    THEN
        RAISE EXCEPTION 'access to document % is for its administrators to change', OLD.id
            USING ERRCODE = 'insufficient_privilege', TABLE = TG_TABLE_NAME, COLUMN = 'access_level';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION refuse_change_of_document() IS
    'Trigger on document, BEFORE UPDATE: chain, number and uploader stay; access_level is for those with the right admin.';

-- SECURITY DEFINER: it must see the whole chain, whatever the caller may see.
CREATE FUNCTION verify_current_document_version()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    one      document := coalesce(NEW, OLD);
    chain    uuid := coalesce(one.parent_document_id, one.id);
    current  bigint;
BEGIN
    SELECT count(*) FILTER (WHERE is_current_version)
    INTO current
    FROM document
    WHERE id = chain OR parent_document_id = chain
    HAVING count(*) > 0;

    IF current <> 1 THEN
        RAISE EXCEPTION 'document % has % current versions, it must have exactly one', chain, current
            USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME,
                  HINT = 'Make another version the current one instead of taking the mark away.';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION verify_current_document_version() IS
    'Constraint trigger on document, at COMMIT: exactly one version of a chain is the current one.';

-- SECURITY DEFINER: policies of document, document_permission and document_access_log ask it, and would else ask themselves
-- for ever. It tells a caller nothing but about documents of the own organisation.
CREATE FUNCTION document_right(target uuid)
    RETURNS text
    LANGUAGE plpgsql
    STABLE
    SECURITY DEFINER
    COST 1000
    SET search_path = public, pg_temp
AS $$
DECLARE
    me      uuid := tenant_user_id();
    mine    record;
    wanted  record;
    given   text;
BEGIN
    IF me IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT org_id, role INTO mine FROM profile WHERE id = me;

    SELECT
        version.id,
        coalesce(version.parent_document_id, version.id) AS chain,
        version.access_level,
        first.uploaded_by AS owner
    INTO wanted
    FROM document AS version
    JOIN document AS first ON first.id = coalesce(version.parent_document_id, version.id)
    WHERE version.id = target AND version.org_id = mine.org_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    IF me = wanted.owner
        OR (mine.role = 'admin' AND wanted.access_level <> 'private')
    THEN
        RETURN 'admin';
    END IF;

    SELECT permission_type
    INTO given
    FROM document_permission
    WHERE document_id IN (wanted.chain, wanted.id)
      AND (user_id = me OR role = mine.role)
      AND (expires_at IS NULL OR expires_at > now())
    ORDER BY array_position('{admin,write,read}'::text[], permission_type)
    LIMIT 1;
    IF FOUND THEN
        RETURN given;
    END IF;

    IF wanted.access_level IN ('organization', 'public')
        OR (wanted.access_level = 'team' AND mine.role = (SELECT role FROM profile WHERE id = wanted.owner))
    THEN
        RETURN 'read';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION document_right(uuid) IS
    'What the current user may do with a document: admin, write, read, or NULL: nothing, also when there is no such document.';

CREATE FUNCTION add_document_version(
    target             uuid,
    new_file_name      text,
    new_size_bytes     bigint,
    new_mime_type      text,
    new_file_hash      text,
    new_storage_path   text,
    new_description    text DEFAULT NULL
)
    RETURNS uuid
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    made  uuid;
BEGIN
    INSERT INTO document (
        org_id, name, description, file_name, file_size_bytes, mime_type, file_hash, storage_path, document_type,
        access_level, parent_document_id, tags, metadata, uploaded_by
    )
    SELECT
        org_id, name, coalesce(new_description, description), new_file_name, new_size_bytes, new_mime_type, new_file_hash,
        new_storage_path, document_type, access_level, id, tags, metadata, coalesce(tenant_user_id(), uploaded_by)
    FROM document
    WHERE id = target
    RETURNING id INTO made;

    IF made IS NULL THEN
        RAISE EXCEPTION 'there is no document % that a version could be added to', target
            USING ERRCODE = 'no_data_found';
    END IF;
    RETURN made;
END
$$;

COMMENT ON FUNCTION add_document_version(uuid, text, bigint, text, text, text, text) IS
    'Adds a version to the chain of a document and makes it the current one; the rest is taken from the version named. Returns its id.';

REVOKE EXECUTE ON FUNCTION
    keep_document_versions(),
    promote_document_version(),
    refuse_change_of_document(),
    verify_current_document_version(),
    document_right(uuid),
    add_document_version(uuid, text, bigint, text, text, text, text)
    FROM PUBLIC, anon, authenticated;

-- step: documents keep their versions
CREATE TRIGGER keep_document_versions
    BEFORE INSERT ON document
    FOR EACH ROW EXECUTE FUNCTION keep_document_versions();
CREATE TRIGGER keep_current_document_version
    BEFORE UPDATE OF is_current_version ON document
    FOR EACH ROW WHEN (NEW.is_current_version AND NOT OLD.is_current_version)
    EXECUTE FUNCTION keep_document_versions();
CREATE TRIGGER promote_document_version
    AFTER DELETE ON document
    FOR EACH ROW WHEN (OLD.is_current_version AND OLD.parent_document_id IS NOT NULL)
    EXECUTE FUNCTION promote_document_version();
CREATE TRIGGER refuse_change_of_document
    BEFORE UPDATE OF parent_document_id, version_number, uploaded_by, access_level ON document
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_document();
CREATE CONSTRAINT TRIGGER document_has_one_current_version
    AFTER INSERT OR DELETE OR UPDATE OF is_current_version ON document
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION verify_current_document_version();
CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON document
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF parent_document_id, uploaded_by ON document
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(
        'org_id', 'parent_document_id document', 'uploaded_by profile'
    );
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF document_id, user_id, granted_by ON document_permission
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(
        'document_id document', 'user_id profile', 'granted_by profile'
    );
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF document_id, user_id ON document_access_log
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization('document_id document', 'user_id profile');
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON document
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
-- Every colleague reads audit_log: it must not tell of a document what its access_level keeps from him.
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON document
    FOR EACH ROW EXECUTE FUNCTION record_audit('only id org_id parent_document_id');
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON document_permission
    FOR EACH ROW EXECUTE FUNCTION record_audit('document_id document', 'only id document_id');

-- step: documents belong to organisations
ALTER TABLE document ADD CONSTRAINT document_org_id_fkey
    FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;

-- step: documents name users
-- Who uploaded or permitted holds the profile back, as in the baseline; a mere permission goes with it, the log stays.
ALTER TABLE document ADD CONSTRAINT document_uploaded_by_fkey
    FOREIGN KEY (uploaded_by) REFERENCES profile (id) NOT VALID;
ALTER TABLE document_permission
    ADD CONSTRAINT document_permission_user_id_fkey
        FOREIGN KEY (user_id) REFERENCES profile (id) ON DELETE CASCADE NOT VALID,
    ADD CONSTRAINT document_permission_granted_by_fkey
        FOREIGN KEY (granted_by) REFERENCES profile (id) NOT VALID;
ALTER TABLE document_access_log ADD CONSTRAINT document_access_log_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES profile (id) ON DELETE SET NULL NOT VALID;

-- step: foreign keys of documents hold for every row
ALTER TABLE document
    VALIDATE CONSTRAINT document_org_id_fkey,
    VALIDATE CONSTRAINT document_uploaded_by_fkey;
ALTER TABLE document_permission
    VALIDATE CONSTRAINT document_permission_user_id_fkey,
    VALIDATE CONSTRAINT document_permission_granted_by_fkey;
ALTER TABLE document_access_log VALIDATE CONSTRAINT document_access_log_user_id_fkey;

-- step: who may do what with documents
-- What the row itself says is asked first; document_right() costs a look into three tables. It does not see a row that is
-- only being written: whoever adds a version is let see it (RETURNING) by what he may do with its chain.
ALTER TABLE document ENABLE ROW LEVEL SECURITY;
CREATE POLICY document_read_as_its_level_says ON document
    FOR SELECT TO authenticated
    USING (
        org_id = (SELECT tenant_org_id())
        AND (
            access_level IN ('organization', 'public')
            OR (
                uploaded_by = (SELECT tenant_user_id())
                AND (parent_document_id IS NULL OR document_right(parent_document_id) IN ('write', 'admin'))
            )
            OR document_right(id) IS NOT NULL
        )
    );
CREATE POLICY document_uploaded_in_own_name ON document
    FOR INSERT TO authenticated
    WITH CHECK (
        org_id = (SELECT tenant_org_id())
        AND uploaded_by = (SELECT tenant_user_id())
        AND (parent_document_id IS NULL OR document_right(parent_document_id) IN ('write', 'admin'))
    );
CREATE POLICY document_changed_by_writers ON document
    FOR UPDATE TO authenticated
    USING (org_id = (SELECT tenant_org_id()) AND document_right(id) IN ('write', 'admin'))
    WITH CHECK (org_id = (SELECT tenant_org_id()) AND document_right(id) IN ('write', 'admin'));
CREATE POLICY document_deleted_by_its_administrators ON document
    FOR DELETE TO authenticated
    USING (org_id = (SELECT tenant_org_id()) AND document_right(id) = 'admin');

ALTER TABLE document_permission ENABLE ROW LEVEL SECURITY;
CREATE POLICY document_permission_given_by_administrators ON document_permission
    FOR ALL TO authenticated
    USING (document_right(document_id) = 'admin')
    WITH CHECK (document_right(document_id) = 'admin' AND granted_by = (SELECT tenant_user_id()));
CREATE POLICY document_permission_seen_by_its_user ON document_permission
    FOR SELECT TO authenticated
    USING (user_id = (SELECT tenant_user_id()) AND document_right(document_id) IS NOT NULL);

ALTER TABLE document_access_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY document_access_log_written_in_own_name ON document_access_log
    FOR INSERT TO authenticated
    WITH CHECK (user_id = (SELECT tenant_user_id()) AND document_right(document_id) IS NOT NULL);
CREATE POLICY document_access_log_read_by_administrators ON document_access_log
    FOR SELECT TO authenticated
    USING (document_right(document_id) = 'admin' OR (user_id = (SELECT tenant_user_id()) AND document_right(document_id) IS NOT NULL));

-- step: open the documents to the application
GRANT SELECT, INSERT, UPDATE, DELETE ON document, document_permission TO authenticated;
GRANT SELECT, INSERT ON document_access_log TO authenticated;
GRANT ALL ON document, document_permission, document_access_log TO service_role;
GRANT EXECUTE ON FUNCTION
    document_right(uuid),
    add_document_version(uuid, text, bigint, text, text, text, text)
    TO authenticated, service_role;
