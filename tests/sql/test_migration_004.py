"""Migration 004 on real servers: documents in versions, also from two sessions; who may do what;
tenants; validations broken.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from advanced import (
    Person,
    acting,
    another,
    become,
    broken_steps,
    found,
    migrated,
    one,
    organization,
    person,
    script,
    steps,
)

from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server

DOCUMENT = (
    "INSERT INTO document (org_id, name, file_name, file_size_bytes, mime_type, file_hash,"
    " storage_path, uploaded_by, access_level) VALUES (%s, 'plan', 'plan.pdf', 1,"
    " 'application/pdf', 'h', 'p', %s, %s) RETURNING id"
)
VERSION = "SELECT add_document_version(%s, 'plan 2.pdf', 2, 'application/pdf', 'h2', 'p2')"

BREAKS = [
    ("ALTER TABLE document DROP COLUMN tags", "document.tags text[]"),
    (
        "ALTER TABLE document ALTER COLUMN access_level SET DEFAULT 'public'",
        "document.access_level",
    ),
    (
        "ALTER TABLE document_permission ALTER COLUMN permission_type DROP NOT NULL",
        "permission_type text not null",
    ),
    (
        "ALTER TABLE document DROP CONSTRAINT document_name_length",
        "document_name_length on document",
    ),
    (
        "ALTER TABLE document DROP CONSTRAINT document_org_id_fkey, ADD"
        " CONSTRAINT document_org_id_fkey"
        " FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID",
        "document_org_id_fkey on document",
    ),
    ("DROP INDEX document_one_current_version", "document_one_current_version on document"),
    (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_document_tags'::regclass",
        "idx_document_tags",
    ),
    ("DROP INDEX idx_document_uploaded_by", "without_index document_uploaded_by_fkey"),
    (
        "ALTER TABLE document_access_log DISABLE ROW LEVEL SECURITY",
        "document_access_log, found row-level security is off",
    ),
    (
        "DROP POLICY document_changed_by_writers ON document",
        "document_changed_by_writers on document",
    ),
    (
        "ALTER POLICY document_uploaded_in_own_name ON document WITH CHECK (true)",
        "document_uploaded_in_own_name",
    ),
    ("CREATE POLICY all_in ON document USING (true)", "not_ours all_in"),
    (
        "GRANT DELETE ON document_access_log TO authenticated",
        "authenticated on document_access_log: SELECT INSERT DELETE",
    ),
    ("GRANT SELECT ON document TO anon", "anon on document: SELECT"),
    (
        "REVOKE INSERT ON document FROM authenticated",
        "authenticated on document: SELECT UPDATE DELETE",
    ),
    ("ALTER TABLE document DISABLE TRIGGER record_audit", "record_audit on document"),
    (
        "DROP TRIGGER same_organization ON document_permission",
        "same_organization on document_permission",
    ),
    ("ALTER FUNCTION document_right(uuid) SECURITY INVOKER", "document_right(uuid)"),
    ("ALTER FUNCTION keep_document_versions() RESET search_path", "keep_document_versions()"),
    ("GRANT EXECUTE ON FUNCTION document_right(uuid) TO anon", "anon document_right(uuid)"),
    ("COMMENT ON COLUMN document.file_name IS 'a name'", "document.file_name"),
    ("COMMENT ON TABLE document IS NULL", "without_comment document"),
    (
        "ALTER TABLE document DISABLE TRIGGER USER; UPDATE document SET is_current_version = false",
        "current_versions 0",
    ),
    (
        "ALTER TABLE document DISABLE TRIGGER USER; UPDATE document SET org_id = (SELECT id"
        " FROM organization AS o WHERE"
        " o.id <> org_id LIMIT 1) WHERE parent_document_id IS NOT NULL",
        "not in the chain it names",
    ),
    (
        "DROP TRIGGER keep_document_versions ON document",
        "a version takes the place of the one before",
    ),
    (
        "CREATE OR REPLACE FUNCTION document_right(target uuid) RETURNS text LANGUAGE sql STABLE"
        " SECURITY DEFINER"
        " SET search_path = public, pg_temp AS 'SELECT ''read''::text'",
        "a session that names no user has a right on documents",
    ),
]


@pytest.fixture(scope="module")
def documents(server: Server, baseline_template: str) -> Iterator[Connection]:
    """With documents of two versions each in every organisation that has users; tests leave
    nothing.
    """
    with migrated(server, baseline_template, "009") as connection:
        for user, org in connection.execute(
            "SELECT DISTINCT ON (org_id) id, org_id FROM profile"
        ).fetchall():
            first = one(connection, DOCUMENT, (org, user, "organization"))
            connection.execute(VERSION, (first,))
        yield connection


class Company:
    """Two colleagues of a role, one of another, an administrator; and a stranger."""

    def __init__(self, connection: Connection) -> None:
        self.org = organization(connection)
        self.ann, self.ben = person(connection, self.org), person(connection, self.org)
        self.cyd, self.boss = (
            person(connection, self.org, "exec"),
            person(connection, self.org, "admin"),
        )
        self.eve = person(connection, organization(connection), "admin")

    def document(
        self, connection: Connection, level: str = "private", owner: Person | None = None
    ) -> UUID:
        owner = owner or self.ann
        return one(connection, DOCUMENT, (owner.org, owner.id, level))


@pytest.fixture
def company(documents: Connection) -> Iterator[Company]:
    with documents.transaction(force_rollback=True):
        yield Company(documents)


def test_the_validation_names_what_was_broken(documents: Connection) -> None:
    assert found(documents, script("004", "validate")) == ""
    for statement, message in BREAKS:
        with documents.transaction(force_rollback=True):
            documents.execute(statement)
            assert message in found(documents, script("004", "validate")), statement


def test_every_step_of_the_validation_was_broken_once(documents: Connection) -> None:
    assert broken_steps(documents, "004", BREAKS) == steps("004")


# -- who may do what -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "readers"),
    [
        ("private", "ann"),
        ("restricted", "ann boss"),
        ("team", "ann ben boss"),
        ("organization", "ann ben cyd boss"),
        ("public", "ann ben cyd boss"),
    ],
)
def test_each_level_is_read_by_whom_it_says(
    documents: Connection, company: Company, level: str, readers: str
) -> None:
    document = company.document(documents, level)
    seen = []
    for name in ("ann", "ben", "cyd", "boss", "eve"):
        with acting(documents, getattr(company, name)):
            seen += [name] * one(
                documents, "SELECT count(*) FROM document WHERE id = %s", (document,)
            )
    assert " ".join(seen) == readers


def test_nobody_and_anon_see_nothing(documents: Connection, company: Company) -> None:
    company.document(documents, "public")
    for table in ("document", "document_permission", "document_access_log"):
        with acting(documents, None):
            assert one(documents, f'SELECT count(*) FROM "{table}"') == 0
        with (
            acting(documents, company.ann, "anon"),
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            documents.execute(f'SELECT FROM "{table}"')


@pytest.mark.parametrize(
    ("permission", "changes", "deletes"), [("read", 0, 0), ("write", 1, 0), ("admin", 1, 1)]
)
def test_a_permission_gives_what_it_says(
    documents: Connection, company: Company, permission: str, changes: int, deletes: int
) -> None:
    document = company.document(documents)
    documents.execute(
        "INSERT INTO document_permission (document_id, user_id, permission_type, granted_by) VALUES"
        " (%s, %s, %s, %s)",
        (document, company.ben.id, permission, company.ann.id),
    )
    with acting(documents, company.ben):
        assert one(documents, "SELECT count(*) FROM document WHERE id = %s", (document,)) == 1
        assert (
            documents.execute("UPDATE document SET name = 'x' WHERE id = %s", (document,)).rowcount
            == changes
        )
        assert (
            documents.execute("DELETE FROM document WHERE id = %s", (document,)).rowcount == deletes
        )


def test_the_applications_work_of_a_user_succeeds(documents: Connection, company: Company) -> None:
    with acting(documents, company.ann):
        document = one(
            documents,
            "INSERT INTO document (org_id, name, file_name, file_size_bytes, mime_type, file_hash,"
            " storage_path) VALUES (%s, 'n', 'f', 1, 'a/b', 'h', 'p') RETURNING id",
            (company.org,),
        )
        version = one(documents, VERSION, (document,))
        documents.execute(
            "INSERT INTO document_permission (document_id, role, permission_type) VALUES (%s,"
            " 'exec', 'write')",
            (document,),
        )
        documents.execute(
            "INSERT INTO document_access_log (document_id, action) VALUES (%s, 'view')", (version,)
        )
        assert one(documents, "SELECT count(*) FROM document_access_log") == 1
        become(documents, company.cyd)
        third = one(documents, VERSION, (document,))
        assert documents.execute(
            "SELECT version_number, uploaded_by, is_current_version FROM document WHERE id = %s",
            (third,),
        ).fetchone() == (3, company.cyd.id, True)
        become(documents, company.ann)
        assert (
            documents.execute(
                "UPDATE document SET access_level = 'team' WHERE id = %s", (third,)
            ).rowcount
            == 1
        )


@pytest.mark.parametrize(
    "statement",
    [
        (
            "INSERT INTO document (org_id, name, file_name, file_size_bytes, mime_type, file_hash,"
            " storage_path) VALUES (%(far)s, 'n', 'f', 1, 'a/b', 'h', 'p')"
        ),
        (
            "INSERT INTO document (org_id, name, file_name, file_size_bytes, mime_type, file_hash,"
            " storage_path, uploaded_by) VALUES (%(org)s, 'n', 'f', 1, 'a/b', 'h', 'p', %(ann)s)"
        ),
        (
            "INSERT INTO document (org_id, name, file_name, file_size_bytes, mime_type, file_hash,"
            " storage_path, parent_document_id) VALUES (%(org)s, 'n', 'f', 1, 'a/b', 'h', 'p',"
            " %(document)s)"
        ),
        "UPDATE document SET org_id = %(far)s WHERE id = %(own)s",
        "UPDATE document SET uploaded_by = %(ben)s WHERE id = %(shared)s",
        "UPDATE document SET access_level = 'public' WHERE id = %(shared)s",
        (
            "INSERT INTO document_permission (document_id, user_id, permission_type) VALUES"
            " (%(document)s, %(ben)s, 'admin')"
        ),
        (
            "INSERT INTO document_permission (document_id, user_id, permission_type) VALUES"
            " (%(shared)s, %(ben)s, 'admin')"
        ),
        (
            "INSERT INTO document_permission (document_id, user_id, permission_type, granted_by)"
            " VALUES (%(own)s, %(ben)s, 'read', %(ann)s)"
        ),
        "INSERT INTO document_access_log (document_id, action) VALUES (%(document)s, 'view')",
        (
            "INSERT INTO document_access_log (document_id, user_id, action) VALUES (%(own)s,"
            " %(ann)s, 'view')"
        ),
        "UPDATE document_access_log SET action = 'view'",
        "DELETE FROM document_access_log",
    ],
)
def test_what_is_not_ones_own_to_do_is_refused(
    documents: Connection, company: Company, statement: str
) -> None:
    values = {
        "org": company.org, "far": company.eve.org, "ann": company.ann.id, "ben": company.ben.id,
        "document": company.document(documents), "shared": company.document(documents),
        "own": company.document(documents, owner=company.ben),
    }  # fmt: skip
    documents.execute(
        "INSERT INTO document_permission (document_id, user_id, permission_type, granted_by) VALUES"
        " (%s, %s, 'write', %s)",
        (values["shared"], company.ben.id, company.ann.id),
    )
    with acting(documents, company.ben), pytest.raises(psycopg.errors.InsufficientPrivilege):
        documents.execute(statement, values)


@pytest.mark.parametrize(
    "statement",
    [
        (
            "INSERT INTO document_permission (document_id, user_id, permission_type) VALUES"
            " (%(own)s, %(eve)s, 'read')"
        ),
        "UPDATE document_permission SET user_id = %(eve)s",
    ],
)
def test_nothing_is_shared_with_another_tenant(
    documents: Connection, company: Company, statement: str
) -> None:
    own = company.document(documents)
    with acting(documents, company.ann):
        documents.execute(
            "INSERT INTO document_permission (document_id, user_id, permission_type) VALUES (%s,"
            " %s, 'read')",
            (own, company.ben.id),
        )
        with pytest.raises(psycopg.errors.ForeignKeyViolation, match="same organisation"):
            documents.execute(statement, {"own": own, "eve": company.eve.id})


PUBLISHING = [
    "UPDATE document SET access_level = 'public' WHERE id = %(version)s",
    (
        "INSERT INTO document_permission (document_id, role, permission_type) VALUES (%(version)s,"
        " 'exec', 'read')"
    ),
]
#: A version by hand, with the access_level of the writer's choice, at the storage_path of the one
#: before.
BY_HAND = (
    "INSERT INTO document (org_id, name, file_name, file_size_bytes, mime_type, file_hash,"
    " storage_path, access_level, parent_document_id) VALUES (%s, 'n', 'f', 1, 'a/b', 'h', 'p',"
    " 'public', %s) RETURNING id"
)


@pytest.mark.parametrize("level", ["private", "restricted", "team"])
def test_a_writer_does_not_publish_by_a_version_of_his_own(
    documents: Connection, company: Company, level: str
) -> None:
    document = company.document(documents, level)
    documents.execute(
        "INSERT INTO document_permission (document_id, user_id, permission_type, granted_by) VALUES"
        " (%s, %s, 'write', %s)",
        (document, company.cyd.id, company.ann.id),
    )
    become(documents, company.cyd)
    for version in (
        one(documents, VERSION, (document,)),
        one(documents, BY_HAND, (company.org, document)),
    ):
        assert documents.execute(
            "SELECT access_level::text, document_right(id) FROM document WHERE id = %s", (version,)
        ).fetchone() == (level, "write")
        for statement in PUBLISHING:
            with pytest.raises(psycopg.errors.InsufficientPrivilege), documents.transaction():
                documents.execute(statement, {"version": version})
        assert documents.execute("DELETE FROM document WHERE id = %s", (version,)).rowcount == 0
    for name, rights in {
        "ann": "admin",
        "ben": "read" if level == "team" else None,
        "eve": None,
    }.items():
        become(documents, getattr(company, name))
        assert {
            right for (right,) in documents.execute("SELECT document_right(%s)", (version,))
        } == {rights}, name


def test_who_may_write_no_more_reads_his_versions_no_more(
    documents: Connection, company: Company
) -> None:
    document = company.document(documents)
    documents.execute(
        "INSERT INTO document_permission (document_id, user_id, permission_type, granted_by) VALUES"
        " (%s, %s, 'write', %s)",
        (document, company.ben.id, company.ann.id),
    )
    become(documents, company.ben)
    version = one(documents, VERSION, (document,))
    seen = "SELECT count(*) FROM document WHERE id = %s"
    assert one(documents, seen, (version,)) == 1
    become(documents, company.ann)
    documents.execute("DELETE FROM document_permission WHERE document_id = %s", (document,))
    become(documents, company.ben)
    assert one(documents, seen, (version,)) == 0


def test_a_version_is_let_see_by_whom_the_latest_one_is(
    documents: Connection, company: Company
) -> None:
    """What became private stays private, whichever version is named."""
    document = company.document(documents, "organization")
    with acting(documents, company.ann):
        second = one(documents, VERSION, (document,))
        documents.execute("UPDATE document SET access_level = 'private' WHERE id = %s", (second,))
        third = one(documents, VERSION, (document,))
        assert (
            one(documents, "SELECT access_level FROM document WHERE id = %s", (third,)) == "private"
        )


# -- what the audit trail tells --------------------------------------------------------------------

#: Tables of which not every colleague may read every row: what else is asked than for the
#: organisation.
NARROW = """
SELECT DISTINCT tablename
FROM pg_policies
JOIN pg_trigger ON tgrelid = format('%I.%I', schemaname, tablename)::regclass
    AND tgfoid = 'record_audit()'::regprocedure
