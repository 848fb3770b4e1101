-- Migration 004: Documents
-- phase: 4
-- requires: 001, 002
--
-- What it is: the way back. The three tables and their functions go, with all rows in them: salvage them first. The files
-- themselves lie elsewhere (storage_path) and stay, as do the entries of audit_log.
--
-- What it locks: the application is shut out of the new tables first, so that nobody holds them up. Then one step each takes
-- ACCESS EXCLUSIVE on profile and on organization, for the moment it takes to unhang foreign keys. Dropping the tables
-- then touches new tables alone.
--
-- What an operator must know: it runs from every state of a migration that was cut off; nothing is dropped with CASCADE, so
-- that a later table or somebody's view that refers to one of these makes it stop and say so.

-- step: close the documents to the application
DO $$
DECLARE
    made  regclass;
BEGIN
    FOR made IN
        SELECT to_regclass(name)
        FROM unnest(ARRAY['document', 'document_permission', 'document_access_log']) AS name
        WHERE to_regclass(name) IS NOT NULL
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM authenticated, service_role', made);
    END LOOP;
END
$$;

-- step: documents no longer name users
ALTER TABLE IF EXISTS document_access_log DROP CONSTRAINT IF EXISTS document_access_log_user_id_fkey;
ALTER TABLE IF EXISTS document_permission
    DROP CONSTRAINT IF EXISTS document_permission_granted_by_fkey,
    DROP CONSTRAINT IF EXISTS document_permission_user_id_fkey;
ALTER TABLE IF EXISTS document DROP CONSTRAINT IF EXISTS document_uploaded_by_fkey;

-- step: documents no longer belong to organisations
ALTER TABLE IF EXISTS document DROP CONSTRAINT IF EXISTS document_org_id_fkey;

-- step: adding versions
DROP FUNCTION IF EXISTS add_document_version(uuid, text, bigint, text, text, text, text);

-- step: access to documents
DROP TABLE IF EXISTS document_access_log;

-- step: permissions on documents
DROP TABLE IF EXISTS document_permission;

-- step: the documents
DROP TABLE IF EXISTS document;

-- step: versions of documents
DROP FUNCTION IF EXISTS document_right(uuid);
DROP FUNCTION IF EXISTS verify_current_document_version();
DROP FUNCTION IF EXISTS refuse_change_of_document();
DROP FUNCTION IF EXISTS promote_document_version();
DROP FUNCTION IF EXISTS keep_document_versions();
