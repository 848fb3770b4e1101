"""Every check is broken on purpose once, and finds that and nothing else."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from workbench import beside, wait_for

from mantis_runbook import settings
from mantis_runbook.checks import check_files, named_checks
from mantis_runbook.checks.named_checks import Checks
from mantis_runbook.engine import ledger
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.engine.step_journal import StepJournal
from mantis_runbook.errors import ParameterError, PrecheckFailed
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases import evidence_tables
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server

LOAD = migration_files.load


@pytest.fixture(autouse=True)
def core_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For these tests migration 001 is all there is: what others make is not theirs to know."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    for path in (settings.sql() / "migrations").glob("001_*.sql"):
        shutil.copy(path, folder)
    monkeypatch.setattr(migration_files, "load", lambda: LOAD(folder))
    return folder


def found(connection: Connection, name: str, phase: int = 0) -> tuple[str, list[str]]:
    """Verdict and findings of one check."""
    (result,) = named_checks.run(connection, phase, [name]).results
    return result.verdict, [str(finding) for finding in result.found]


BASELINE = (Path(settings.sql()) / "baseline").joinpath

ONE_MORE_ITEM = """
    INSERT INTO inventory_item (org_id, sku, name, category)
    SELECT org_id, lower(sku) || ' ', name, category FROM inventory_item ORDER BY id LIMIT 1