WHERE cmd IN ('ALL', 'SELECT') AND roles && '{public,authenticated}'
    AND qual ~ 'tenant_user_id|document_right|role'
"""
RESTRICTED = {"document", "document_permission", "api_key", "user_session", "user_2fa"}
SECRET = "Merger with Eve"


def test_tables_that_colleagues_may_not_read_are_known(documents: Connection) -> None:
    assert {table for (table,) in documents.execute(NARROW)} == RESTRICTED


def test_no_colleague_reads_in_the_audit_log_what_the_table_keeps_from_him(
    documents: Connection, company: Company
) -> None:
    document = one(
        documents,
        "INSERT INTO document (org_id, name, description, file_name, file_size_bytes, mime_type,"
        " file_hash, storage_path, metadata, uploaded_by) VALUES (%(org)s, %(secret)s, %(secret)s,"
        " %(secret)s, 1, 'a/b', %(secret)s, %(secret)s, jsonb_build_object('note',"
        " %(secret)s::text), %(ann)s) RETURNING id",
        {"org": company.org, "ann": company.ann.id, "secret": SECRET},
    )
    for statement in (
        (
            "INSERT INTO document_permission (document_id, user_id, permission_type, granted_by)"
            " VALUES (%(document)s, %(cyd)s, 'read', %(ann)s)"
        ),
        (
            "INSERT INTO api_key (org_id, user_id, name, key_hash, key_prefix, scopes)"
            " VALUES (%(org)s, %(ann)s, %(secret)s, 'h', 'p', '{admin}')"
        ),
        (
            "INSERT INTO user_session (user_id, session_token_hash, expires_at) VALUES (%(ann)s,"
            " %(secret)s, 'infinity')"
        ),
        "INSERT INTO user_2fa (user_id, method) VALUES (%(ann)s, 'email')",
        "UPDATE document SET name = name || ', and soon', description = NULL",
        "UPDATE document_permission SET expires_at = 'infinity'",
        "UPDATE api_key SET scopes = '{read}'",
        "UPDATE user_session SET is_active = false",
        "UPDATE user_2fa SET method = 'app'",
        "DELETE FROM document_permission",
        "DELETE FROM document",
        "DELETE FROM api_key",
        "DELETE FROM user_session",
        "DELETE FROM user_2fa",
    ):
        documents.execute(
            statement,
            {
                **vars(company),
                "ann": company.ann.id,
                "cyd": company.cyd.id,
                "document": document,
                "secret": SECRET,
            },
        )
    about = "FROM audit_log WHERE table_name = ANY (%s) AND timestamp >= now()"
    names = [table.replace("2fa", "two_fa") for table in RESTRICTED]
    written = documents.execute(
        f"SELECT table_name, count(DISTINCT action) {about} GROUP BY 1", (names,)
    ).fetchall()
    assert dict(written) == dict.fromkeys(names, 3)
    for colleague in (company.ben, company.boss):
        with acting(documents, colleague):
            seen = documents.execute(
                f"SELECT table_name, old_data, new_data {about}", (names,)
            ).fetchall()
        assert {table for table, *_ in seen} == {"document", "document_permission", "api_key"}
        for table, *images in seen:
            for image in filter(None, images):
                shown = {
                    name for name, value in image.items() if not str(value).startswith("[redacted")
                }
                assert shown <= {"id", "org_id", "document_id", "parent_document_id"}, table


# -- versions --------------------------------------------------------------------------------------


def test_versions_added_at_once_are_numbered_one_after_the_other(
    server: Server, baseline_template: str
) -> None:
    with migrated(server, baseline_template, "004") as connection:
        user = person(connection, organization(connection))
        document = one(connection, DOCUMENT, (user.org, user.id, "private"))

        def add() -> None:
            with another(connection) as session:
                for _ in range(10):
                    session.execute(VERSION, (document,))

        writers = [threading.Thread(target=add) for _ in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        numbers = connection.execute(
            "SELECT version_number, is_current_version FROM document ORDER BY 1"
        ).fetchall()
        assert numbers == [(number, number == 41) for number in range(1, 42)]


def test_an_organisation_goes_with_its_documents(documents: Connection, company: Company) -> None:
    document = company.document(documents)
    documents.execute(VERSION, (document,))
    documents.execute("DELETE FROM organization WHERE id = %s", (company.org,))
    documents.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert one(documents, "SELECT count(*) FROM document WHERE org_id = %s", (company.org,)) == 0
