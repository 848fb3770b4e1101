"""Tenants stay apart on every object, and each way across is found when it is opened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from psycopg import sql
from stages import Climbed, climbed

from mantis_runbook import settings
from mantis_runbook.checks.tenants import functions as tenant_functions
from mantis_runbook.checks.tenants import isolation
from mantis_runbook.checks.tenants.isolation import Separation
from mantis_runbook.errors import Inconclusive
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server

ROWS = (settings.sql() / "tenants" / "rows.sql").read_text()

#: Tables with row-level security that are of no tenant.
SHARED = {"oauth_provider", "currency_mapping"}


@pytest.fixture
def done(server: Server) -> Climbed:
    return climbed(server)


@pytest.fixture
def migrated(done: Climbed) -> Iterator[Connection]:
    """A transaction on the database with all migrations, which is rolled back."""
    with done.connect() as connection, connection.transaction(force_rollback=True):
        yield connection


def names(connection: Connection, query: str) -> set[str]:
    return {row[0] for row in connection.execute(query)}  # type: ignore[arg-type]


def failed(separation: Separation) -> list[str]:
    return [f"{one.table}: {one.attempt}: {one.found}" for one in separation.leaks]


# -- apart -----------------------------------------------------------------------------------------


def test_tenants_are_apart_after_all_migrations(migrated: Connection) -> None:
    shown = isolation.prove(migrated)
    assert failed(shown) == []
    assert shown.verdict == "pass"
    seen = {record["table"]: record["attempts"] for record in shown.records}
    tables = names(
        migrated,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND"
        " relrowsecurity AND NOT relispartition",
    )
    assert {
        name for name in tables if seen.get(name, 0) < (12 if name not in SHARED else 4)
    } == set()
    views = names(
        migrated,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN"
        " ('v', 'm')",
    )
    assert views <= set(seen)
    functions = {name for name in seen if "(" in name}
    assert {
        "get_widget_data(uuid)",
        "global_search(uuid,text,integer)",
        "convert_lead(uuid,text,numeric,currency_code)",
    } <= functions
    assert functions >= names(
        migrated,
        "SELECT p.oid::regprocedure::text FROM pg_proc AS p WHERE pronamespace ="
        " 'public'::regnamespace AND prosecdef AND prorettype <> 'trigger'::regtype AND"
        " has_function_privilege('authenticated', p.oid, 'EXECUTE')",
    )


def test_tenants_are_apart_in_the_other_installation(server: Server) -> None:
    with climbed(server, "extended").connect() as connection:
        assert failed(isolation.prove(connection)) == []


def test_tenants_are_apart_before_the_first_migration(baseline: Connection) -> None:
    shown = isolation.prove(baseline)
    assert (shown.verdict, failed(shown)) == ("pass", [])


def test_a_row_is_made_in_every_tenant_table(migrated: Connection) -> None:
    """A new table has to be added to rows.sql: without a row to reach for nothing is shown."""
    made = set(re.findall(r"^-- step: (\w+)$", ROWS, re.M))
    tables = names(
        migrated,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND"
        " relrowsecurity AND NOT relispartition",
    )
    assert made == tables - SHARED - {"organization", "profile", "organization_currency"}


def test_nothing_is_left_of_the_proof(done: Climbed) -> None:
    counted = (
        "SELECT (SELECT count(*) FROM audit_log), (SELECT count(*) FROM customer), (SELECT count(*)"
        " FROM invoice)"
    )
    with done.connect() as connection:
        before = connection.execute(counted).fetchone()
        isolation.prove(connection, only=["customer"])
        assert connection.execute(counted).fetchone() == before
        assert connection.execute("SELECT current_user = session_user").fetchone() == (True,)


# -- opened on purpose -----------------------------------------------------------------------------

#: What opens a way, on what, and the attempt that finds it.
OPENED = [
    (
        "ALTER TABLE invoice DISABLE ROW LEVEL SECURITY",
        "invoice",
        "read the other tenant's rows: 1",
    ),
    (
        "ALTER TABLE notification DISABLE ROW LEVEL SECURITY",
        "notification",
        "take the other tenant's rows: ",
    ),
    (
        "ALTER TABLE customer DISABLE ROW LEVEL SECURITY",
        "customer",
        "delete rows of the other tenant",
    ),
    (
        "ALTER TABLE ticket_comment DISABLE ROW LEVEL SECURITY",
        "ticket_comment",
        "read the other tenant's rows: 1",
    ),
    (
        "DROP POLICY tenant_isolation ON lead",
        "lead",
        "insert an own row: as authenticated: new row violates",
    ),
    ("DROP POLICY document_read_as_its_level_says ON document", "document", "read own rows: 0"),
    ("DROP POLICY supplier_of_own_organization ON supplier", "supplier", "insert an own row"),
    (
        "ALTER POLICY tenant_isolation ON product WITH CHECK (true)",
        "product",
        "insert rows for the other tenant: ",
    ),
    (
        "ALTER POLICY supplier_of_own_organization ON supplier WITH CHECK (true)",
        "supplier",
        "insert rows for the other tenant: 1",
    ),
    (
        "CREATE POLICY wide ON supplier FOR UPDATE TO authenticated"
        " USING (org_id = (SELECT tenant_org_id())) WITH CHECK (true)",
        "supplier",
        "give own rows away unseen: ",
    ),
    (
        "ALTER POLICY tenant_isolation ON invoice_item WITH CHECK (true)",
        "invoice_item",
        "insert rows for the other tenant: ",
    ),
    (
        "ALTER POLICY tenant_isolation ON exchange_rate WITH CHECK (true)",
        "exchange_rate",
        "insert rows that are nobody's: 1",
    ),
    (
        "ALTER POLICY tenant_isolation ON tax_rate USING (true)",
        "tax_rate",
        "read anybody else's rows: ",
    ),
    (
        "ALTER POLICY tenant_isolation ON sales_quote_item USING (true)",
        "sales_quote_item",
        "delete rows of the other tenant: 1",
    ),
    (
        "ALTER POLICY notification_of_own_organization ON notification USING (true)",
        "notification",
        "read as a user of no organisation",
    ),
    (
        "CREATE POLICY wide ON document FOR DELETE TO authenticated USING (true)",
        "document",
        "delete rows unseen: ",
    ),
    (
        "CREATE POLICY wide ON customer FOR UPDATE TO authenticated USING (true) WITH CHECK (true)",
        "customer",
        "change rows unseen: ",
    ),
    (
        "CREATE POLICY wide ON payment FOR SELECT TO authenticated USING (amount > 0)",
        "payment",
        "read the other tenant's rows: 1",
    ),
    (
        "CREATE POLICY guest ON notification FOR SELECT TO anon USING (true); GRANT SELECT ON"
        " notification TO anon",
        "notification",
        "read as nobody: ",
    ),
    (
        "CREATE POLICY wide ON oauth_provider TO authenticated USING (true); GRANT INSERT ON"
        " oauth_provider TO authenticated",
        "oauth_provider",
        "insert rows for all tenants: ",
    ),
    (
        "CREATE POLICY all_may ON currency_mapping TO authenticated USING (true); GRANT ALL ON"
        " currency_mapping TO authenticated",
        "currency_mapping",
        "insert rows for all tenants: ",
    ),
    (
        "CREATE VIEW everything AS SELECT * FROM customer; GRANT SELECT ON everything TO"
        " authenticated",
        "everything",
        "read around the policies",
    ),
    (
        "CREATE VIEW barrier WITH (security_barrier) AS SELECT name FROM customer; GRANT SELECT"
        " ON barrier TO authenticated",
        "barrier",
        "read the other tenant's mark: 1",
    ),
    (
        "ALTER VIEW v_user_profile SET (security_invoker = false)",
        "v_user_profile",
        "read anybody else's rows: ",
    ),
    (
        "CREATE MATERIALIZED VIEW totals AS SELECT org_id, count(*) FROM customer GROUP BY"
        " org_id; GRANT SELECT ON totals TO authenticated",
        "totals",
        "read anybody else's rows: ",
    ),
    (
        "CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM customer; GRANT SELECT ON"
        " totals TO anon",
        "totals",
        "read around the policies: a materialized view knows no policies",
    ),
    (
        "GRANT SELECT ON ai_message_2025_q1 TO authenticated",
        "ai_message_2025_q1",
        "read around the policies: a partition",
    ),
    (
        "CREATE FUNCTION name_of(uuid) RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT"
        " name FROM public.customer WHERE id = $1'",
        "name_of(uuid)",
        "learn of the other tenant, called by a user of another tenant: 2 answer(s)",
    ),
    (
        "CREATE FUNCTION is_there(uuid) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS 'SELECT"
        " EXISTS (SELECT FROM public.opportunity WHERE id = $1)'",
        "is_there(uuid)",
        "learn of the other tenant, called by nobody: 1 answer(s)",
    ),
    (
        "CREATE FUNCTION everybody() RETURNS SETOF public.customer LANGUAGE sql SECURITY DEFINER"
        " AS 'SELECT * FROM public.customer'",
        "everybody()",
        "learn of the other tenant, called by a user of another tenant",
    ),
    (
        "CREATE FUNCTION forget(uuid[]) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE"
        " FROM public.customer_contact WHERE id = ANY ($1)'",
        "forget(uuid[])",
        "change the other tenant, called by a user of another tenant: its rows are not what they"
        " were",
    ),
    (
        "ALTER FUNCTION global_search(uuid, text, integer) SECURITY DEFINER",
        "global_search(uuid,text,integer)",
        "learn of the other tenant",
    ),
    (
        "ALTER FUNCTION bulk_update_tickets SECURITY DEFINER",
        "bulk_update_tickets(uuid[],ticket_status,ticket_priority,uuid)",
        "change the other tenant",
    ),
    (
        "ALTER FUNCTION get_widget_data SECURITY DEFINER",
        "get_widget_data(uuid)",
        "learn of the other tenant",
    ),
]


#: The nth way that is opened on each thing: a proof takes its time, and ways on different things do
#: not meet.
ROUNDS = sorted(
    {[one[1] for one in OPENED[:number]].count(way[1]) for number, way in enumerate(OPENED)}
)


@pytest.mark.parametrize("number", ROUNDS)
def test_a_way_that_was_opened_is_found(migrated: Connection, number: int) -> None:
    ways = [
        way
        for at, way in enumerate(OPENED)
        if [one[1] for one in OPENED[:at]].count(way[1]) == number
    ]
    for statement, _, _ in ways:
        migrated.execute(statement)
    shown = isolation.prove(migrated, only=[name for _, name, _ in ways])
    said = failed(shown)
    assert [
        f"{name}: {words}"
        for _, name, words in ways
        if not any(one.startswith(f"{name}: {words}") for one in said)
    ] == []
    assert {record["table"] for record in shown.records if record["verdict"] != "pass"} == {
        name for _, name, _ in ways
    }


def test_what_is_found_is_told_beside_all_the_rest(migrated: Connection) -> None:
    migrated.execute("ALTER TABLE notification DISABLE ROW LEVEL SECURITY")
    shown = isolation.prove(migrated)
    red = [record for record in shown.records if record["verdict"] != "pass"]
    assert [record["table"] for record in red] == ["notification"]
    assert "take the other tenant's rows: " in red[0]["found"]
    assert "@" not in str(shown.records)


# -- what was not shown ----------------------------------------------------------------------------


def test_a_table_without_rows_shows_nothing(migrated: Connection) -> None:
    """No row can be made for it either: nobody knows what its rule asks for."""
    migrated.execute(
        "CREATE TABLE visit (id uuid, org_id uuid REFERENCES organization, at date NOT NULL CHECK"
        " (at > '3000-01-01'))"
    )
    shown = isolation.prove(migrated, only=["visit"])
    assert (shown.verdict, failed(shown)) == (
        "inconclusive",
        ["visit: reach a row of another tenant: there is none to reach for"],
    )


def test_a_table_of_somebody_else_is_tried_with_the_rows_it_has(migrated: Connection) -> None:
    migrated.execute("CREATE TABLE visit (org_id uuid REFERENCES organization, at date)")
    migrated.execute("INSERT INTO visit SELECT id, current_date FROM organization")
    migrated.execute("GRANT SELECT ON visit TO authenticated")
    assert "visit: read the other tenant's rows: 1" in failed(
        isolation.prove(migrated, only=["visit"])
    )


def test_what_nobody_has_heard_of_is_no_pass(migrated: Connection) -> None:
    assert isolation.prove(migrated, only=["telepathy"]).verdict == "fail"


def test_one_tenant_alone_shows_nothing(migrated: Connection) -> None:
    migrated.execute(
        "UPDATE profile SET is_active = false WHERE org_id <> (SELECT org_id FROM profile ORDER BY"
        " id LIMIT 1)"
    )
    with pytest.raises(Inconclusive, match="tenant isolation was not shown"):
        isolation.prove(migrated)


def test_the_order_in_which_parallel_workers_hand_rows_over_is_no_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [("customer", 3, "a"), ("profile", 1, "b")]
    connection = SimpleNamespace(execute=lambda _: SimpleNamespace(fetchall=lambda: found))
    table = SimpleNamespace(
        name="customer",
        relation=sql.SQL("customer"),
        of=lambda _: sql.SQL("true"),
        made_by=lambda _: None,
    )
    pair = SimpleNamespace(connection=connection, owner="owner", there=SimpleNamespace(user=""))
    monkeypatch.setattr(tenant_functions, "acting", lambda *_: nullcontext())
    before = tenant_functions.state(pair, [table])
    found.reverse()
    assert tenant_functions.state(pair, [table]) == before