"""

#: check, phase, what breaks it, verdict, a part of what it then says
BROKEN = [
    (
        "audit_log_dependents",
        0,
        "ALTER TABLE audit_log ADD COLUMN size integer GENERATED ALWAYS AS"
        " (length(old_data::text)) STORED",
        "fail",
        "generated column size: a rollback moves rows from partition to table as they are",
    ),
    (
        "heirs",
        0,
        "CREATE TABLE customer_archive () INHERITS (customer); CREATE TABLE elsewhere ()"
        " INHERITS (supplier)",
        "fail",
        "table customer_archive: inherits from customer",
    ),
    (
        "unvalidated_constraints",
        0,
        "ALTER TABLE customer ADD CONSTRAINT named CHECK (name <> '') NOT VALID",
        "warn",
        "named on customer: check is not validated",
    ),
    (
        "unvalidated_constraints",
        5,
        "ALTER TABLE customer ADD CONSTRAINT named CHECK (name <> '') NOT VALID",
        "fail",
        "named on customer",
    ),
    (
        "broken_foreign_keys",
        0,
        "SET LOCAL session_replication_role = replica; UPDATE support_ticket SET customer_id ="
        " gen_random_uuid()"
        " WHERE id = (SELECT id FROM support_ticket LIMIT 1)",
        "fail",
        "support_ticket_customer_id_fkey of support_ticket: 1 row(s) without their row in"
        " public.customer",
    ),
    (
        "broken_foreign_keys",
        0,
        "SET LOCAL session_replication_role = replica; DELETE FROM auth.users WHERE id = (SELECT"
        " id FROM profile LIMIT 1)",
        "fail",
        "profile_id_fkey of profile: 1 row(s) without their row in auth.users",
    ),
    (
        "broken_foreign_keys",
        0,
        "ALTER TABLE customer ADD COLUMN boss uuid; UPDATE customer SET boss = gen_random_uuid()"
        " WHERE id ="
        " (SELECT id FROM customer LIMIT 1); ALTER TABLE customer ADD CONSTRAINT has_boss"
        " FOREIGN KEY (boss)"
        " REFERENCES customer NOT VALID",
        "fail",
        "has_boss of customer: 1 row(s)",
    ),
    (
        "broken_foreign_keys",
        0,
        "CREATE TABLE pair (a integer, b integer, PRIMARY KEY (a, b)); CREATE TABLE half (a"
        " integer, b integer);"
        " INSERT INTO half VALUES (1, NULL), (NULL, NULL); ALTER TABLE half ADD CONSTRAINT whole"
        " FOREIGN KEY (a, b)"
        " REFERENCES pair MATCH FULL NOT VALID",
        "fail",
        "whole of half: 1 row(s)",
    ),
    (
        "orphaned_audit_entries",
        0,
        "SET LOCAL session_replication_role = replica; INSERT INTO audit_log (action,"
        " table_name, record_id)"
        " VALUES ('INSERT', 'supplier', gen_random_uuid())",
        "warn",
        "audit_log about supplier: 1 row(s) are gone",
    ),
    (
        "references_across_organizations",
        0,
        "UPDATE support_ticket AS t SET customer_id = (SELECT id FROM customer AS c WHERE"
        " c.org_id <> t.org_id LIMIT 1)"
        " WHERE id = (SELECT id FROM support_ticket LIMIT 1)",
        "warn",
        "support_ticket.customer_id: 1 row(s) refer to a customer of another organisation",
    ),
    (
        "users_of_missing_organizations",
        0,
        "CREATE TABLE auth.users_extended (id uuid, org_id uuid);"
        " INSERT INTO auth.users_extended VALUES (gen_random_uuid(), gen_random_uuid())",
        "warn",
        "auth.users_extended.org_id: 1 user(s)",
    ),
    ("items_sharing_a_sku", 0, ONE_MORE_ITEM, "warn", "1 SKU(s) shared by 2 items"),
    (
        "organizations_with_unknown_currency",
        0,
        'UPDATE organization SET settings = \'{"currency": "sek"}\''
        " WHERE id = (SELECT id FROM organization LIMIT 1)",
        "warn",
        "SEK is a currency, but no label of currency_code",
    ),
    (
        "organizations_with_unknown_currency",
        0,
        'UPDATE organization SET settings = \'{"currency": " "}\''
        " WHERE id = (SELECT id FROM organization LIMIT 1)",
        "warn",
        "an empty text, which names none and is not taken for USD",
    ),
    (
        "organizations_with_unknown_currency",
        0,
        'UPDATE organization SET settings = \'{"currency": "XQQ"}\''
        " WHERE id = (SELECT id FROM organization LIMIT 1)",
        "warn",
        "XQQ is no currency of ISO 4217",
    ),
    (
        "organizations_with_unknown_currency",
        3,
        'UPDATE organization SET settings = \'{"currency": " eur "}\''
        " WHERE id = (SELECT id FROM organization LIMIT 1)",
        "warn",
        "written otherwise than EUR",
    ),
    (
        "organizations_with_unknown_currency",
        0,
        "UPDATE organization SET settings = '{\"currency\": \"Jane Doe''s money\"}' WHERE id ="
        " (SELECT id FROM organization LIMIT 1)",
        "warn",
        "not a code of three letters",
    ),
    (
        "unindexed_foreign_keys",
        5,
        "DROP INDEX inventory_item_supplier_id_idx",
        "fail",
        "inventory_item.supplier_id: ",
    ),
    (
        "invalid_indexes",
        0,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid ="
        " 'supplier_org_id_name_idx'::regclass",
        "warn",
        "supplier_org_id_name_idx on supplier: invalid, and kept up to date by every write",
    ),
    (
        "row_types_in_use",
        0,
        "CREATE TABLE customer_was (id integer, was customer, many customer[])",
        "warn",
        "column customer_was.many: it holds rows of customer, an array",
    ),
    (
        "duplicate_indexes",
        0,
        "CREATE INDEX again ON supplier (org_id, name)",
        "warn",
        "supplier: same index: again, supplier_org_id_name_idx",
    ),
    (
        "duplicate_indexes",
        0,
        "CREATE INDEX again ON organization (slug)",
        "warn",
        "organization: same index: organization_slug_is_unique, again",
    ),
    (
        "broken_objects",
        0,
        "SET LOCAL check_function_bodies = off; CREATE FUNCTION lost() RETURNS bigint LANGUAGE"
        " sql AS 'SELECT count(*) FROM gone'",
        "warn",
        'function lost(): relation "gone" does not exist',
    ),
    (
        "broken_objects",
        5,
        "CREATE TABLE gone (a integer); CREATE FUNCTION lost() RETURNS SETOF integer STABLE"
        " LANGUAGE sql"
        " AS 'SELECT a FROM gone'; CREATE VIEW losing AS SELECT * FROM lost(); DROP TABLE gone",
        "fail",
        'view losing: relation "gone" does not exist',
    ),
    (
        "tenant_tables_without_rls",
        0,
        "ALTER TABLE customer DISABLE ROW LEVEL SECURITY",
        "warn",
        "customer: row-level security is off",
    ),
    (
        "tenant_tables_without_rls",
        2,
        "CREATE TABLE note (id uuid PRIMARY KEY, comment_id uuid REFERENCES ticket_comment)",
        "fail",
        "note: row-level security is off",
    ),
    (
        "tenant_tables_without_rls",
        1,
        "DROP POLICY widget_data_cache_of_own_organization ON widget_data_cache",
        "fail",
        "widget_data_cache: row-level security is on, and no policy lets anybody in",
    ),
    (
        "ways_around_rls",
        0,
        "GRANT SELECT ON customer_interaction_2025_q1 TO authenticated, anon",
        "warn",
        "customer_interaction_2025_q1: anon, authenticated may read this partition",
    ),
    (
        "ways_around_rls",
        0,
        "CREATE VIEW leak AS SELECT * FROM customer; GRANT SELECT ON leak TO PUBLIC",
        "warn",
        "leak: PUBLIC may read this view with its owner's rights",
    ),
    (
        "ways_around_rls",
        0,
        "CREATE MATERIALIZED VIEW leak AS SELECT 1 AS a; GRANT SELECT ON leak TO anon",
        "warn",
        "leak: anon may read this materialized view",
    ),
    (
        "tables_without_primary_key",
        0,
        "CREATE TABLE heap (a integer)",
        "warn",
        "heap: no primary key",
    ),
    (
        "stale_statistics",
        0,
        "CREATE TABLE fresh AS SELECT generate_series(1, 5000) AS a",
        "warn",
        "fresh: never analysed",
    ),
    (
        "durability",
        0,
        "SET LOCAL synchronous_commit = off",
        "fail",
        "synchronous_commit: synchronous_commit = off",
    ),
    (
        "durability",
        0,
        "ALTER ROLE authenticated SET synchronous_commit = off",
        "fail",
        "synchronous_commit of role authenticated",
    ),
    (
        "role_rights",
        0,
        "CREATE ROLE weak; SET LOCAL ROLE weak",
        "fail",
        "customer: belongs to mantis",
    ),
    (
        "role_rights",
        0,
        "CREATE ROLE weak; SET LOCAL ROLE weak",
        "fail",
        "this database: this role may not CREATE",
    ),
    (
        "role_sees_all_rows",
        0,
        "CREATE ROLE weak; SET LOCAL ROLE weak",
        "fail",
        "customer: policies apply to this role",
    ),
    (
        "role_sees_all_rows",
        0,
        "CREATE ROLE weak; GRANT CREATE ON SCHEMA public TO weak; ALTER TABLE customer OWNER TO"
        " weak;"
        " ALTER TABLE customer FORCE ROW LEVEL SECURITY; SET LOCAL ROLE weak",
        "fail",
        "customer: policies apply to this role, by FORCE",
    ),
    (
        "role_sees_statistics",
        0,
        "CREATE ROLE weak; SET LOCAL ROLE weak",
        "warn",
        "role weak: does not have",
    ),
    (
        "role_may_act",
        0,
        "CREATE ROLE weak; SET LOCAL ROLE weak",
        "fail",
        "authenticated: this role may not SET ROLE to it",
    ),
    (
        "role_may_set",
        0,
        "CREATE ROLE weak; SET LOCAL ROLE weak",
        "fail",
        "session_replication_role: this role may not",
    ),
    (
        "role_reads_everything",
        0,
        "CREATE ROLE weak; SET LOCAL ROLE weak",
        "fail",
        "schema auth: no USAGE on it",
    ),
    (
        "other_ledger",
        0,
        BASELINE("older_tooling_a.sql").read_text(),
        "pass",
        "columns migration_name, executed_at",
    ),
    (
        "other_ledger",
        0,
        BASELINE("older_tooling_b.sql").read_text(),
        "pass",
        "columns id, name, filename",
    ),
    ("is_mantisnxt", 0, "DROP TABLE widget_data_cache", "fail", "widget_data_cache: no such table"),
    (
        "is_mantisnxt",
        3,
        "ALTER TABLE customer RENAME COLUMN phone TO telephone",
        "fail",
        "customer: without phone",
    ),
    (
        "leftover_enums",
        0,
        BASELINE("leftovers.sql").read_text(),
        "fail",
        "type currency_code: not what 001 makes: without AUD, BRL, CAD, CHF, CNY, INR, JPY",
    ),
    ("leftover_enums", 1, "CREATE TYPE api_scope AS ENUM ('read', 'dance')", "fail", "with dance"),
    (
        "leftover_enums",
        1,
        "CREATE TYPE tax_type AS ENUM ('sales_tax', 'vat', 'gst', 'excise', 'customs',"
        " 'income_tax', 'property_tax')",
        "fail",
        "type tax_type: the labels of 001 in another order",
    ),
    (
        "leftover_enums",
        1,
        "CREATE TYPE tax_type AS ENUM ('vat', 'sales_tax', 'gst', 'excise', 'customs',"
        " 'income_tax', 'property_tax')",
        "fail",
        "type tax_type: equal to what 001 makes",
    ),
    (
        "leftover_enums",
        1,
        "CREATE DOMAIN tax_type AS text",
        "fail",
        "type tax_type: no enum, where 001 makes one",
    ),
    (
        "leftover_tables",
        1,
        BASELINE("leftovers.sql").read_text(),
        "fail",
        "table oauth_provider: not what 001 makes: without authorization_url text",
    ),
    (
        "leftover_tables",
        1,
        "CREATE TABLE user_2fa (id uuid, user_id uuid, method text, secret_encrypted text,"
        " phone_number text,"
        " is_verified boolean, backup_codes text[], created_at timestamptz, verified_at"
        " timestamptz)",
        "fail",
        "table user_2fa: columns equal to what 001 makes",
    ),
    (
        "leftover_tables",
        1,
        "CREATE VIEW api_key AS SELECT 1 AS id",
        "fail",
        "view api_key: not what 001 makes",
    ),
    (
        "leftover_indexes",
        1,
        "CREATE INDEX idx_api_key_org ON customer (org_id)",
        "fail",
        "index idx_api_key_org: valid, on customer; 001 makes it on api_key",
    ),
    (
        "leftover_indexes",
        1,
        "CREATE INDEX idx_api_key_org ON customer (org_id);"
        " UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_api_key_org'::regclass",
        "fail",
        "index idx_api_key_org: invalid",
    ),
    (
        "session_settings",
        0,
        "SET LOCAL session_replication_role = replica",
        "fail",
        "session_replication_role = replica, set by session",
    ),
    ("session_settings", 0, "SET LOCAL zero_damaged_pages = on", "fail", "zero_damaged_pages = on"),
    (
        "settings_of_the_database",
        0,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET session_replication_role = replica',"
        " current_database());"
        " END $$",
        "warn",
        "this database: session_replication_role=replica",
    ),
    ("settings_of_the_database", 0, "SET LOCAL track_counts = off", "warn", "track_counts = off"),
    (
        "publications_unread",
        0,
        "CREATE PUBLICATION everything FOR ALL TABLES",
        "warn",
        "publication everything: FOR ALL TABLES",
    ),
    (
        "publications_unread",
        1,
        "CREATE PUBLICATION of_public FOR TABLES IN SCHEMA public",
        "warn",
        "publication of_public: FOR TABLES IN SCHEMA public",
    ),
    (
        "leftover_functions",
        1,
        "CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "fail",
        "function touch_updated_at(): of the name and arguments that 001 uses",
    ),
]

#: Found in the baseline itself: check, verdict, number of findings, a part of what it says.
PLANTED = [
    ("users_without_profile", "warn", 2, "dashboard.created_by: 6 user(s) without a profile"),
    ("users_without_profile", "warn", 2, "ai_conversation.user_id: 6 user(s) without a profile"),
    ("orphaned_notifications", "warn", 1, "8 notification(s) name a missing ticket"),
    ("customers_sharing_an_email", "warn", None, "letter for letter"),
    ("organizations_without_currency", "warn", 6, "no currency in the settings"),
    ("organizations_without_currency", "warn", 6, "no settings at all"),
    ("organizations_without_currency", "warn", 6, "currency is there and null"),
    ("unindexed_foreign_keys", "warn", 7, "purchase_order.approved_by"),
    (
        "partitions_missing",
        "warn",
        4,
        "customer_interaction: no partition for today; the newest ends at 2025-10-01",
    ),
    ("statement_statistics", "pass", 1, "pg_stat_statements"),
    ("write_ahead_log", "pass", 1, "archive_mode = off"),
]

#: Broken by tests of their own, further down.
ELSEWHERE = {
    "prepared_transactions",
    "old_transactions",
    "idle_replication_slots",
    "server_version",
    "extensions_available",
    "extension_uuid_ossp",
}


OURS = {one[0] for one in (*BROKEN, *PLANTED)} | ELSEWHERE


@pytest.mark.parametrize(
    ("name", "phase", "statement", "verdict", "words"),
    BROKEN,
    ids=[f"{one[0]}-{one[4][:30]}" for one in BROKEN],
)
def test_what_is_broken_is_found(
    baseline: Connection, name: str, phase: int, statement: str, verdict: str, words: str
) -> None:
    before = found(baseline, name, phase)[1]
    with baseline.transaction(force_rollback=True):
        baseline.execute(statement)
        after = found(baseline, name, phase)
    assert after[0] == verdict
    assert [one for one in after[1] if words in one], after[1]
    assert not [one for one in before if words in one]
    assert found(baseline, name, phase)[1] == before


@pytest.mark.parametrize(("name", "verdict", "number", "words"), PLANTED)
def test_what_was_planted_is_found(
    baseline: Connection, name: str, verdict: str, number: int | None, words: str
) -> None:
    said = found(baseline, name)
    assert said[0] == verdict
    assert number in (None, len(said[1]))
    assert [one for one in said[1] if words in one], said[1]


def test_all_sixteen_shared_addresses_are_found(baseline: Connection) -> None:
    (result,) = named_checks.run(baseline, 0, ["customers_sharing_an_email"]).results
    assert sum(finding.found for finding in result.found) == 16


def test_every_check_was_broken_once() -> None:
    """Here, or where the migration is tested that the check belongs to."""
    texts = [
        path.read_text()
        for path in Path(__file__).parent.parent.rglob("test_*.py")
        if path != Path(__file__)
    ]
    others = {check.name for check in named_checks.load()} - OURS
    assert {check.name for check in named_checks.load()} >= OURS
    assert [name for name in others if not any(name in text for text in texts)] == []


def test_nothing_but_what_was_planted_is_found_in_the_baseline(baseline: Connection) -> None:
    noisy = {
        result.check.name for result in named_checks.run(baseline, 0).results if result.total
    } & OURS
    assert noisy - {"durability", "extension_uuid_ossp"} == {name for name, *_ in PLANTED}


def test_whether_uuid_ossp_is_offered_is_said(baseline: Connection) -> None:
    offered = baseline.execute(
        "SELECT count(*) FROM pg_available_extensions WHERE name = 'uuid-ossp'"
    ).fetchone()
    assert found(baseline, "extension_uuid_ossp")[0] == ("pass" if offered == (1,) else "warn")


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("server_version", "< 140000", "< 990000", "server_version: PostgreSQL 1"),
        (
            "extensions_available",
            "'hstore'",
            "'hstore', 'telepathy'",
            "telepathy: not offered by this server",
        ),
        (
            "extension_uuid_ossp",
            "= 'uuid-ossp'",
            "= 'telepathy'",
            "uuid-ossp: not offered by this server",
        ),
    ],
)
def test_what_this_server_cannot_be_made_to_show_is_asked_otherwise(
    baseline: Connection, monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str, words: str
) -> None:
    [path] = (settings.sql() / "checks").rglob(f"{name}.sql")
    text = path.read_text()
    assert old in text
    changed = check_files.COMMENTS.sub("", text).replace(old, new)
    monkeypatch.setattr(check_files.Check, "text", changed)
    verdict, said = found(baseline, name)
    assert verdict == ("warn" if name == "extension_uuid_ossp" else "fail")
    assert words in said[0]


def test_a_prepared_transaction_is_found(baseline: Connection) -> None:
    baseline.execute("BEGIN")
    baseline.execute("UPDATE customer SET name = name WHERE false")
    baseline.execute("PREPARE TRANSACTION 'left behind'")
    verdict, said = found(baseline, "prepared_transactions")
    baseline.execute("ROLLBACK PREPARED 'left behind'")
    assert (verdict, len(said)) == ("fail", 1)
    assert found(baseline, "prepared_transactions") == ("pass", [])


@pytest.fixture
def second(baseline: Connection, server: Server) -> Iterator[Connection]:
    """Another connection to the same database, which begins transactions by itself."""
    with psycopg.connect(
        **server.parameters | {"dbname": baseline.info.dbname}, application_name="idler"
    ) as connection:
        yield connection


def test_an_old_transaction_is_found(baseline: Connection, second: Connection) -> None:
    second.execute("SELECT 1")
    assert found(baseline, "old_transactions") == ("pass", [])
    baseline.execute("SET mantis_runbook.old_after = '0 s'")
    verdict, said = found(baseline, "old_transactions")
    assert verdict == "warn"
    assert f"session {second.info.backend_pid}: idler, idle in transaction" in said[0]


def test_sessions_that_may_not_be_looked_at_are_not_taken_for_none(
    baseline: Connection, second: Connection
) -> None:
    second.execute("SELECT 1")
    with baseline.transaction(force_rollback=True):
        baseline.execute("CREATE ROLE weak; SET LOCAL ROLE weak")
        assert found(baseline, "old_transactions") == (
            "warn",
            ["sessions of other roles: 1 session(s) that this role may not look at"],
        )


def test_an_idle_replication_slot_is_found(baseline: Connection) -> None:
    baseline.execute("SELECT pg_create_physical_replication_slot('forgotten', true)")
    try:
        assert (
            "slot forgotten: physical slot, inactive"
            in found(baseline, "idle_replication_slots")[1][0]
        )
    finally:
        baseline.execute("SELECT pg_drop_replication_slot('forgotten')")
    assert found(baseline, "idle_replication_slots") == ("pass", [])


def test_an_index_being_built_is_not_taken_for_an_invalid_one(
    baseline: Connection, second: Connection, server: Server
) -> None:
    second.execute("SELECT count(*) FROM customer")
    second.execute("INSERT INTO customer (org_id, name) SELECT id, 'x' FROM organization LIMIT 1")

    def build() -> None:
        with psycopg.connect(
            **server.parameters | {"dbname": baseline.info.dbname}, autocommit=True
        ) as builder:
            builder.execute("CREATE INDEX CONCURRENTLY slow ON customer (name)")

    building = threading.Thread(target=build)
    building.start()
    try:
        waiting = (
            "SELECT count(*) FROM pg_index JOIN pg_class ON indexrelid = oid WHERE relname = 'slow'"
            " AND NOT indisvalid"
        )
        while baseline.execute(waiting).fetchone() == (0,):
            pass
        assert found(baseline, "invalid_indexes") == ("pass", [])
    finally:
        second.rollback()
        building.join()


def test_a_durable_server_passes(own_server: object) -> None:
    server = own_server(fsync="on", full_page_writes="on")  # type: ignore[operator]
    with psycopg.connect(**server.parameters, autocommit=True) as connection:
        assert found(connection, "durability") == ("pass", [])
        connection.execute("ALTER SYSTEM SET full_page_writes = off")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("SELECT pg_sleep(0.5)")
        assert found(connection, "durability") == (
            "fail",
            ["full_page_writes: full_page_writes = off"],
        )


# -- leftovers -------------------------------------------------------------------------------------


def carry_out(connection: Connection, role: str = "", steps: int | None = None) -> None:
    script = migration_files.read_script(
        settings.sql() / "migrations" / f"001_core_enhancements{role}.sql"
    )
    for step in script.steps[:steps]:
        with connection.transaction():
            for statement in step.statements:
                connection.execute(statement.text)


LEFTOVERS = ("leftover_enums", "leftover_tables", "leftover_indexes", "leftover_functions")


def test_what_the_migration_made_itself_is_no_leftover(baseline: Connection) -> None:
    ledger.install(baseline)
    carry_out(baseline)
    assert named_checks.run(baseline, 1, LEFTOVERS).verdict == "fail"
    ledger.Ledger(baseline).set(migration_files.load()[0], "running")
    ledger.Ledger(baseline).set(migration_files.load()[0], "completed")
    assert named_checks.run(baseline, 1, LEFTOVERS).verdict == "pass"


def test_what_a_broken_off_migration_made_is_no_leftover_until_it_is_rolled_back(
    baseline: Connection,
) -> None:
    ledger.install(baseline)
    carry_out(baseline, steps=3)
    journal = StepJournal(baseline, "run", "tester")
    journal.write("001", "up", "begun")
    assert named_checks.run(baseline, 1, LEFTOVERS).verdict == "fail"
    journal.write("001", "up", "done", "extensions")
    assert named_checks.run(baseline, 1, LEFTOVERS).verdict == "pass"
    for direction, state, step in (
        ("up", "ended", None),
        ("rollback", "begun", None),
        ("rollback", "done", "functions"),
    ):
        journal.write("001", direction, state, step)
    assert named_checks.run(baseline, 1, LEFTOVERS).verdict == "pass"
    journal.write("001", "rollback", "ended")
    assert named_checks.run(baseline, 1, LEFTOVERS).verdict == "fail"


def test_a_leftover_column_is_found(baseline: Connection, core_alone: Path) -> None:
    for role in ("", "_rollback", "_validate"):
        (core_alone / f"002_money{role}.sql").write_text(
            "-- Migration 002: Money\n-- phase: 3\n-- requires: 001\n-- step: one\nALTER TABLE"
            " customer ADD COLUMN worth numeric(12,2);\n-- step: two\nALTER TABLE customer ADD"
            " COLUMN coin text;\n"
        )
    baseline.execute("ALTER TABLE customer ADD COLUMN worth numeric(10,2), ADD COLUMN coin text")
    assert found(baseline, "leftover_tables", 1) == ("pass", [])
    assert found(baseline, "leftover_tables", 3) == (
        "fail",
        [
            "column customer.coin: of the type that 002 gives it",
            "column customer.worth: numeric(10,2), where 002 adds numeric(12,2)",
        ],
    )


def test_migration_files_that_cannot_be_read_fail_the_check(
    baseline: Connection, core_alone: Path
) -> None:
    (core_alone / "001_core_enhancements_rollback.sql").unlink()
    verdict, said = found(baseline, "leftover_enums", 1)
    assert verdict == "fail"
    assert "the check could not run" in said[0]


# -- locked tables ---------------------------------------------------------------------------------

PATIENCE_S = 1.5


def could_not_run(done: named_checks.Checks) -> dict[str, str]:
    return {
        result.check.name: result.summary
        for result in done.failed
        if "could not run" in result.summary
    }


@pytest.mark.parametrize(
    "lock", ["LOCK TABLE profile", "LOCK TABLE profile, customer; PREPARE TRANSACTION 'payroll'"]
)
def test_a_locked_table_holds_a_run_up_once_and_not_each_of_its_checks(
    baseline: Connection, second: Connection, lock: str
) -> None:
    """Relative to the same run without the lock, so that a slow machine is no finding."""
    began = time.monotonic()
    assert could_not_run(named_checks.run(baseline, 0)) == {}
    free_s = time.monotonic() - began
    second.execute(lock)
    try:
        began = time.monotonic()
        done = named_checks.run(baseline, 0, patience_s=PATIENCE_S)
        locked_s = time.monotonic() - began
    finally:
        if "PREPARE" in lock:
            second.autocommit = True
            second.execute("ROLLBACK PREPARED 'payroll'")
        second.rollback()
    held_up = could_not_run(done)
    assert len(held_up) >= 5
    assert locked_s < 2 * free_s + len(held_up) * PATIENCE_S / 2, "as many waits as checks"
    assert done.verdict == "fail"
    who = (
        "prepared transactions (payroll of mantis)"
        if "PREPARE" in lock
        else f"pid {second.info.backend_pid} (idler, "
    )
    assert all(
        f" for what is locked: {'customer, ' if 'customer' in lock else ''}profile by {who}" in said
        for said in held_up.values()
    )
    assert sum("waited 1.5 s for" in said for said in held_up.values()) == 1
    assert could_not_run(named_checks.run(baseline, 0)) == {}, "and all run once it is gone"


def test_who_queues_for_an_exclusive_lock_is_named_too(
    baseline: Connection, second: Connection, server: Server
) -> None:
    """Readers queue behind somebody who himself waits for another reader."""
    second.execute("SELECT FROM profile LIMIT 1")
    parameters = server.parameters | {"dbname": baseline.info.dbname, "application_name": "deploy"}
    with psycopg.connect(**parameters) as deploy:
        pid = deploy.info.backend_pid
        asking = threading.Thread(target=deploy.execute, args=("LOCK TABLE profile",))
        asking.start()
        try:
            wait_for(
                lambda: baseline.execute(
                    "SELECT FROM pg_locks WHERE NOT granted AND pid = %s", (pid,)
                ).fetchall(),
                "the deploy to queue",
            )
            held_up = could_not_run(named_checks.run(baseline, 0, patience_s=0.3))
        finally:
            second.rollback()
            asking.join()
            deploy.rollback()
    assert held_up
    assert all(f"profile by pid {pid} (deploy, active, LOCK" in said for said in held_up.values())


def test_a_lock_that_is_let_go_in_time_is_waited_for(
    baseline: Connection, second: Connection
) -> None:
    second.execute("LOCK TABLE profile")
    mine = baseline.info.backend_pid
    with psycopg.connect(baseline.info.dsn, autocommit=True) as onlooker:

        def let_go() -> None:
            wait_for(
                lambda: onlooker.execute(
                    "SELECT FROM pg_locks WHERE NOT granted AND pid = %s", (mine,)
                ).fetchall(),
                "the checks to wait",
            )
            second.rollback()

        with beside(let_go):
            assert could_not_run(named_checks.run(baseline, 0, patience_s=30)) == {}


def test_a_view_over_a_locked_table_is_not_called_broken(
    baseline: Connection, second: Connection
) -> None:
    second.execute("LOCK TABLE profile")
    (result,) = named_checks.run(baseline, 0, ["broken_objects"], patience_s=0.1).results
    second.rollback()
    assert result.verdict == "fail"
    assert result.summary.startswith(
        "broken_objects: the check could not run: waited 100 ms for what is locked: profile by"
    )


# -- running and showing ---------------------------------------------------------------------------


def test_a_check_that_could_not_run_fails(baseline: Connection) -> None:
    baseline.execute("DROP TABLE customer CASCADE")
    assert found(baseline, "customers_sharing_an_email") == (
        "fail",
        ['customers_sharing_an_email: the check could not run: relation "customer" does not exist'],
    )


def test_a_role_that_would_see_a_part_of_the_rows_gets_no_verdict_from_them(
    baseline: Connection,
) -> None:
    with baseline.transaction(force_rollback=True):
        baseline.execute("CREATE ROLE weak; GRANT SELECT ON customer TO weak; SET LOCAL ROLE weak")
        verdict, said = found(baseline, "customers_sharing_an_email")
    assert verdict == "fail"
    assert "row-level security" in said[0]


def test_every_check_of_every_phase_runs_read_only_and_changes_nothing(
    baseline: Connection,
) -> None:
    baseline.execute("SET search_path = pg_catalog")
    for phase in range(6):
        names = [
            check.name
            for check in named_checks.load()
            if check.name in OURS and check.is_of(str(phase))
        ]
        for result in named_checks.run(baseline, phase, names).results:
            assert "could not run" not in result.summary, result
    assert baseline.execute("SHOW search_path").fetchone() == ("pg_catalog",)
    assert baseline.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_an_error_does_not_quote_a_row(
    baseline: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        check_files.Check,
        "text",
        "CREATE TEMP TABLE x AS SELECT 1; INSERT INTO customer (name) VALUES ('Jane')",
    )
    assert "Jane" not in str(found(baseline, "items_sharing_a_sku"))


def test_tolerated_findings_warn_but_a_check_that_could_not_run_fails(
    baseline: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert named_checks.run(baseline, 0, ["durability"]).verdict == "fail"
    assert named_checks.run(baseline, 0, ["durability"], tolerate={"durability"}).verdict == "warn"
    monkeypatch.setattr(check_files.Check, "text", "SELECT nonsense")
    assert named_checks.run(baseline, 0, ["durability"], tolerate={"durability"}).verdict == "fail"


@pytest.mark.parametrize("arguments", [{"names": ["telepathy"]}, {"tolerate": ["telepathy"]}])
def test_an_unknown_check_is_refused(baseline: Connection, arguments: dict[str, list[str]]) -> None:
    with pytest.raises(ParameterError, match="telepathy"):
        named_checks.run(baseline, 0, **arguments)


def test_nothing_checked_is_not_passed(baseline: Connection) -> None:
    nothing = named_checks.run(baseline, 0, [])
    assert nothing.verdict == "fail"
    with pytest.raises(PrecheckFailed):
        nothing.require()


def test_the_error_names_each_failed_check_and_what_to_do(baseline: Connection) -> None:
    baseline.execute("ALTER TABLE customer DISABLE ROW LEVEL SECURITY")
    names = [
        "tenant_tables_without_rls",
        "durability",
        "server_version",
        "organizations_without_currency",
    ]
    with pytest.raises(PrecheckFailed) as caught:
        named_checks.run(baseline, 1, names).require()
    text = str(caught.value)
    assert text.startswith("2 of 4 checks of phase 1 failed")
    assert "tenant_tables_without_rls: found customer: row-level security is off; expected" in text
    assert "ENABLE ROW LEVEL SECURITY" in text
    assert "durability: found" in text
    assert "organizations_without_currency" not in text
    assert (
        named_checks.run(baseline, 0, ["server_version", "organizations_without_currency"])
        .require()
        .verdict
        == "warn"
    )


def test_findings_are_kept_up_to_a_number_and_counted_all(
    baseline: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_checks, "KEPT", 20)
    for number in range(25):
        baseline.execute(f"CREATE TABLE heap_{number} (a integer)")
    (result,) = named_checks.run(baseline, 0, ["tables_without_primary_key"]).results
    assert (len(result.found), result.total) == (named_checks.KEPT, 25)
    assert result.summary.endswith("; and 22 more")
    _, fold, *_ = evidence_tables.checks_tables(Checks("0", (result,)))
    assert (fold.caption, fold.folded, len(fold.records)) == (
        "Tables without a primary key: 25 findings, the first 20 of them here",
        True,
        20,
    )


def test_the_table_is_escaped_and_the_same_each_time(baseline: Connection) -> None:
    baseline.execute('CREATE TABLE "<script>alert(1)</script>" (a integer)')
    first = named_checks.run(baseline, 0)
    assert "<script>" not in first._repr_html_()
    assert "&lt;script&gt;" in first._repr_html_()
    assert first._repr_html_() == named_checks.run(baseline, 0)._repr_html_()
    assert [one.record for one in first.results] == [
        one.record for one in named_checks.run(baseline, 0).results
    ]
    assert len(first.results) == len(first.records)
    assert all(result.duration_ms > 0 for result in first.results)


def test_no_finding_holds_an_address_or_a_name(baseline: Connection) -> None:
    said = str(named_checks.run(baseline, 0).records)
    assert "@" not in said
    for (name,) in baseline.execute("SELECT name FROM customer ORDER BY id LIMIT 200"):
        assert name not in said


def test_a_severity_can_grow_from_phase_to_phase() -> None:
    assert {check.name: check.severity for check in named_checks.load()}[
        "invalid_indexes"
    ] == "warn"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-- severity: dreadful", "a header"),
        ("-- check: other", "a header of another check"),
        ("-- action:", "a header without action"),
    ],
)
def test_a_header_that_is_not_whole_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    text = (settings.sql() / "checks" / "server_version.sql").read_text()
    text = text.replace("check: server_version", "check: till_is_shut")
    key = line.split(":")[0]
    (tmp_path / "checks" / "application").mkdir(parents=True)
    changed = "\n".join(line if one.startswith(key + ":") else one for one in text.splitlines())
    (tmp_path / "checks" / "application" / "till_is_shut.sql").write_text(changed)
    monkeypatch.setenv("MANTIS_RUNBOOK_HOME", str(tmp_path))
    monkeypatch.setattr(settings, "sql", lambda: tmp_path)
    with pytest.raises(ParameterError, match=message):
        named_checks.load()


# -- reports ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "columns", "least"),
    [
        ("statistics", ["schemaname", "tablename", "attname", "n_distinct", "correlation"], 50),
        ("constraints", ["conname", "contype", "table_name", "convalidated"], 200),
        ("indexes", ["schemaname", "tablename", "indexname", "indexdef"], 200),
    ],
)
def test_the_strategys_three_queries_are_frames(
    baseline: Connection, name: str, columns: list[str], least: int
) -> None:
    frame = named_checks.report(baseline, name)
    assert list(frame.columns) == columns
    assert len(frame) >= least


def test_an_unknown_report_is_refused(baseline: Connection) -> None:
    assert {"constraints", "indexes", "statistics"} <= set(named_checks.reports())
    with pytest.raises(ParameterError, match="one of .*constraints, indexes, .*statistics"):
        named_checks.report(baseline, "telepathy")


#: An owner's database as it may be: by each of these a check of phase 5 would fail it.
OWNERS = (
    "CREATE TABLE theirs (org_id uuid REFERENCES organization)",
    (
        "CREATE TABLE gone (a integer); CREATE FUNCTION lost() RETURNS SETOF integer STABLE"
        " LANGUAGE sql AS 'SELECT a FROM gone'; CREATE VIEW losing AS SELECT * FROM lost(); DROP"
        " TABLE gone"
    ),
    (
        "CREATE INDEX broken ON supplier (notes); UPDATE pg_index SET indisvalid = false WHERE"
        " indexrelid = 'broken'::regclass"
    ),
    "ALTER TABLE supplier ADD CONSTRAINT later CHECK (name <> '') NOT VALID",
    "CREATE TABLE parts (at date) PARTITION BY RANGE (at)",
)
LENIENT = (
    "tenant_tables_without_rls",
    "unindexed_foreign_keys",
    "tables_without_primary_key",
    "broken_objects",
    "invalid_indexes",
    "unvalidated_constraints",
    "partitions_missing",
)


def test_what_was_so_before_the_first_migration_warns_and_only_what_got_worse_fails(
    baseline: Connection,
) -> None:
    for statement in OWNERS:
        baseline.execute(statement)
    ledger.install(baseline)
    assert {result.check.name for result in named_checks.run(baseline, 5, LENIENT).failed} == set(
        LENIENT
    )

    assert named_checks.note_before(baseline)
    then = named_checks.run(baseline, 5, LENIENT)
    assert {result.check.name: result.verdict for result in then.results} == dict.fromkeys(
        LENIENT, "warn"
    )
    assert all(
        "so before the first migration" in str(finding)
        for result in then.results
        for finding in result.found
    )

    baseline.execute("CREATE TABLE more (org_id uuid REFERENCES organization)")
    worse = {
        result.check.name: str(result.found[0])
        for result in named_checks.run(baseline, 5, LENIENT).failed
    }
    assert worse == {
        "tenant_tables_without_rls": "more: row-level security is off",
        "unindexed_foreign_keys": "more.org_id: more_org_id_fkey to organization has no index",
        "tables_without_primary_key": "more: no primary key",
    }


def test_nothing_is_noted_as_of_before_once_a_migration_is_applied(baseline: Connection) -> None:
    ledger.install(baseline)
    Ledger(baseline).set(migration_files.load()[0], "running")
    baseline.execute("CREATE TABLE heap (a integer)")
    assert not named_checks.note_before(baseline)
    assert named_checks.run(baseline, 5, ["tables_without_primary_key"]).verdict == "fail"


def test_the_final_suite_holds_nothing_of_before_against_the_migration(
    baseline: Connection,
) -> None:
    for statement in OWNERS:
        baseline.execute(statement)
    ledger.install(baseline)
    baseline.execute(
        (settings.sql() / "monitoring" / "020_validate_schema_integrity.sql").read_text()
    )
    suite = (
        "SELECT check_name FROM mantis_runbook.validate_schema_integrity() WHERE status = 'FAIL'"
        " AND details NOT LIKE '%minimum%' ORDER BY 1"
    )
    sharper = [("invalid_indexes",), ("tenant_policies",), ("unvalidated_constraints",)]
    assert baseline.execute(suite).fetchall() == sharper
    named_checks.note_before(baseline)
    assert baseline.execute(suite).fetchall() == []
    baseline.execute("ALTER TABLE customer DISABLE ROW LEVEL SECURITY")
    assert baseline.execute(suite).fetchall() == [("tenant_policies",)]
