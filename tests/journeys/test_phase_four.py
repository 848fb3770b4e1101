"""Phase 4 as a whole, on real servers: safe to run, up and down from every state, on every
installation, thresholds kept.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from advanced import PHASE_4, another, carry_out, found, migrated, one, prepared, script, template
from conftest import fresh_database

from mantis_runbook import sandbox, settings
from mantis_runbook.checks import named_checks
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.lint import lint
from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target

BEFORE = {"004": "003", "005": "004", "006": "005", "007": "006", "008": "007", "009": "008"}

#: Rows that an application would have written by the time of a rollback.
ROWS = """
INSERT INTO document
    (org_id, name, file_name, file_size_bytes, mime_type, file_hash, storage_path, uploaded_by)
SELECT org_id, 'kept', 'a.txt', 1, 'text/plain', 'h', 'p', id FROM profile;
SELECT add_document_version(id, 'b.txt', 2, 'text/plain', 'h2', 'p2') FROM document;
INSERT INTO document_permission (document_id, user_id, permission_type, granted_by)
SELECT id, uploaded_by, 'read', uploaded_by FROM document;
INSERT INTO document_access_log (document_id, user_id, action)
SELECT id, uploaded_by, 'view' FROM document;
INSERT INTO communication_template (org_id, name, template_type, content, created_by)
SELECT org_id, 'greeting', 'email', 'Hello', id FROM profile;
INSERT INTO communication_campaign (org_id, name, template_id, created_by)
SELECT org_id, 'all', id, created_by FROM communication_template;
INSERT INTO communication_log
    (org_id, campaign_id, recipient_type, recipient_id, template_id, content, sent_at)
SELECT org_id, id, 'customer', id, template_id, 'Hello', times.dated FROM communication_campaign,
    (VALUES (now()), ('1999-01-01')) AS times (dated);
