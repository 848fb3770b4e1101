"""The old application keeps working, at every stage; and what breaks it on purpose is found."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from stages import Climbed, climbed

from mantis_runbook import settings
from mantis_runbook.checks import compatibility
from mantis_runbook.checks.compatibility import SCRIPTS, contract_broken
from mantis_runbook.errors import Inconclusive
from mantis_runbook.postgres.catalog import CLASSES, Catalog, snapshot
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server

SCRIPT = {name: (settings.sql() / "compatibility" / f"{name}.sql").read_text() for name in SCRIPTS}

#: Columns that an INSERT names although they may be left out: the day, for a partition that is
#: there; a rule asks for the token.
BESIDES = {
    "ai_message": {"timestamp"},
    "customer_interaction": {"timestamp"},
    "pipeline_execution": {"started_at"},
    "system_metric": {"timestamp"},
    "dashboard_share": {"share_token"},
}

#: Columns that a trigger fills, and an INSERT may leave out.
KEPT = {"support_ticket": {"ticket_number"}}


@pytest.fixture
def done(server: Server) -> Climbed:
    return climbed(server)


@pytest.fixture
def migrated(done: Climbed) -> Iterator[Connection]:
    """A transaction on the database with all migrations, which is rolled back."""
    with done.connect() as connection, connection.transaction(force_rollback=True):
        yield connection


# -- it works --------------------------------------------------------------------------------------


def test_the_old_application_works_before_between_and_after_all_migrations(done: Climbed) -> None:
    assert {
        version: seen.failures
        for version, seen in done.compatibility.items()
        if seen.verdict != "pass"
    } == {}
    assert len(done.compatibility) > 3
    assert {len(seen.records) for seen in done.compatibility.values()} == {15}


def test_it_works_in_the_other_installation(server: Server) -> None:
    other = climbed(server, "extended")
    assert {
        version: seen.failures for version, seen in other.compatibility.items()
    } == dict.fromkeys(other.compatibility, ())
    assert len(other.compatibility) == 2


def test_nothing_is_left_of_it(done: Climbed) -> None:
    counted = (
        "SELECT (SELECT count(*) FROM audit_log), (SELECT count(*) FROM customer), (SELECT count(*)"
        " FROM organization)"
    )
    with done.connect() as connection:
        before = connection.execute(counted).fetchone()
        compatibility.run(connection, None)
        assert connection.execute(counted).fetchone() == before
        assert connection.execute(
            "SELECT current_user = session_user, current_setting('row_security')"
        ).fetchone() == (
            True,
            "off",
        )


def test_statements_alone_do_not_show_it(migrated: Connection) -> None:
    seen = compatibility.run(migrated, None)
    assert seen.verdict == "inconclusive"
    assert seen.records[0]["found"] == "it was not kept"


def test_without_a_user_nothing_is_shown(migrated: Connection) -> None:
    migrated.execute("UPDATE profile SET is_active = false")
    with pytest.raises(Inconclusive, match="no active user"):
        compatibility.run(migrated, None)


def test_a_role_that_cannot_be_taken_is_no_pass(migrated: Connection) -> None:
    migrated.execute("ALTER ROLE service_role RENAME TO serves_no_more")
    seen = compatibility.run(migrated, None)
    assert (
        'tables as service_role: becoming service_role: role "service_role" does not exist'
        in seen.failures
    )
    assert seen.verdict == "fail"


# -- it is whole -----------------------------------------------------------------------------------


def test_every_table_view_and_function_of_the_baseline_is_used(done: Climbed) -> None:
    written = SCRIPT["tables"] + SCRIPT["service"]
    tables = {
        name.split(".")[1]
        for name, told in done.before["tables"].items()
        if "partition of" not in told
    }
    tables -= {"users", "schema_migrations", "migration_backups"}
    assert len(tables) == 28
    for table in tables:
        for statement in ("INSERT INTO {} (", "UPDATE {} SET", "DELETE FROM {} ", "FROM {} "):
            assert statement.format(table) in written, (table, statement)
    assert {name.split(".")[1] for name in done.before["views"]} == set(
        re.findall(r"-- step: (v_\w+)", SCRIPT["views"])
    )
    assert len(re.findall("-- step: ", SCRIPT["functions"])) == 5


def test_an_insert_knows_only_what_it_must(done: Climbed) -> None:
    inserted = re.findall(
        r"-- step: (\w+)\n(?:-- .*\n)?DO.*?\n    INSERT INTO \1 \(([^)]*)\)",
        SCRIPT["tables"] + SCRIPT["service"],
        re.S,
    )
    assert (
        len(inserted) == 27
    )  # a profile is updated by users, and inserted by the service; audit_log likewise
    for table, columns in inserted:
        needed = {
            name.rpartition(".")[2].strip('"')
            for name, told in done.before["columns"].items()
            if name.startswith(f"public.{table}.") and " NOT NULL" in told and "DEFAULT" not in told
        }
        assert set(columns.split(", ")) == (needed - KEPT.get(table, set())) | BESIDES.get(
            table, set()
        ), table


# -- the catalogue, broken on purpose --------------------------------------------------------------

BROKEN = [
    ("DROP VIEW v_recent_activity", "view public.v_recent_activity: is gone"),
    (
        "ALTER VIEW v_inventory_alerts RENAME COLUMN alert TO heading",
        "view public.v_inventory_alerts: had the columns",
    ),
    (
        "ALTER VIEW v_user_profile RESET (security_invoker)",
        "view public.v_user_profile: has lost security_invoker=true",
    ),
    (
        "ALTER TABLE customer ALTER COLUMN status SET DEFAULT 'active'",
        "column public.customer.status: was",
    ),
    (
        "ALTER TABLE supplier ALTER COLUMN risk_score DROP DEFAULT",
        "column public.supplier.risk_score: was integer DEFAULT 0",
    ),
    (
        "ALTER TABLE purchase_order ALTER COLUMN order_date SET NOT NULL",
        "column public.purchase_order.order_date: was date",
    ),
    ("ALTER TABLE profile ALTER COLUMN role DROP NOT NULL", "column public.profile.role: was"),
    (
        "ALTER TABLE integration_connector ALTER COLUMN retry_count TYPE bigint",
        "column public.integration_connector.retry_count: was integer",
    ),
    (
        "ALTER TABLE notification RENAME COLUMN message TO body",
        "column public.notification.message: is gone",
    ),
    (
        "ALTER TABLE alert_rule DROP COLUMN cooldown_minutes",
        "column public.alert_rule.cooldown_minutes: is gone",
    ),
    (
        "ALTER TABLE dashboard DROP COLUMN description; ALTER TABLE dashboard ADD COLUMN"
        " description text",
        "table public.dashboard: its columns came as",
    ),
    (
        "ALTER TABLE widget ADD COLUMN kind text NOT NULL DEFAULT ''; ALTER TABLE widget ALTER"
        " COLUMN kind DROP DEFAULT",
        "column public.widget.kind: is new, NOT NULL and without a default",
    ),
    (
        "ALTER TABLE dashboard_favorite RENAME TO favourite",
        "table public.dashboard_favorite: is gone",
    ),
    ("DROP TABLE system_metric_2025_q1", "table public.system_metric_2025_q1: is gone"),
    (
        "ALTER TABLE system_metric DETACH PARTITION system_metric_2025_q2",
        "table public.system_metric_2025_q2: is no partition any more",
    ),
    ("ALTER TABLE supplier FORCE ROW LEVEL SECURITY", "table public.supplier: row security forced"),
    (
        "ALTER TABLE notification SET UNLOGGED",
        "table public.notification: was a table, is a unlogged table",
    ),
    (
        "ALTER TABLE customer DROP CONSTRAINT customer_name_length",
        "constraint public.customer.customer_name_length: is gone",
    ),
    (
        "ALTER TABLE customer ADD CONSTRAINT has_phone CHECK (phone IS NOT NULL) NOT VALID",
        "constraint public.customer.has_phone: is new and concerns phone",
    ),
    (
        "ALTER TABLE alert_rule ADD CONSTRAINT once UNIQUE (org_id, created_at, id)",
        "constraint public.alert_rule.once: is new and concerns created_at, id, org_id",
    ),
    (
        "CREATE UNIQUE INDEX twice ON alert_rule (org_id, lower(name), id)",
        "index public.twice: is new and unique over columns of before",
    ),
    (
        "ALTER TYPE po_status RENAME VALUE 'sent' TO 'posted'",
        "enum public.po_status: has lost 'sent'",
    ),
    (
        "DROP FUNCTION get_reorder_suggestions(uuid)",
        "function public.get_reorder_suggestions(uuid): is gone",
    ),
    (
        "DROP FUNCTION get_widget_data(uuid); CREATE FUNCTION get_widget_data(target_widget"
        " uuid) RETURNS json LANGUAGE sql AS 'SELECT NULL::json'",
        "function public.get_widget_data(uuid): was FUNCTION"
        " public.get_widget_data(target_widget uuid) RETURNS jsonb, is",
    ),
    (
        "DROP FUNCTION get_org_metrics; CREATE FUNCTION get_org_metrics(org uuid, timestamptz"
        " DEFAULT NULL, timestamptz DEFAULT NULL)"
        " RETURNS TABLE (metric text, value numeric) LANGUAGE sql AS 'SELECT NULL, 0'",
        "timestamp with time zone): was FUNCTION public.get_org_metrics(target_org uuid",
    ),
    (
        "DROP TRIGGER set_ticket_number ON support_ticket",
        "trigger public.support_ticket.set_ticket_number: is gone",
    ),
    (
        "ALTER TABLE supplier DISABLE TRIGGER record_audit",
        "trigger public.supplier.record_audit: was",
    ),
    (
        "REVOKE INSERT ON supplier FROM authenticated",
        "rights public.supplier: lost INSERT of authenticated",
    ),
    (
        "REVOKE SELECT ON v_user_profile FROM authenticated",
        "rights public.v_user_profile: lost SELECT of authenticated",
    ),
    (
        "REVOKE EXECUTE ON FUNCTION global_search FROM service_role",
        "rights public.global_search(uuid,text,integer): lost EXECUTE of service_role",
    ),
    (
        "ALTER SEQUENCE support_ticket_number_seq RENAME TO numbers",
        "sequence public.support_ticket_number_seq: is gone",
    ),
]

#: What may be done beside the application.
ALLOWED = [
    "ALTER TABLE customer ADD COLUMN nickname text, ADD COLUMN rating integer NOT NULL DEFAULT 0",
    "ALTER TABLE customer ADD COLUMN grade integer, ADD CONSTRAINT graded CHECK (grade > 0 AND"
    " grade <> 7)",
    "ALTER TABLE customer ADD COLUMN code text, ADD CONSTRAINT coded UNIQUE (org_id, code)",
    "ALTER TABLE customer ADD COLUMN boss uuid REFERENCES customer",
    "CREATE INDEX by_name ON customer (name); CREATE POLICY all_of_it ON customer USING (true)",
    "ALTER TABLE customer ALTER COLUMN name SET STATISTICS 500",
    "ALTER TYPE po_status ADD VALUE 'lost' BEFORE 'sent'",
    "CREATE TABLE somebody (name text NOT NULL UNIQUE CHECK (name <> ''))",
    "CREATE TRIGGER more BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION set_updated_at()",
    "ALTER FUNCTION get_widget_data(uuid) COST 7",
]


def test_what_breaks_the_contract_is_found(migrated: Connection, done: Climbed) -> None:
    """All of it at once, for each breaks something else, and reading the catalogue takes the
    time.
    """
    for statement, _ in BROKEN:
        migrated.execute(statement)
    found = [str(one) for one in contract_broken(done.before, snapshot(migrated))]
    assert [words for _, words in BROKEN if not any(words in one for one in found)] == []


def test_what_is_found_was_broken(migrated: Connection, done: Climbed) -> None:
    for statement in ALLOWED:
        migrated.execute(statement)
    assert contract_broken(done.before, snapshot(migrated)) == []


def test_what_is_broken_fails_with_every_record(migrated: Connection, done: Climbed) -> None:
    migrated.execute("ALTER TABLE notification RENAME COLUMN message TO body")
    seen = compatibility.run(migrated, done.before)
    assert seen.verdict == "fail"
    assert seen.records[0]["verdict"] == "fail"
    assert "column public.notification.message: is gone" in seen.records[0]["found"]
    assert (
        sum(record["verdict"] == "fail" for record in seen.records) == 4
    )  # the catalogue, and tables by three actors


def a_catalog(**classes: dict[str, str]) -> Catalog:
    return Catalog({name: classes.get(name, {}) for name in CLASSES})


LOG = {
    "tables": {"public.log": "table; owner o"},
    "columns": {
        "public.log.id": "uuid NOT NULL",
        "public.log.at": "timestamp with time zone DEFAULT now()",
    },
    "column_order": {"public.log": "id, at"},
    "constraints": {
        "public.log.log_pkey": "PRIMARY KEY (id)",
        "public.log.ripe": "CHECK ((at > '2000-01-01'))",
    },
}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            {
                "tables": {"public.log": "table; owner o; partitioned by RANGE (at)"},
                "constraints": {"public.log.ripe": "CHECK ((at > '2000-01-01'))"},
            },
            [],
        ),
        (
            {
                "tables": {"public.log": "table; owner o; partitioned by RANGE (at)"},
                "constraints": {"public.log.new": "CHECK ((at > '2000-01-01'))"},
            },
            [],
        ),
        (
            {
                "tables": {"public.log": "table; owner o; partitioned by RANGE (at)"},
                "constraints": {},
            },
            ["constraint public.log.ripe: is gone"],
        ),
        (
            {"constraints": {"public.log.ripe": "CHECK ((at > '2000-01-01'))"}},
            ["constraint public.log.log_pkey: is gone"],
        ),
        (
            {"column_order": {"public.log": "at, id"}},
            ["table public.log: its columns came as id, at"],
        ),
        ({"tables": {}}, ["table public.log: is gone"]),
        (
            {"tables": {"public.log": "foreign table; owner o"}},
            ["table public.log: was a table, is a foreign table"],
        ),
    ],
)
def test_a_table_may_become_a_partitioned_one(
    changes: dict[str, dict[str, str]], found: list[str]
) -> None:
    broken = [str(one) for one in contract_broken(a_catalog(**LOG), a_catalog(**(LOG | changes)))]
    assert len(broken) == len(found)
    for one, words in zip(broken, found, strict=True):
        assert one.startswith(words)


def test_rules_and_extensions_belong_to_the_contract() -> None:
    before = a_catalog(
        **LOG, rules={"public.log.kept": "ON DELETE DO NOTHING"}, extensions={"citext": "1.6"}
    )
    after = a_catalog(
        **LOG, rules={"public.log.kept": "ON DELETE DO ALSO SELECT 1"}, extensions={"citext": "1.7"}
    )
    gone = a_catalog(**LOG)
    assert [str(one) for one in contract_broken(before, gone)] == [
        "rule public.log.kept: is gone",
        "extension citext: is gone",
    ]
    assert [str(one) for one in contract_broken(before, after)] == [
        "rule public.log.kept: was ON DELETE DO NOTHING, is ON DELETE DO ALSO SELECT 1"
    ]


# -- the statements, broken on purpose -------------------------------------------------------------

STATEMENTS = [
    (
        (
            "CREATE POLICY nobody ON notification AS RESTRICTIVE FOR INSERT TO authenticated WITH"
            " CHECK (false)"
        ),
        "tables as authenticated: notification: new row violates row-level security policy",
    ),
    (
        (
            "CREATE FUNCTION strict() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION"
            " ''name the currency''; END'; CREATE TRIGGER strict BEFORE INSERT ON data_import FOR"
            " EACH ROW EXECUTE FUNCTION strict()"
        ),
        "tables as service_role: data_import: name the currency",
    ),
    (
        (
            "CREATE OR REPLACE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN"
            " RETURN NEW; END'"
        ),
        (
            "triggers as owner: updated_at is stamped by every update: supplier.updated_at was not"
            " stamped"
        ),
    ),
    (
        (
            "CREATE OR REPLACE FUNCTION get_widget_data(target_widget uuid) RETURNS jsonb LANGUAGE"
            " sql AS 'SELECT NULL::jsonb'"
        ),
        (
            "functions as authenticated: get_widget_data: get_widget_data does not show the figures"
            " of a source"
        ),
    ),
    (
        (
            "CREATE FUNCTION global_search(uuid, text) RETURNS SETOF integer LANGUAGE sql AS"
            " 'SELECT 1'"
        ),
        "functions as authenticated: global_search: ",
    ),
    (
        (
            "CREATE OR REPLACE VIEW v_recent_activity WITH (security_invoker = true) AS SELECT"
            " NULL::uuid AS org_id, ''::text AS entity_type, NULL::uuid AS entity_id, ''::text AS"
            " title, now() AS happened_at"
        ),
        "views as authenticated: v_recent_activity: query returned no rows",
    ),
    (
        (
            "ALTER TABLE organization ADD CONSTRAINT known CHECK (settings ->> 'currency' IN"
            " ('EUR', 'USD')) NOT VALID"
        ),
        "service as owner: organization with a currency nobody knows: ",
    ),
]


def test_a_statement_that_no_longer_works_is_found(migrated: Connection) -> None:
    for statement, _ in STATEMENTS:
        migrated.execute(statement)
    failures = compatibility.run(migrated, None).failures
    assert [
        words for _, words in STATEMENTS if not any(one.startswith(words) for one in failures)
    ] == []