INSERT INTO ai_message (conversation_id, role, content, timestamp)
SELECT id, 'user', 'hi', now() FROM ai_conversation;
INSERT INTO customer_interaction (org_id, customer_id, channel, type, content, timestamp)
SELECT org_id, id, 'chat', 'inquiry', 'hi', now() FROM customer;
INSERT INTO pipeline_execution (pipeline_id, started_at) SELECT id, now() FROM automation_pipeline;
INSERT INTO system_metric (org_id, metric_name, metric_type, metric_value, timestamp)
SELECT id, 'm', 'gauge', 1, '2099-01-01' FROM organization;
INSERT INTO audit_log (action, table_name, timestamp)
SELECT 'API_CALL', 'load', dated
FROM (VALUES (NULL::timestamptz), (now()), ('2099-01-01'), ('infinity')) AS times (dated);
"""


def equal(before: catalog.Catalog, connection: Connection) -> list[str]:
    return str(catalog.diff(before, catalog.snapshot(connection))).splitlines()[1:]


@pytest.mark.parametrize("version", PHASE_4)
def test_nothing_in_them_blocks_readers_or_writers(version: str) -> None:
    findings = lint.lint(migration_files.find(migration_files.load(), version))
    assert [str(one) for one in findings if not one.allowed_because] == []


def test_what_is_allowed_says_why() -> None:
    found = [
        (one.rule, migration.version)
        for migration in migration_files.load()
        if migration.phase == "4"
        for one in lint.lint(migration)
        if one.allowed_because
    ]
    assert {version for _, version in found} == {"007"}


@pytest.mark.parametrize("version", PHASE_4)
def test_a_migration_cut_off_after_any_step_is_rolled_back(
    server: Server, baseline_template: str, version: str
) -> None:
    with migrated(server, baseline_template, BEFORE[version]) as connection:
        before = catalog.snapshot(connection)
        count = len(migration_files.read_script(script(version)).steps)
        for number in range(count + 1):
            carry_out(connection, script(version), number)
            carry_out(connection, script(version, "rollback"))
            assert equal(before, connection) == [], f"after {number} of {count} steps"


@pytest.mark.parametrize("version", PHASE_4)
def test_a_rollback_cut_off_after_any_step_is_begun_again(
    server: Server, baseline_template: str, version: str
) -> None:
    with migrated(server, baseline_template, BEFORE[version]) as connection:
        before = catalog.snapshot(connection)
        for number in range(len(migration_files.read_script(script(version, "rollback")).steps)):
            carry_out(connection, script(version))
            carry_out(connection, script(version, "rollback"), number)
            carry_out(connection, script(version, "rollback"))
            assert equal(before, connection) == [], f"after {number} steps of the rollback"


def test_all_go_up_and_down_and_up_again_with_rows(server: Server, baseline_template: str) -> None:
    with migrated(server, baseline_template, "009") as connection:
        with fresh_database(server, template(server, baseline_template, "003")) as start:
            before = catalog.snapshot(prepared(psycopg.connect(**start, autocommit=True)))
        assert [found(connection, script(version, "validate")) for version in PHASE_4] == [""] * 6
        audited = one(connection, "SELECT count(*) FROM audit_log")
        connection.execute(ROWS)
        audited_since = one(connection, "SELECT count(*) FROM audit_log")
        assert audited_since > audited + 4
        assert [found(connection, script(version, "validate")) for version in PHASE_4] == [""] * 6
        for version in reversed(PHASE_4):
            carry_out(connection, script(version, "rollback"))
        assert equal(before, connection) == []
        assert one(connection, "SELECT count(*) FROM audit_log") == audited_since
        connection.execute("DELETE FROM audit_log WHERE timestamp = '2099-01-01'")
        for version in PHASE_4:
            carry_out(connection, script(version))
        assert [found(connection, script(version, "validate")) for version in PHASE_4] == [""] * 6


@pytest.mark.parametrize(
    ("auth", "force_rls"), [("extended", False), ("extended", True), ("supabase", True)]
)
def test_every_installation_goes_up_and_down(
    empty_database: Target, auth: Any, force_rls: bool
) -> None:
    sandbox.load_baseline(
        empty_database.parameters, scale=0.01, seed=1, auth=auth, force_rls=force_rls
    )
    with psycopg.connect(**empty_database.parameters, autocommit=True) as connection:
        prepared(connection)
        for version in ("001", "002", "003"):
            carry_out(connection, script(version))
        before = catalog.snapshot(connection)
        for version in PHASE_4:
            carry_out(connection, script(version))
        assert [found(connection, script(version, "validate")) for version in PHASE_4] == [""] * 6
        assert failed_tests(connection) == []
        for version in reversed(PHASE_4):
            carry_out(connection, script(version, "rollback"))
        assert equal(before, connection) == []


def test_the_thresholds_of_the_strategy_hold(server: Server, baseline_template: str) -> None:
    with migrated(server, baseline_template, "009") as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS mantis_runbook")
        connection.execute((settings.sql() / "ledger" / "050_finding_before.sql").read_text())
        connection.execute(
            (settings.sql() / "monitoring" / "020_validate_schema_integrity.sql").read_text()
        )
        said = connection.execute(
            "SELECT * FROM mantis_runbook.validate_schema_integrity()"
        ).fetchall()
        assert [row for row in said if row[1] != "PASS"] == []


def test_afterwards_the_checks_find_nothing(server: Server, baseline_template: str) -> None:
    names = (
        "partitions_missing",
        "unindexed_foreign_keys",
        "duplicate_indexes",
        "invalid_indexes",
        "unvalidated_constraints",
        "tenant_tables_without_rls",
        "tables_without_primary_key",
        "ways_around_rls",
        "broken_objects",
        "partitions_in_the_way",
        "audit_log_dependents",
        "audit_log_dated_ahead",
        "foreign_keys_indexed_already",
        "unmarked_personal_data",
    )
    with migrated(server, baseline_template, "009") as connection:
        results = named_checks.run(connection, 5, names).results
        assert [
            f"{result.check.name}: {result.summary}" for result in results if result.total
        ] == []


def test_what_the_migrations_add_has_no_redundant_and_no_missing_index(
    server: Server, baseline_template: str
) -> None:
    with migrated(server, baseline_template, "009") as connection:
        redundant = named_checks.report(connection, "redundant_indexes")
        assert list(redundant["redundant_index"]) == ["profile_org_id_idx"]  # the baseline's own
        assert named_checks.report(connection, "missing_indexes").empty


SQL_TESTS = sorted((settings.sql() / "tests").glob("*_00[4-9]_*.sql"))


def failed_tests(connection: Connection) -> list[str]:
    return [f"{path.stem}: {said}" for path in SQL_TESTS if (said := found(connection, path))]


def test_the_sql_tests_pass_and_leave_nothing_even_without_a_runner(
    server: Server, baseline_template: str
) -> None:
    assert [path.stem for path in SQL_TESTS] == [
        "data_integrity_004_advanced",
        "integration_004_documents",
        "integration_005_communication",
        "integration_008_analytics",
        "unit_004_documents",
        "unit_005_communication",
    ]
    with migrated(server, baseline_template, "009") as connection:
        connection.execute(ROWS)
        before = counts(connection)
        assert failed_tests(connection) == []
        with another(connection) as plain:
            plain.execute((settings.sql() / "tenants" / "acting.sql").read_text())
            for path in SQL_TESTS:
                plain.execute(path.read_text())
        assert counts(connection) == before


def test_the_sql_tests_pass_in_a_database_without_rows(
    server: Server, baseline_template: str
) -> None:
    with migrated(server, baseline_template, "009") as connection:
        connection.execute("TRUNCATE auth.users, organization CASCADE")
        assert failed_tests(connection) == []


DOCUMENTS, COMMUNICATION, ANALYTICS = (
    path for path in SQL_TESTS if path.stem.startswith("integration_")
)
BREAKS = [
    (
        DOCUMENTS,
        "ALTER TABLE document DISABLE ROW LEVEL SECURITY",
        "a colleague should not see a private document",
    ),
    (
        DOCUMENTS,
        "ALTER TABLE document DISABLE TRIGGER keep_document_versions",
        "document_first_version_has_no_parent",
    ),
    (
        DOCUMENTS,
        "ALTER TABLE document DISABLE TRIGGER promote_document_version",
        "the version that is left should be",
    ),
    (
        DOCUMENTS,
        "ALTER TABLE document_permission DISABLE ROW LEVEL SECURITY",
        "a permission that a reader gives should be refused",
    ),
    (
        DOCUMENTS,
        "ALTER TABLE document_access_log DISABLE ROW LEVEL SECURITY",
        "access to a document that is not seen",
    ),
    (
        DOCUMENTS,
        "GRANT DELETE ON document_access_log TO authenticated",
        "taking an access back should be refused",
    ),
    (
        DOCUMENTS,
        "ALTER TABLE document_permission DISABLE TRIGGER record_audit",
        "the audit trail should tell",
    ),
    (
        DOCUMENTS,
        "ALTER TABLE document_access_log DROP CONSTRAINT document_access_log_document_id_fkey",
        "1 rows outlived",
    ),
    (
        COMMUNICATION,
        "ALTER TABLE communication_log DISABLE ROW LEVEL SECURITY",
        "should see nothing",
    ),
    (
        COMMUNICATION,
        "ALTER TABLE communication_campaign DISABLE TRIGGER same_organization",
        "another organisation's template should be refused",
    ),
    (
        COMMUNICATION,
        "ALTER TABLE communication_campaign DROP CONSTRAINT"
        " communication_campaign_sends_have_recipients",
        "more sends than recipients",
    ),
    (
        COMMUNICATION,
        "ALTER TABLE communication_log DROP CONSTRAINT communication_log_campaign_id_fkey",
        "what was sent should stay",
    ),
    (
        COMMUNICATION,
        "ALTER TABLE communication_template DISABLE TRIGGER record_audit",
        "the audit trail should tell",
    ),
    (
        ANALYTICS,
        "CREATE OR REPLACE FUNCTION refresh_analytics() RETURNS void LANGUAGE sql SECURITY"
        " DEFINER AS ''",
        "customer_analytics should tell",
    ),
    (
        ANALYTICS,
        "GRANT EXECUTE ON FUNCTION refresh_analytics() TO authenticated",
        "a refresh by a user should be refused",
    ),
    (
        ANALYTICS,
        "GRANT SELECT ON inventory_performance TO authenticated",
        "reading inventory_performance, which is of every organisation",
    ),
    (
        ANALYTICS,
        "CREATE OR REPLACE VIEW sales_performance_of_tenant AS SELECT * FROM sales_performance",
        "1 rows of sales_performance are seen",
    ),
    (
        ANALYTICS,
        "CREATE OR REPLACE VIEW customer_analytics_of_tenant AS SELECT * FROM customer_analytics",
        "analytics should know nothing",
    ),
]


def test_the_sql_tests_can_fail(server: Server, baseline_template: str) -> None:
    with migrated(server, baseline_template, "009") as connection:
        for path, statement, message in BREAKS:
            with connection.transaction(force_rollback=True):
                connection.execute(statement)
                assert message in found(connection, path), statement


def counts(connection: Connection) -> dict[str, int]:
    tables = connection.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relnamespace IN ('public'::regnamespace,"
        " 'auth'::regnamespace) AND relkind IN ('r', 'p', 'm')"
    ).fetchall()
    return {name: one(connection, f"SELECT count(*) FROM {name}") for (name,) in tables}
