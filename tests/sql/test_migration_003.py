"""Migration 003 on real servers: currencies, books that nobody changes, payments under two
sessions, tenants, rollback.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from conftest import fresh_database
from psycopg import errors
from workbench import prepared, waits

from mantis_runbook import sandbox, settings
from mantis_runbook.checks import validations
from mantis_runbook.engine import backfill
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.lint import lint
from mantis_runbook.migrations.scripts import Step
from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target

FOLDER = settings.sql() / "migrations"
SQL_TESTS = settings.sql() / "tests"
EARLIER = [FOLDER / name for name in ("001_core_enhancements.sql", "002_crm_sales_modules.sql")]
UP, ROLLBACK, VALIDATE = (
    FOLDER / f"003_financial_management{role}.sql" for role in ("", "_rollback", "_validate")
)
TRIALS = [SQL_TESTS / "unit_003_finance.sql", SQL_TESTS / "integration_003_finance.sql"]
INTEGRITY = SQL_TESTS / "data_integrity_003_finance.sql"
BEFORE, AFTER = (
    settings.sql() / "finance" / f"control_totals_{when}.sql" for when in ("before", "after")
)
CHECKS = settings.sql() / "checks" / "application"

#: As phase 0 makes it.
DECISIONS = """
    CREATE SCHEMA IF NOT EXISTS mantis_runbook;
    CREATE TABLE IF NOT EXISTS mantis_runbook.decision (
        subject text, key text, value text, decided_by text, decided_at timestamptz DEFAULT now(),
        PRIMARY KEY (subject, key)
    )
"""

MONEY = ("customer", "inventory_item", "purchase_order", "purchase_order_item")

#: Each table of a tenant, and by which column it belongs to its organisation.
TABLES = {
    "account": "org_id",
    "tax_rate": "org_id",
    "exchange_rate": "org_id",
    "invoice": "org_id",
    "invoice_item": "invoice_id",
    "payment": "org_id",
    "payment_allocation": "org_id",
    "journal_entry": "org_id",
    "journal_entry_line": "journal_entry_id",
}
NEW = (*TABLES, "organization_currency", "currency_mapping")

#: What a copy of a row must have anew, so that nothing but the tenant stands in its way.
ANEW = {
    "account": {"code": "copy"},
    "tax_rate": {"name": "copy"},
    "exchange_rate": {"valid_from": "1999-01-01"},
    "invoice": {"invoice_number": "copy"},
    "payment": {"payment_number": "copy", "invoice_id": None, "status": "pending"},
    "journal_entry": {
        "entry_number": "copy",
        "is_posted": False,
        "posted_at": None,
        "posted_by": None,
    },
    "journal_entry_line": {"line_number": 9},
}


def carry_out(connection: Connection, path: Path, *, after: str = "") -> None:
    """Each step in a transaction, as the engine does it; only those that come after the step
    named.
    """
    steps = migration_files.read_script(path).steps
    first = next((number for number, step in enumerate(steps, 1) if step.name == after), 0)
    for step in steps[first:]:
        if step.batched_over:
            in_batches(connection, step)
            continue
        with connection.transaction():
            for statement in step.statements:
                connection.execute(statement.text)


def in_batches(connection: Connection, step: Step) -> None:
    def run(batch: backfill.Batch) -> None:
        with connection.transaction():
            if step.without_triggers:
                connection.execute("SET LOCAL session_replication_role = replica")
            psycopg.RawCursor(connection).execute(
                step.statements[0].text, (batch.lower, batch.upper)
            )

    for _ in backfill.batches(
        connection, step.batched_over or "", after=None, target_ms=100, run=run
    ):
        pass


def found(connection: Connection, path: Path = VALIDATE) -> str:
    return "; ".join(
        f"{one.name}: {one.found}" for one in validations.validate_file(connection, path).failed
    )


def one(connection: Connection, statement: str, parameters: Any = None) -> Any:
    return connection.execute(statement, parameters).fetchone()[0]


def rows(connection: Connection, path: Path) -> list[tuple[Any, ...]]:
    return connection.execute(path.read_text()).fetchall()


def another(connection: Connection) -> Connection:
    """A second session of an application, which waits as long as it must."""
    return psycopg.connect(connection.info.dsn, autocommit=True)


def integrity(connection: Connection) -> dict[str, int]:
    """The failures that data_integrity_003_finance.sql counts."""
    return {case: count for case, count in rows(connection, INTEGRITY) if count}


@pytest.fixture(scope="session")
def sales_template(server: Server, baseline_template: str) -> Iterator[str]:
    """The name of a baseline database with 001 and 002 applied."""
    with fresh_database(server, baseline_template) as parameters:
        with psycopg.connect(**parameters, autocommit=True) as connection:
            prepared(connection).execute(DECISIONS)
            for path in EARLIER:
                carry_out(connection, path)
        yield parameters["dbname"]


@pytest.fixture(scope="session")
def finance_template(server: Server, sales_template: str) -> Iterator[str]:
    """The same with 003 applied."""
    with fresh_database(server, sales_template) as parameters:
        with psycopg.connect(**parameters, autocommit=True) as connection:
            carry_out(prepared(connection), UP)
        yield parameters["dbname"]


@pytest.fixture
def sales(server: Server, sales_template: str) -> Iterator[Connection]:
    with (
        fresh_database(server, sales_template) as parameters,
        psycopg.connect(**parameters, autocommit=True) as connection,
    ):
        yield prepared(connection)


@pytest.fixture
def finance(server: Server, finance_template: str) -> Iterator[Connection]:
    with (
        fresh_database(server, finance_template) as parameters,
        psycopg.connect(**parameters, autocommit=True) as connection,
    ):
        yield prepared(connection)


@pytest.fixture(scope="session")
def shared(server: Server, finance_template: str) -> Iterator[Connection]:
    """For tests that leave nothing: two companies with a row in every table."""
    with (
        fresh_database(server, finance_template) as parameters,
        psycopg.connect(**parameters, autocommit=True) as connection,
    ):
        prepared(connection)
        company(connection)
        company(connection)
        yield connection


@dataclass(frozen=True)
class Company:
    """An organisation with a user and a row in every table; its entry is posted, its draft is
    not.
    """

    org: UUID
    user: UUID
    customer: UUID
    receivable: UUID
    revenue: UUID
    invoice: UUID
    item: UUID
    payment: UUID
    entry: UUID
    draft: UUID

    @property
    def facts(self) -> dict[str, Any]:
        return vars(self)


def company(connection: Connection, currency: str = "EUR") -> Company:
    def made(statement: str, *parameters: Any) -> UUID:
        return one(connection, statement + " RETURNING id", parameters)

    user = uuid4()
    users = one(
        connection,
        "SELECT coalesce(to_regclass('auth.users'), to_regclass('auth.users_extended'))::text",
    )
    org = made(
        "INSERT INTO organization (name, slug, settings) VALUES ('Company', %s,"
        " jsonb_build_object('currency', %s::text))",
        f"company-{uuid4()}",
        currency,
    )
    connection.execute(f"INSERT INTO {users} (id) VALUES (%s)", (user,))
    connection.execute(
        "INSERT INTO profile (id, org_id, role, display_name) VALUES (%s, %s, 'admin', 'U')",
        (user, org),
    )
    customer = made("INSERT INTO customer (org_id, name) VALUES (%s, 'Customer')", org)
    product = made(
        "INSERT INTO product (org_id, name, sku, base_price) VALUES (%s, 'P', 'p', 1)", org
    )
    order = made(
        "INSERT INTO sales_order (org_id, customer_id, created_by) VALUES (%s, %s, %s)",
        org,
        customer,
        user,
    )
    accounts = dict(
        connection.execute("SELECT code, id FROM account WHERE org_id = %s", (org,)).fetchall()
    )
    connection.execute(
        "INSERT INTO tax_rate (org_id, name, tax_type, rate, effective_from) VALUES (%s,"
        " 'standard', 'vat', 0.2, '2025-01-01')",
        (org,),
    )
    connection.execute(
        "INSERT INTO exchange_rate (org_id, base_currency, quote_currency, rate, valid_from) VALUES"
        " (%s, 'USD', 'GBP', 0.75, '2025-01-01')",
        (org,),
    )
    invoice = made(
        "INSERT INTO invoice (org_id, customer_id, sales_order_id, due_date, created_by)"
        " VALUES (%s, %s, %s, CURRENT_DATE, %s)",
        org,
        customer,
        order,
        user,
    )
    item = made(
        "INSERT INTO invoice_item (invoice_id, product_id, description, unit_price) VALUES (%s, %s,"
        " 'x', 100)",
        invoice,
        product,
    )
    payment = made(
        "INSERT INTO payment (org_id, customer_id, invoice_id, amount, payment_method, status,"
        " processed_by)"
        " VALUES (%s, %s, %s, 40, 'cash', 'completed', %s)",
        org,
        customer,
        invoice,
        user,
    )
    entry, draft = (
        made(
            "INSERT INTO journal_entry (org_id, description, created_by) VALUES (%s, 'booked', %s)",
            org,
            user,
        )
        for _ in range(2)
    )
    for into in (entry, draft):
        connection.execute(
            "INSERT INTO journal_entry_line (journal_entry_id, account_id, debit_amount,"
            " credit_amount, line_number) VALUES (%(e)s, %(r)s, 100, 0, 1), (%(e)s, %(s)s, NULL,"
            " 100, 2)",
            {"e": into, "r": accounts["1100"], "s": accounts["4100"]},
        )
    connection.execute("SELECT post_journal_entry(%s)", (entry,))
    return Company(
        org,
        user,
        customer,
        accounts["1100"],
        accounts["4100"],
        invoice,
        item,
        payment,
        entry,
        draft,
    )


@contextmanager
def acting(connection: Connection, role: str, user: UUID | None) -> Iterator[None]:
    """Inside, the connection is that role on behalf of that user; nothing it does stays."""
    name = "" if user is None else str(user)
    with connection.transaction(force_rollback=True):
        connection.execute("SELECT set_config('row_security', 'on', true)")
        connection.execute("SELECT set_config('request.jwt.claim.sub', %s, true)", (name,))
        connection.execute("SELECT set_config('app.current_user_id', %s, true)", (name,))
        if role != "superuser":
            connection.execute(f"SET LOCAL ROLE {role}")
        yield


# -- up and down -----------------------------------------------------------------------------------


def test_nothing_in_it_blocks_readers_or_writers(tmp_path: Path) -> None:
    for path in FOLDER.glob("00[123]_*.sql"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    lint.refuse_unsafe(migration_files.find(migration_files.load(tmp_path), "003"))


def test_the_rollback_leaves_the_catalogue_as_it_was_with_rows_in_every_table(
    sales: Connection,
) -> None:
    before = catalog.snapshot(sales)
    columns = {
        table: one(
            sales,
            "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position)"
            f" FROM information_schema.columns WHERE table_name = '{table}'"
            " AND table_schema = 'public'",
        )
        for table in MONEY
    }
    content = {
        t: sales.execute(f"SELECT {columns[t]} FROM {t} ORDER BY id").fetchall() for t in MONEY
    }

    carry_out(sales, UP)
    assert found(sales) == ""
    assert {
        t: sales.execute(f"SELECT {columns[t]} FROM {t} ORDER BY id").fetchall() for t in MONEY
    } == content
    sales.execute("SELECT decide_currency('ZAR', 'USD', 'me')")
    made = company(sales)
    assert [table for table in NEW if not one(sales, f"SELECT count(*) FROM {table}")] == []
    assert found(sales) == ""

    carry_out(sales, ROLLBACK)
    assert str(catalog.diff(before, catalog.snapshot(sales))) == "the catalogues are equal"
    sales.execute(
        "DELETE FROM customer WHERE id = %s",
        (
            one(
                sales,
                "INSERT INTO customer (org_id, name) VALUES (%s, 'after') RETURNING id",
                (made.org,),
            ),
        ),
    )
    carry_out(sales, UP)
    assert found(sales) == ""


@pytest.mark.parametrize("auth", ["supabase", "extended"])
@pytest.mark.parametrize("force_rls", [False, True], ids=["plain", "forced"])
def test_both_installations_can_go_up_and_down(
    empty_database: Target, auth: sandbox.Auth, force_rls: bool
) -> None:
    sandbox.load_baseline(
        empty_database.parameters, scale=0.01, seed=1, auth=auth, force_rls=force_rls
    )
    with psycopg.connect(**empty_database.parameters, autocommit=True) as connection:
        prepared(connection).execute(DECISIONS)
        for path in EARLIER:
            carry_out(connection, path)
        before = catalog.snapshot(connection)
        carry_out(connection, UP)
        assert [found(connection, path) for path in (VALIDATE, *TRIALS)] == [""] * 3
        carry_out(connection, ROLLBACK)
        assert str(catalog.diff(before, catalog.snapshot(connection))) == "the catalogues are equal"


def test_it_runs_without_the_runbooks_schema_and_needs_it_no_more_afterwards(
    sales: Connection,
) -> None:
    sales.execute("DROP SCHEMA mantis_runbook CASCADE")
    carry_out(sales, UP)
    assert found(sales) == ""
    assert company(sales).org


def test_default_privileges_do_not_open_the_new_tables(sales: Connection) -> None:
    """Supabase grants everything in public to everybody by default."""
    for kind in ("TABLES", "FUNCTIONS"):
        sales.execute(
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON {kind} TO anon, authenticated,"
            " service_role"
        )
    carry_out(sales, UP)
    assert found(sales) == ""


# -- validation ------------------------------------------------------------------------------------

BREAKS = [
    ("ALTER TABLE tax_rate DROP COLUMN is_compound", "tables differ: tax_rate"),
    ("ALTER TABLE account ALTER COLUMN code TYPE varchar(20)", "tables differ: account"),
    ("ALTER TABLE customer ALTER COLUMN currency DROP NOT NULL", "without a default: customer"),
    (
        "ALTER TABLE inventory_item ALTER COLUMN currency SET DEFAULT 'USD'",
        "without a default: inventory_item",
    ),
    (
        "ALTER TABLE purchase_order ADD CONSTRAINT purchase_order_has_currency CHECK (currency"
        " IS NOT NULL)",
        "left over: purchase_order_has_currency",
    ),
    (
        "ALTER TABLE journal_entry DROP CONSTRAINT journal_entry_posted_is_balanced",
        "journal_entry_posted_is_balanced is missing",
    ),
    (
        "ALTER TABLE tax_rate DROP CONSTRAINT tax_rate_periods_do_not_overlap",
        "tax_rate_periods_do_not_overlap is missing",
    ),
    (
        "ALTER TABLE invoice DROP CONSTRAINT invoice_org_id_fkey,"
        " ADD CONSTRAINT invoice_org_id_fkey FOREIGN KEY (org_id) REFERENCES organization ON"
        " DELETE CASCADE NOT VALID",
        "(not validated)",
    ),
    ("DROP INDEX journal_entry_is_reversed_once", "journal_entry_is_reversed_once is missing"),
    (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_invoice_open'::regclass",
        "(invalid)",
    ),
    ("DROP INDEX idx_payment_customer", "payment_customer_id_fkey"),
    (
        "DROP TRIGGER keep_journal_totals ON journal_entry_line",
        "journal_entry_line.keep_journal_totals is missing",
    ),
    ("ALTER TABLE journal_entry DISABLE TRIGGER keep_journal_entry", "(switched off)"),
    ("DROP TRIGGER fill_currency ON customer", "customer.fill_currency is missing"),
    (
        "DROP TRIGGER give_default_accounts ON organization",
        "organization.give_default_accounts is missing",
    ),
    (
        "ALTER FUNCTION keep_journal_entry() RESET search_path",
        "functions differ: keep_journal_entry()",
    ),
    (
        "ALTER FUNCTION keep_journal_totals() SECURITY INVOKER",
        "functions differ: keep_journal_totals()",
    ),
    (
        "GRANT EXECUTE ON FUNCTION post_journal_entry(uuid) TO anon",
        "functions differ: post_journal_entry(uuid)",
    ),
    ("DROP POLICY tenant_isolation ON payment", "payment.tenant_isolation is missing"),
    (
        "ALTER POLICY tenant_isolation ON invoice WITH CHECK (true)",
        "policies differ: invoice.tenant_isolation",
    ),
    (
        "ALTER TABLE account DISABLE ROW LEVEL SECURITY",
        "rights differ: account without row security",
    ),
    ("GRANT SELECT ON journal_entry TO anon", "journal_entry anon SELECT"),
    (
        "GRANT INSERT ON organization_currency TO authenticated",
        "rights differ: organization_currency",
    ),
    ("COMMENT ON TABLE exchange_rate IS NULL", "exchange_rate"),
    ("COMMENT ON COLUMN invoice.amount_due IS 'what is due'", "invoice.amount_due"),
    (
        "DELETE FROM organization_currency WHERE org_id = (SELECT org_id FROM profile LIMIT 1)",
        "no currency on record",
    ),
    (
        "DELETE FROM account AS a WHERE org_id = (SELECT id FROM organization AS o WHERE NOT EXISTS"
        " (SELECT FROM journal_entry WHERE org_id = o.id) LIMIT 1)",
        "no accounts",
    ),
    (
        "SET LOCAL session_replication_role = replica; UPDATE purchase_order_item"
        " SET currency = 'INR'"
        " WHERE id = (SELECT id FROM purchase_order_item WHERE currency <> 'INR' LIMIT 1)",
        "currency_of_order",
    ),
    (
        "SET LOCAL session_replication_role = replica; UPDATE invoice_item SET line_total = 99",
        "net 99",
    ),
    (
        "SET LOCAL session_replication_role = replica; UPDATE payment_allocation SET amount = 41",
        "allocated 41",
    ),
    (
        "SET LOCAL session_replication_role = replica; UPDATE journal_entry_line"
        " SET debit_amount = 99 WHERE debit_amount > 0",
        "journal entries are the sums of their lines, and posted ones balance: ",
    ),
    (
        "CREATE OR REPLACE FUNCTION round_money(amount numeric, currency currency_code)"
        " RETURNS numeric"
        " LANGUAGE sql STABLE STRICT PARALLEL SAFE AS 'SELECT trunc(amount,"
        " currency_minor_units(currency))'",
        "rounding differs: 2.345 USD gave 2.34, expected 2.35",
    ),
    (
        "CREATE OR REPLACE FUNCTION convert_amount(amount numeric, from_currency currency_code,"
        " to_currency currency_code,"
        " on_date date, for_org uuid DEFAULT NULL) RETURNS numeric LANGUAGE sql STABLE"
        " SET search_path = public, pg_temp"
        " AS 'SELECT amount'",
        "conversion differs",
    ),
    (
        "CREATE OR REPLACE FUNCTION keep_journal_totals() RETURNS trigger LANGUAGE plpgsql"
        " SECURITY DEFINER"
        " SET search_path = public, pg_temp AS 'BEGIN RETURN NULL; END'",
        "a posted entry can be changed",
    ),
]


@pytest.mark.parametrize(
    ("statement", "message"), BREAKS, ids=[statement[:60] for statement, _ in BREAKS]
)
def test_the_validation_names_what_was_broken(
    shared: Connection, statement: str, message: str
) -> None:
    with shared.transaction(force_rollback=True):
        shared.execute(statement)
        assert message in found(shared)


def test_every_step_of_the_validation_was_broken_once(shared: Connection) -> None:
    assert found(shared) == ""
    broken: set[str] = set()
    for statement, _ in BREAKS:
        with shared.transaction(force_rollback=True):
            shared.execute(statement)
            broken |= {one.name for one in validations.validate_file(shared, VALIDATE).failed}
    assert {step.name for step in migration_files.read_script(VALIDATE).steps} - broken == set()


@pytest.mark.parametrize("path", [VALIDATE, *TRIALS], ids=lambda path: path.stem)
def test_sql_tests_pass_and_leave_nothing(shared: Connection, path: Path) -> None:
    tables = (*NEW, "organization", "profile", "audit_log", "document_number")
    before = {table: one(shared, f"SELECT count(*) FROM {table}") for table in tables}
    assert found(shared, path) == ""
    assert {table: one(shared, f"SELECT count(*) FROM {table}") for table in tables} == before


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "ALTER TABLE tax_rate DROP CONSTRAINT tax_rate_periods_do_not_overlap",
            "tax_rate_periods_do_not_overlap",
        ),
        (
            "DROP TRIGGER give_default_accounts ON organization",
            "it should have the default accounts",
        ),
        ("DROP TRIGGER settle_payment ON payment", "a completed payment should pay its invoice"),
        (
            "ALTER TABLE account DISABLE ROW LEVEL SECURITY",
            "a user should see the default accounts of the own",
        ),
        (
            "DROP INDEX journal_entry_is_reversed_once",
            "reversing twice should be refused, it was possible",
        ),
        ("DROP TRIGGER record_audit ON payment_allocation", "the audit trail should tell"),
    ],
)
def test_the_sql_tests_can_fail(shared: Connection, statement: str, message: str) -> None:
    with shared.transaction(force_rollback=True):
        shared.execute(statement)
        assert message in "; ".join(found(shared, path) for path in TRIALS)


@pytest.mark.parametrize(
    ("statement", "case"),
    [
        ("DELETE FROM organization_currency", "organizations_without_currency"),
        ("DELETE FROM account", "organizations_without_accounts"),
        ("UPDATE purchase_order_item SET currency = 'INR'", "order_lines_in_another_currency"),
        (
            "UPDATE purchase_order SET total_amount = 0.01",
            "purchase_orders_that_are_not_the_sum_of_their_lines",
        ),
        ("UPDATE invoice_item SET line_total = 99", "invoices_that_are_not_the_sum_of_their_lines"),
        (
            "UPDATE invoice_item SET line_total = 99",
            "invoice_lines_that_are_not_quantity_times_price",
        ),
        ("DELETE FROM payment_allocation", "invoices_whose_payments_do_not_add_up"),
        ("UPDATE payment_allocation SET amount = 41", "payments_allocated_beyond_their_amount"),
        ("UPDATE payment SET currency = 'INR'", "allocations_between_two_currencies"),
        (
            "DELETE FROM journal_entry_line WHERE line_number = 1",
            "posted_entries_that_do_not_balance",
        ),
        ("DELETE FROM journal_entry_line", "entries_whose_sums_are_not_their_lines"),
        (
            (
                "UPDATE account AS a SET parent_account_id = (SELECT id FROM account AS b WHERE"
                " b.org_id = a.org_id AND code = '1010') WHERE code = '1000'"
            ),
            "accounts_below_themselves",
        ),
        (
            (
                "ALTER TABLE tax_rate DROP CONSTRAINT tax_rate_periods_do_not_overlap; INSERT INTO"
                " tax_rate (org_id, name, tax_type, rate, effective_from) SELECT org_id, name,"
                " tax_type, rate, effective_from FROM tax_rate"
            ),
            "overlapping_tax_rates",
        ),
        (
            "UPDATE invoice SET customer_id = (SELECT id FROM customer LIMIT 1)",
            "references_across_organizations",
        ),
        (
            "UPDATE document_number SET last_number = 1 WHERE kind = 'journal_entry'",
            "numbers_behind_their_documents",
        ),
    ],
)
def test_the_data_integrity_tests_can_fail(shared: Connection, statement: str, case: str) -> None:
    assert integrity(shared) == {}
    with shared.transaction(force_rollback=True):
        shared.execute("SET LOCAL session_replication_role = replica")
        shared.execute(statement)
        assert case in integrity(shared)


# -- existing money gets its currency --------------------------------------------------------------


def test_the_backfill_gives_each_row_its_currency_and_changes_nothing_else(
    sales: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "FIRST", 100)
    monkeypatch.setattr(backfill, "LARGEST", 100)
    stamps = {
        t: sales.execute(f"SELECT id, updated_at FROM {t} ORDER BY id").fetchall() for t in MONEY
    }
    audited = one(
        sales, "SELECT count(*) FROM audit_log WHERE table_name = ANY (%s)", (list(MONEY),)
    )
    before = rows(sales, BEFORE)

    carry_out(sales, UP)
    assert rows(sales, AFTER) == before
    assert len({row[3] for row in before}) > 5, "several currencies"
    assert {
        t: sales.execute(f"SELECT id, updated_at FROM {t} ORDER BY id").fetchall() for t in MONEY
    } == stamps
    assert (
        one(sales, "SELECT count(*) FROM audit_log WHERE table_name = ANY (%s)", (list(MONEY),))
        == audited
    )


def test_control_totals_notice_a_cent_and_a_wrong_label(sales: Connection) -> None:
    before = rows(sales, BEFORE)
    carry_out(sales, UP)
    for statement in (
        (
            "UPDATE customer SET lifetime_value = lifetime_value + 0.01 WHERE id = (SELECT id FROM"
            " customer LIMIT 1)"
        ),
        (
            "UPDATE customer SET currency = 'BRL' WHERE id = (SELECT id FROM customer WHERE"
            " currency <> 'BRL' LIMIT 1)"
        ),
    ):
        with sales.transaction(force_rollback=True):
            sales.execute(statement)
            assert rows(sales, AFTER) != before


def test_an_unknown_currency_blocks_until_it_is_mapped_on_the_record(sales: Connection) -> None:
    orgs = [
        row[0]
        for row in sales.execute(
            "SELECT org_id FROM purchase_order GROUP BY 1 ORDER BY count(*) DESC LIMIT 3"
        )
    ]
    for org, code in zip(orgs, ("ZAR", "ZAR", "EURO"), strict=True):
        sales.execute(
            "UPDATE organization SET settings = jsonb_build_object('currency', %s::text) WHERE id"
            " = %s",
            (code, org),
        )

    undecided = rows(sales, CHECKS / "currencies_undecided.sql")
    assert [(row[0], row[1]) for row in undecided] == [("'EURO'", 1), ("'ZAR'", 2)]
    assert str(orgs[2]) in undecided[0][2]
    assert {"'ZAR'", "'EURO'"} <= {row[3] for row in rows(sales, BEFORE)}

    with pytest.raises(
        errors.InvalidParameterValue,
        match=r"decided: 'EURO' \(1 organizations\), 'ZAR' \(2 organizations\)",
    ):
        carry_out(sales, UP)
    assert (
        one(
            sales,
            "SELECT count(*) FROM pg_attribute WHERE attname = 'currency' AND attrelid ="
            " 'customer'::regclass",
        )
        == 0
    )

    sales.execute(
        "INSERT INTO mantis_runbook.decision VALUES ('currency', 'ZAR', 'USD', 'ann'), ('currency',"
        " 'EURO', 'EU', 'ann')"
    )
    assert [row[0] for row in rows(sales, CHECKS / "currency_decisions_that_mean_nothing.sql")] == [
        "EURO"
    ]
    stopped = "foreign keys of finance hold for every row"
    with pytest.raises(errors.InvalidParameterValue, match="'EURO' is to be 'EU'"):
        carry_out(sales, UP, after=stopped)
    sales.execute("UPDATE mantis_runbook.decision SET value = 'EUR' WHERE key = 'EURO'")
    assert rows(sales, CHECKS / "currencies_undecided.sql") == []
    assert rows(sales, CHECKS / "currency_decisions_that_mean_nothing.sql") == []

    before = rows(sales, BEFORE)
    carry_out(sales, UP, after=stopped)
    assert rows(sales, AFTER) == before
    assert found(sales) == ""
    known = (
        "SELECT currency::text, source, code_found, decided_by FROM organization_currency WHERE"
        " org_id = ANY (%s) ORDER BY 3"
    )
    assert (
        sales.execute(known, (orgs,)).fetchall()
        == [("EUR", "mapped", "EURO", "ann")] + [("USD", "mapped", "ZAR", "ann")] * 2
    )
    later = one(
        sales,
        "INSERT INTO organization (name, slug, settings) VALUES ('Later', 'later', '{\"currency\":"
        ' "ZAR"}\') RETURNING id',
    )
    assert one(sales, "SELECT organization_currency(%s)::text", (later,)) == "USD"


def test_a_mapped_currency_holds_for_sessions_that_were_there_before(sales: Connection) -> None:
    org = one(sales, "SELECT org_id FROM profile LIMIT 1")
    insert = (
        "INSERT INTO opportunity (org_id, name, amount) VALUES (%s, 'x', 1) RETURNING"
        " currency::text"
    )
    sales.execute("INSERT INTO mantis_runbook.decision VALUES ('currency', 'ZAR', 'CHF', 'ann')")
    with another(sales) as session:
        for _ in range(8):
            one(session, insert, (org,))
        sales.execute(
            'UPDATE organization SET settings = \'{"currency": "ZAR"}\' WHERE id = %s', (org,)
        )
        with pytest.raises(errors.InvalidParameterValue):
            session.execute(insert, (org,))
        carry_out(sales, UP)
        assert one(session, insert, (org,)) == "CHF"
        carry_out(sales, ROLLBACK)
        with pytest.raises(errors.InvalidParameterValue):
            session.execute(insert, (org,))


def test_the_old_application_inserts_before_during_and_after(sales: Connection) -> None:
    """Inserts know nothing of the column, at every step of the way; the orders' totals go on being
    kept.
    """
    org, supplier, item = sales.execute(
        "SELECT s.org_id, s.id, i.id FROM supplier AS s JOIN inventory_item AS i USING (org_id)"
        " LIMIT 1"
    ).fetchone()

    def work() -> None:
        sales.execute(
            "INSERT INTO customer (org_id, name, lifetime_value) VALUES (%s, 'old', 5)", (org,)
        )
        sales.execute(
            "INSERT INTO inventory_item (org_id, sku, name, category, unit_price) VALUES (%s, %s,"
            " 'old', 'tools', 1)",
            (org, str(uuid4())),
        )
        order = one(
            sales,
            "INSERT INTO purchase_order (org_id, supplier_id, po_number) VALUES (%s, %s, %s)"
            " RETURNING id",
            (org, supplier, str(uuid4())),
        )
        sales.execute(
            "INSERT INTO purchase_order_item (purchase_order_id, inventory_item_id, quantity,"
            " unit_price) VALUES (%s, %s, 3, 2.50)",
            (order, item),
        )
        assert one(
            sales, "SELECT total_amount FROM purchase_order WHERE id = %s", (order,)
        ) == Decimal("7.50")
        sales.execute(
            "UPDATE purchase_order_item SET quantity = 1 WHERE purchase_order_id = %s", (order,)
        )
        assert one(
            sales, "SELECT total_amount FROM purchase_order WHERE id = %s", (order,)
        ) == Decimal("2.50")

    for path in (UP, ROLLBACK):
        for step in migration_files.read_script(path).steps:
            work()
            if step.batched_over:
                in_batches(sales, step)
            else:
                with sales.transaction():
                    for statement in step.statements:
                        sales.execute(statement.text)
        work()
        if path is UP:
            assert found(sales) == ""


OLD_ERRORS = [
    (
        "INSERT INTO customer (org_id, name) VALUES (gen_random_uuid(), 'x')",
        errors.ForeignKeyViolation,
    ),
    (
        "INSERT INTO inventory_item (org_id, sku, name, category) VALUES (gen_random_uuid(),"
        " 'x', 'x', 'tools')",
        errors.ForeignKeyViolation,
    ),
    (
        "INSERT INTO purchase_order_item (purchase_order_id, inventory_item_id, quantity,"
        " unit_price) VALUES (gen_random_uuid(), gen_random_uuid(), 1, 1)",
        errors.ForeignKeyViolation,
    ),
    (
        "INSERT INTO customer (org_id, name) VALUES (NULL, 'x')",
        (errors.NotNullViolation, errors.ForeignKeyViolation),
    ),
]


@pytest.mark.parametrize(("statement", "error"), OLD_ERRORS)
def test_old_mistakes_are_refused_as_before(shared: Connection, statement: str, error: Any) -> None:
    with pytest.raises(error):
        shared.execute(statement)


@pytest.mark.parametrize("table", ["customer", "inventory_item", "purchase_order"])
def test_row_security_refuses_a_foreign_row_before_its_currency_is_looked_for(
    shared: Connection, table: str
) -> None:
    own, other = companies(shared)
    shared.execute(
        'UPDATE organization SET settings = \'{"currency": "ZAR"}\' WHERE id = %s', (other.org,)
    )
    columns = {
        "customer": "name",
        "inventory_item": "sku, name, category",
        "purchase_order": "po_number, supplier_id",
    }[table]
    values = {
        "customer": "'x'",
        "inventory_item": "'x', 'x', 'tools'",
        "purchase_order": "'x', gen_random_uuid()",
    }[table]
    for org in (other.org, uuid4()):
        with acting(shared, "authenticated", own.user), pytest.raises(errors.InsufficientPrivilege):
            shared.execute(f"INSERT INTO {table} (org_id, {columns}) VALUES (%s, {values})", (org,))
    shared.execute(
        'UPDATE organization SET settings = \'{"currency": "EUR"}\' WHERE id = %s', (other.org,)
    )


def companies(connection: Connection) -> tuple[Company, Company]:
    """The two that the fixture `shared` made."""
    ids = [
        row[0]
        for row in connection.execute(
            "SELECT id FROM organization WHERE name = 'Company' ORDER BY created_at"
        )
    ]
    return tuple(_company_of(connection, org) for org in ids[:2])  # type: ignore[return-value]


def _company_of(connection: Connection, org: UUID) -> Company:
    def of(table: str, condition: str = "") -> UUID:
        return one(connection, f"SELECT id FROM {table} WHERE org_id = %s {condition}", (org,))

    invoice = of("invoice")
    return Company(
        org,
        of("profile"),
        of("customer"),
        of("account", "AND code = '1100'"),
        of("account", "AND code = '4100'"),
        invoice,
        one(connection, "SELECT id FROM invoice_item WHERE invoice_id = %s", (invoice,)),
        of("payment"),
        of("journal_entry", "AND is_posted"),
        of("journal_entry", "AND NOT is_posted"),
    )


SETTINGS = [
    (None, "USD", "default"),
    ("{}", "USD", "default"),
    ('{"currency": null}', "USD", "default"),
    ('{"currency": "GBP"}', "GBP", "settings"),
    ('{"currency": "gbp"}', None, "undecided"),
    ('{"currency": ""}', None, "undecided"),
    ('{"currency": "ZAR"}', None, "undecided"),
    ('{"currency": ["EUR"]}', None, "undecided"),
]


@pytest.mark.parametrize(("value", "currency", "source"), SETTINGS)
def test_an_organisation_can_be_created_with_any_settings(
    shared: Connection, value: str | None, currency: str | None, source: str
) -> None:
    with shared.transaction(force_rollback=True):
        org = one(
            shared,
            "INSERT INTO organization (name, slug, settings) VALUES ('New', 'new', %s)"
            " RETURNING id",
            (value,),
        )
        known = shared.execute(
            "SELECT currency::text, source FROM organization_currency WHERE org_id = %s", (org,)
        )
        assert known.fetchone() == (currency, source)
        assert one(shared, "SELECT count(*) FROM account WHERE org_id = %s", (org,)) == 34
        insert = "INSERT INTO customer (org_id, name) VALUES (%s, 'x') RETURNING currency::text"
        if currency:
            assert one(shared, insert, (org,)) == currency
            return
        with (
            pytest.raises(errors.InvalidParameterValue, match="nobody has decided"),
            shared.transaction(),
        ):
            shared.execute(insert, (org,))
        code = one(shared, "SELECT settings ->> 'currency' FROM organization WHERE id = %s", (org,))
        assert one(shared, "SELECT decide_currency(%s, 'CNY', 'ann')", (code,)) == 1
        assert one(shared, insert, (org,)) == "CNY"


def test_settings_that_nobody_can_read_change_nothing_for_the_old_application(
    shared: Connection,
) -> None:
    made = companies(shared)[0]
    with shared.transaction(force_rollback=True):
        shared.execute(
            'UPDATE organization SET settings = \'{"currency": "ZAR"}\' WHERE id = %s', (made.org,)
        )
        assert (
            one(
                shared,
                "INSERT INTO customer (org_id, name) VALUES (%s, 'x') RETURNING currency::text",
                (made.org,),
            )
            == "EUR"
        )
        with pytest.raises(errors.InvalidParameterValue), shared.transaction():
            shared.execute(
                "INSERT INTO journal_entry (org_id, description, created_by) VALUES (%s, 'x', %s)",
                (made.org, made.user),
            )
        shared.execute("SELECT decide_currency('ZAR', 'GBP', 'ann')")
        with pytest.raises(errors.UniqueViolation, match="decided before"), shared.transaction():
            shared.execute("SELECT decide_currency('ZAR', 'INR', 'eve')")
        assert one(shared, "SELECT organization_currency(%s)::text", (made.org,)) == "GBP"
        assert (
            one(shared, "SELECT currency::text FROM customer WHERE id = %s", (made.customer,))
            == "EUR"
        )


def test_lines_of_a_purchase_order_follow_it_and_take_no_other_currency(
    finance: Connection,
) -> None:
    line, order = finance.execute(
        "SELECT id, purchase_order_id FROM purchase_order_item WHERE currency = 'EUR' LIMIT 1"
    ).fetchone()
    with pytest.raises(errors.CheckViolation, match="does not fit a purchase order in EUR"):
        finance.execute("UPDATE purchase_order_item SET currency = 'USD' WHERE id = %s", (line,))
    finance.execute("UPDATE purchase_order SET currency = 'GBP' WHERE id = %s", (order,))
    assert finance.execute(
        "SELECT DISTINCT currency::text FROM purchase_order_item WHERE purchase_order_id = %s",
        (order,),
    ).fetchall() == [("GBP",)]


@pytest.mark.parametrize(
    ("check", "table", "column", "value", "object_named"),
    [
        ("amounts_out_of_range", "customer", "lifetime_value", "NaN", "customer.lifetime_value"),
        (
            "amounts_out_of_range",
            "purchase_order",
            "shipping_amount",
            "99999999999",
            "purchase_order.shipping_amount",
        ),
        (
            "amounts_out_of_range",
            "purchase_order",
            "tax_amount",
            "1.005",
            "purchase_order.tax_amount",
        ),
        (
            "amounts_finer_than_their_currency",
            "purchase_order",
            "tax_amount",
            "1.50",
            "purchase_order.tax_amount",
        ),
    ],
)
def test_checks_find_amounts_that_cannot_stay(
    sales: Connection, check: str, table: str, column: str, value: str, object_named: str
) -> None:
    path = CHECKS / f"{check}.sql"
    rows_before = rows(sales, path)
    org = one(sales, f"SELECT org_id FROM {table} LIMIT 1")
    sales.execute(
        'UPDATE organization SET settings = \'{"currency": "JPY"}\' WHERE id = %s', (org,)
    )
    if value != "NaN":
        sales.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE numeric")
    key = one(
        sales,
        f"UPDATE {table} SET {column} = %s WHERE id = (SELECT id FROM {table} WHERE org_id = %s"
        " LIMIT 1) RETURNING id",
        (value, org),
    )
    found = [row for row in rows(sales, path) if row not in rows_before]
    assert any(object_named in row[0] for row in found)
    if check == "amounts_out_of_range":
        assert str(key) in found[0][2]


# -- books that nobody changes ---------------------------------------------------------------------

#: What a client may try on a posted entry. {x} of the company stands for its ids.
TRICKS = [
    "UPDATE journal_entry SET description = 'x' WHERE id = '{entry}'",
    "UPDATE journal_entry SET is_posted = false, posted_at = NULL, posted_by = NULL"
    " WHERE id = '{entry}'",
    "UPDATE journal_entry SET is_posted = NULL WHERE id = '{entry}'",
    "UPDATE journal_entry SET total_debits = 5, total_credits = 5 WHERE id = '{entry}'",
    "UPDATE journal_entry SET posted_by = NULL, posted_at = now() WHERE id = '{entry}'",
    "UPDATE journal_entry SET id = gen_random_uuid() WHERE id = '{entry}'",
    "UPDATE journal_entry SET currency = 'USD' WHERE id = '{entry}'",
    "UPDATE journal_entry SET entry_date = entry_date - 365",
    "DELETE FROM journal_entry WHERE id = '{entry}'",
    "DELETE FROM journal_entry",
    "INSERT INTO journal_entry (id, org_id, description, created_by) VALUES ('{entry}', '{org}',"
    " 'x', '{user}')"
    " ON CONFLICT (id) DO UPDATE SET description = EXCLUDED.description",
    "MERGE INTO journal_entry AS e USING (SELECT 1) AS s ON e.id = '{entry}' WHEN MATCHED THEN"
    " DELETE",
    "INSERT INTO journal_entry_line (journal_entry_id, account_id, debit_amount, line_number)"
    " VALUES ('{entry}', '{revenue}', 1, 3)",
    "INSERT INTO journal_entry_line (journal_entry_id, account_id, debit_amount, credit_amount,"
    " line_number)"
    " VALUES ('{entry}', '{revenue}', 7, 0, 3), ('{entry}', '{receivable}', 0, 7, 4)",
    "UPDATE journal_entry_line SET debit_amount = 101 WHERE journal_entry_id = '{entry}'"
    " AND debit_amount > 0",
    "UPDATE journal_entry_line SET account_id = '{revenue}' WHERE journal_entry_id = '{entry}'",
    "UPDATE journal_entry_line SET description = 'x' WHERE journal_entry_id = '{entry}'",
    "UPDATE journal_entry_line SET journal_entry_id = '{draft}', line_number = line_number + 2"
    " WHERE journal_entry_id = '{entry}'",
    "UPDATE journal_entry_line SET journal_entry_id = '{entry}', line_number = line_number + 2"
    " WHERE journal_entry_id = '{draft}'",
    "DELETE FROM journal_entry_line WHERE journal_entry_id = '{entry}'",
    "WITH gone AS (DELETE FROM journal_entry_line WHERE journal_entry_id = '{draft}'"
    " AND line_number = 1)"
    " UPDATE journal_entry SET is_posted = true WHERE id = '{draft}'",
    "WITH posted AS (UPDATE journal_entry SET is_posted = true WHERE id = '{draft}')"
    " INSERT INTO journal_entry_line (journal_entry_id, account_id, debit_amount, line_number)"
    " VALUES ('{draft}', '{revenue}', 1, 3)",
    "TRUNCATE journal_entry CASCADE",
    "TRUNCATE journal_entry_line",
    "TRUNCATE account CASCADE",
    "TRUNCATE organization CASCADE",
    "DELETE FROM account WHERE id = '{revenue}'",
    "DELETE FROM organization WHERE id = '{org}'",
    "DELETE FROM profile WHERE id = '{user}'",
    "UPDATE account SET account_type = 'liability' WHERE id = '{revenue}'",
    "UPDATE account SET id = gen_random_uuid() WHERE id = '{revenue}'",
    # another in the place of an account, before its deferred foreign key looks
    "DELETE FROM account WHERE id = '{revenue}';"
    " INSERT INTO account (id, org_id, code, name, account_type) VALUES ('{revenue}', '{org}',"
    " '4100', 'x', 'liability')",
    "UPDATE account SET id = '{org}' WHERE id = '{revenue}'; UPDATE account SET id = '{revenue}'"
    " WHERE id = '{receivable}';"
    " UPDATE account SET id = '{receivable}' WHERE id = '{org}'",
    "UPDATE account SET org_id = (SELECT id FROM organization WHERE id <> '{org}' LIMIT 1)"
    " WHERE id = '{revenue}'",
    # names that stand before ours
    "CREATE TEMP TABLE journal_entry AS SELECT * FROM public.journal_entry;"
    " UPDATE pg_temp.journal_entry SET is_posted = false;"
    " SET LOCAL search_path = pg_temp, public; DELETE FROM public.journal_entry_line"
    " WHERE journal_entry_id = '{entry}'",
    # triggers that swallow, or change what was looked at
    "CREATE FUNCTION pg_temp.swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL;"
    " END';"
    " CREATE TRIGGER aa BEFORE UPDATE ON journal_entry FOR EACH ROW EXECUTE"
    " FUNCTION pg_temp.swallow();"
    " DELETE FROM journal_entry_line WHERE journal_entry_id = '{entry}'",
    "CREATE FUNCTION pg_temp.divert() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
    " NEW.journal_entry_id := '{entry}'; RETURN NEW; END$$;"
    " CREATE TRIGGER zz BEFORE INSERT ON journal_entry_line FOR EACH ROW EXECUTE"
    " FUNCTION pg_temp.divert();"
    " INSERT INTO journal_entry_line (journal_entry_id, account_id, debit_amount, line_number)"
    " VALUES ('{draft}', '{revenue}', 1, 3)",
    "CREATE FUNCTION pg_temp.lie() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
    " NEW.total_debits := 5; NEW.total_credits := 5;"
    " NEW.is_posted := true; NEW.posted_at := now(); RETURN NEW; END$$;"
    " CREATE TRIGGER zz BEFORE INSERT OR UPDATE ON journal_entry FOR EACH ROW EXECUTE"
    " FUNCTION pg_temp.lie();"
    " INSERT INTO journal_entry (org_id, description, created_by) VALUES ('{org}', 'x', '{user}')",
]

REFUSALS = (
    errors.RestrictViolation,
    errors.CheckViolation,
    errors.ForeignKeyViolation,
    errors.InsufficientPrivilege,
)


def books(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT e.*, l.*, a.account_type, a.org_id FROM public.journal_entry AS e"
        " JOIN public.journal_entry_line AS l ON l.journal_entry_id = e.id"
        " JOIN public.account AS a ON a.id = l.account_id WHERE e.is_posted ORDER BY e.id, l.id"
    ).fetchall()


@pytest.mark.parametrize("role", ["superuser", "service_role", "authenticated"])
@pytest.mark.parametrize("trick", TRICKS, ids=[trick[:70] for trick in TRICKS])
def test_what_is_posted_stays(shared: Connection, role: str, trick: str) -> None:
    made = companies(shared)[0]
    before = books(shared)
    with pytest.raises(REFUSALS), acting(shared, role, made.user):
        shared.execute(trick.format(**made.facts))
        shared.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert books(shared) == before


#: Rows that take the key of another tenant's, and tell what a trigger wrote to them before row
#: security looked.
STOLEN_KEYS = {
    "invoice": (
        "INSERT INTO invoice (id, org_id, customer_id, invoice_number, due_date, created_by) SELECT"
        " %(theirs)s, org_id, customer_id, invoice_number, due_date, created_by FROM invoice WHERE"
        " id = %(own)s ON CONFLICT (org_id, invoice_number) DO UPDATE SET notes = concat_ws('/',"
        " EXCLUDED.subtotal, EXCLUDED.tax_amount, EXCLUDED.amount_paid) RETURNING notes"
    ),
    "payment": (
        "INSERT INTO payment (id, org_id, customer_id, payment_number, amount, payment_method)"
        " SELECT %(theirs)s, org_id, customer_id, payment_number, 1000, payment_method FROM payment"
        " WHERE id = %(own)s ON CONFLICT (org_id, payment_number) DO UPDATE SET notes ="
        " EXCLUDED.amount_allocated RETURNING notes"
    ),
    "draft": (
        "INSERT INTO journal_entry (id, org_id, entry_number, description, created_by) SELECT"
        " %(theirs)s, org_id, entry_number, description, created_by FROM journal_entry WHERE id ="
        " %(own)s ON CONFLICT (org_id, entry_number) DO UPDATE SET description = concat_ws('/',"
        " EXCLUDED.total_debits, EXCLUDED.total_credits) RETURNING description"
    ),
}


@pytest.mark.parametrize("kind", STOLEN_KEYS)
def test_nobody_reads_the_sums_of_another_tenant_by_taking_its_key(
    shared: Connection, kind: str
) -> None:
    own, other = companies(shared)
    keys = {"own": own.facts[kind], "theirs": other.facts[kind]}
    with acting(shared, "authenticated", own.user):
        assert set(one(shared, STOLEN_KEYS[kind], keys).split("/")) <= {"0", "0.00"}


def test_a_tenant_cannot_stand_in_the_way_of_a_reversal_of_another(shared: Connection) -> None:
    own, other = companies(shared)
    with shared.transaction(force_rollback=True):
        shared.execute(
            "INSERT INTO journal_entry (org_id, description, reference_type, reference_id,"
            " created_by) VALUES (%s, 'x', 'reversal', %s, %s)",
            (other.org, own.entry, other.user),
        )
        assert one(shared, "SELECT reverse_journal_entry(%s)", (own.entry,)) is not None


def test_a_payment_into_another_tenant_does_not_tell_its_currency(shared: Connection) -> None:
    own, other = companies(shared)
    with shared.transaction(force_rollback=True):
        shared.execute(
            'UPDATE organization SET settings = \'{"currency": "JPY"}\' WHERE id = %s', (other.org,)
        )
        for org in (other.org, uuid4()):
            with (
                acting(shared, "authenticated", own.user),
                pytest.raises(errors.InsufficientPrivilege),
            ):
                shared.execute(
                    "INSERT INTO payment (org_id, customer_id, payment_number, amount,"
                    " payment_method) VALUES (%s, %s, 'x', 0.5, 'cash')",
                    (org, own.customer),
                )


def test_amounts_of_a_header_are_rounded_as_its_lines_are(shared: Connection) -> None:
    """Else half a yen stays due that nobody can pay."""
    made = companies(shared)[0]
    with shared.transaction(force_rollback=True):
        invoice = one(
            shared,
            "INSERT INTO invoice (org_id, customer_id, due_date, created_by, currency,"
            " discount_amount) VALUES (%s, %s, CURRENT_DATE, %s, 'JPY', 0.4) RETURNING id",
            (made.org, made.customer, made.user),
        )
        shared.execute(
            "INSERT INTO invoice_item (invoice_id, description, unit_price) VALUES (%s, 'x', 100)",
            (invoice,),
        )
        new_payment(shared, made, 100, invoice_id=invoice, currency="JPY", status="completed")
        assert one(shared, "SELECT status::text FROM invoice WHERE id = %s", (invoice,)) == "paid"
        ordered = shared.execute(
            "INSERT INTO sales_order (org_id, customer_id, created_by, currency, shipping_amount,"
            " discount_amount) VALUES (%s, %s, %s, 'JPY', 7.5, 0.4) RETURNING shipping_amount,"
            " discount_amount",
            (made.org, made.customer, made.user),
        ).fetchone()
        assert ordered == (8, 0)


def test_copy_adds_no_line_to_what_is_posted(shared: Connection) -> None:
    made = companies(shared)[0]
    with (
        pytest.raises(errors.RestrictViolation),
        shared.cursor() as cursor,
        cursor.copy(
            "COPY journal_entry_line (journal_entry_id, account_id, debit_amount, line_number) FROM"
            " STDIN"
        ) as copy,
    ):
        copy.write_row((made.entry, made.revenue, 1, 3))


UNBALANCED = [
    ([], r"does not balance: debits 0.00, credits 0.00"),
    ([(100, 0)], "does not balance: debits 100.00, credits 0"),
    ([(100, 0), (0, Decimal("99.99"))], "does not balance: debits 100.00, credits 99.99"),
]


@pytest.mark.parametrize(("lines", "message"), UNBALANCED)
@pytest.mark.parametrize(
    "how",
    ["SELECT post_journal_entry(%s)", "UPDATE journal_entry SET is_posted = true WHERE id = %s"],
)
def test_an_entry_that_does_not_balance_is_not_posted(
    shared: Connection, lines: Any, message: str, how: str
) -> None:
    made = companies(shared)[0]
    with shared.transaction(force_rollback=True):
        shared.execute("DELETE FROM journal_entry_line WHERE journal_entry_id = %s", (made.draft,))
        for number, (debit, credit) in enumerate(lines, 1):
            add_line(shared, made, debit, credit, number)
        with pytest.raises(errors.CheckViolation, match=message), shared.transaction():
            shared.execute(how, (made.draft,))
        assert (
            one(shared, "SELECT is_posted FROM journal_entry WHERE id = %s", (made.draft,)) is False
        )


def add_line(connection: Connection, made: Company, debit: Any, credit: Any, number: int) -> None:
    connection.execute(
        "INSERT INTO journal_entry_line (journal_entry_id, account_id, debit_amount, credit_amount,"
        " line_number) VALUES (%s, %s, %s, %s, %s)",
        (made.draft, made.revenue, debit, credit, number),
    )


def test_a_draft_can_be_changed_and_deleted_and_its_sums_follow(shared: Connection) -> None:
    made = companies(shared)[0]
    sums = "SELECT total_debits, total_credits FROM journal_entry WHERE id = %s"
    with shared.transaction(force_rollback=True):
        add_line(shared, made, 7, 0, 3)
        assert shared.execute(sums, (made.draft,)).fetchone() == (107, 100)
        shared.execute(
            "UPDATE journal_entry SET total_debits = 1, description = 'y' WHERE id = %s",
            (made.draft,),
        )
        assert shared.execute(sums, (made.draft,)).fetchone() == (107, 100)
        shared.execute(
            "DELETE FROM journal_entry_line WHERE journal_entry_id = %s AND line_number = 3",
            (made.draft,),
        )
        assert shared.execute(sums, (made.draft,)).fetchone() == (100, 100)
        shared.execute("DELETE FROM journal_entry WHERE id = %s", (made.draft,))
        assert (
            one(
                shared,
                "SELECT count(*) FROM journal_entry_line WHERE journal_entry_id = %s",
                (made.draft,),
            )
            == 0
        )


def test_a_reversal_mirrors_its_entry_once(shared: Connection) -> None:
    made = companies(shared)[0]
    with shared.transaction(force_rollback=True):
        reversal = one(
            shared, "SELECT reverse_journal_entry(%s, '2025-03-01', 'why')", (made.entry,)
        )
        assert shared.execute(
            "SELECT is_posted, entry_date::text, reference_type, reference_id, description,"
            " created_by FROM journal_entry WHERE id = %s",
            (reversal,),
        ).fetchone()[:4] == (True, "2025-03-01", "reversal", made.entry)
        lines = (
            "SELECT account_id, coalesce(debit_amount, 0), coalesce(credit_amount, 0) FROM"
            " journal_entry_line WHERE journal_entry_id = %s ORDER BY line_number"
        )
        assert [(a, c, d) for a, d, c in shared.execute(lines, (made.entry,))] == shared.execute(
            lines, (reversal,)
        ).fetchall()
        with pytest.raises(errors.UniqueViolation), shared.transaction():
            shared.execute("SELECT reverse_journal_entry(%s)", (made.entry,))
        with pytest.raises(errors.CheckViolation, match="is not posted"), shared.transaction():
            shared.execute("SELECT reverse_journal_entry(%s)", (made.draft,))
        with pytest.raises(errors.NoDataFound), shared.transaction():
            shared.execute("SELECT post_journal_entry(gen_random_uuid())")
        with pytest.raises(errors.RestrictViolation), shared.transaction():
            shared.execute("SELECT post_journal_entry(%s)", (made.entry,))


# -- two sessions ----------------------------------------------------------------------------------


def at_once(*tasks: Callable[[], Any]) -> list[Any]:
    """Run tasks at the same time; each result, or the error it ended with."""
    together = threading.Barrier(len(tasks))

    def run(task: Callable[[], Any]) -> Any:
        together.wait()
        try:
            return task()
        except psycopg.Error as error:
            return error

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("first", ["post", "line"])
def test_a_line_cannot_slip_into_an_entry_that_is_being_posted(
    finance: Connection, level: str, first: str
) -> None:
    made = company(finance)
    posting = ("SELECT post_journal_entry(%s)", (made.draft,))
    lining = (
        (
            "INSERT INTO journal_entry_line (journal_entry_id, account_id, debit_amount,"
            " line_number) VALUES (%s, %s, 1, 9)"
        ),
        (made.draft, made.revenue),
    )
    begun, later = (posting, lining) if first == "post" else (lining, posting)
    with another(finance) as a, another(finance) as b, ThreadPoolExecutor(1) as pool:
        for session in (a, b):
            session.execute(f"BEGIN ISOLATION LEVEL {level}")
            one(
                session,
                "SELECT count(*) FROM journal_entry_line WHERE journal_entry_id = %s",
                (made.draft,),
            )
        a.execute(*begun)
        second = pool.submit(b.execute, *later)
        waits(finance, b.info.backend_pid)
        a.execute("COMMIT")
        with pytest.raises(
            (errors.RestrictViolation, errors.CheckViolation, errors.SerializationFailure)
        ):
            second.result(10)
        b.execute("ROLLBACK")
    assert integrity(finance) == {}
    lines = one(
        finance,
        "SELECT count(*) FROM journal_entry_line WHERE journal_entry_id = %s",
        (made.draft,),
    )
    assert (
        one(finance, "SELECT is_posted FROM journal_entry WHERE id = %s", (made.draft,)),
        lines,
    ) == ((True, 2) if first == "post" else (False, 3))


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ"])
@pytest.mark.parametrize("shared_side", ["payment", "invoice"])
def test_two_allocations_never_add_up_to_too_much(
    finance: Connection, level: str, shared_side: str
) -> None:
    """Each of two sessions allocates 60: out of one payment of 100 to two invoices, or of two
    payments to one invoice of 100.
    """
    made = company(finance)
    invoices = [new_invoice(finance, made, 100) for _ in range(2)]
    payments = [new_payment(finance, made, 100) for _ in range(2)]
    pairs = [(payments[0], invoice) for invoice in invoices]
    if shared_side == "invoice":
        pairs = [(payment, invoices[0]) for payment in payments]

    with another(finance) as a, another(finance) as b, ThreadPoolExecutor(1) as pool:
        insert = (
            "INSERT INTO payment_allocation (org_id, payment_id, invoice_id, amount) VALUES (%s,"
            " %s, %s, 60)"
        )
        for session in (a, b):
            session.execute(f"BEGIN ISOLATION LEVEL {level}")
            one(session, "SELECT count(*) FROM payment_allocation")
        a.execute(insert, (made.org, *pairs[0]))
        second = pool.submit(b.execute, insert, (made.org, *pairs[1]))
        waits(finance, b.info.backend_pid)
        a.execute("COMMIT")
        with pytest.raises((errors.CheckViolation, errors.SerializationFailure)):
            second.result(10)
        b.execute("ROLLBACK")
    assert integrity(finance) == {}
    assert (
        one(
            finance,
            "SELECT sum(amount) FROM payment_allocation WHERE payment_id = ANY (%s)",
            (payments,),
        )
        == 60
    )


def test_a_first_line_meets_a_change_of_currency_and_is_tried_again(finance: Connection) -> None:
    made = company(finance)
    invoice = one(
        finance,
        "INSERT INTO invoice (org_id, customer_id, due_date, created_by, currency) VALUES (%s, %s,"
        " CURRENT_DATE, %s, 'EUR') RETURNING id",
        (made.org, made.customer, made.user),
    )
    line = (
        "INSERT INTO invoice_item (invoice_id, description, unit_price) VALUES (%s, 'x', 10.50)"
        " RETURNING line_total"
    )
    with another(finance) as a, another(finance) as b, ThreadPoolExecutor(1) as pool:
        a.execute("BEGIN")
        a.execute("UPDATE invoice SET currency = 'JPY' WHERE id = %s", (invoice,))
        second = pool.submit(b.execute, line, (invoice,))
        waits(finance, b.info.backend_pid)
        a.execute("COMMIT")
        with pytest.raises(
            errors.SerializationFailure,
            match="changed its currency to JPY while a line was written",
        ):
            second.result(10)
        assert one(b, line, (invoice,)) == 11
    assert one(finance, "SELECT total_amount FROM invoice WHERE id = %s", (invoice,)) == 11
    assert integrity(finance) == {}


def new_invoice(connection: Connection, made: Company, amount: int) -> UUID:
    invoice = one(
        connection,
        "INSERT INTO invoice (org_id, customer_id, due_date, created_by) VALUES (%s, %s,"
        " CURRENT_DATE, %s) RETURNING id",
        (made.org, made.customer, made.user),
    )
    connection.execute(
        "INSERT INTO invoice_item (invoice_id, description, unit_price) VALUES (%s, 'x', %s)",
        (invoice, amount),
    )
    return invoice


def new_payment(connection: Connection, made: Company, amount: Any, **columns: Any) -> UUID:
    values = {
        "org_id": made.org,
        "customer_id": made.customer,
        "amount": amount,
        "payment_method": "cash",
        "status": "completed",
    } | columns
    names = ", ".join(values)
    return one(
        connection,
        f"INSERT INTO payment ({names}) VALUES ({', '.join(['%s'] * len(values))}) RETURNING id",
        list(values.values()),
    )


def test_many_sessions_pay_and_bill_one_customer_and_every_sum_holds(finance: Connection) -> None:
    made = company(finance)
    invoice = new_invoice(finance, made, 10)
    sessions = [another(finance) for _ in range(6)]

    def bill(session: Connection) -> None:
        for _ in range(15):
            session.execute(
                "INSERT INTO invoice_item (invoice_id, description, unit_price, tax_rate) VALUES"
                " (%s, 'x', 1.05, 10)",
                (invoice,),
            )

    def pay(session: Connection) -> None:
        for _ in range(15):
            new_payment(session, made, 1, invoice_id=invoice)

    tasks = [
        (lambda session=s, task=bill if n % 2 else pay: task(session))
        for n, s in enumerate(sessions)
    ]
    assert at_once(*tasks) == [None] * 6
    for session in sessions:
        session.close()
    assert integrity(finance) == {}
    subtotal, tax, paid = finance.execute(
        "SELECT subtotal, tax_amount, amount_paid FROM invoice WHERE id = %s", (invoice,)
    ).fetchone()
    assert (subtotal, tax) == (10 + 45 * Decimal("1.05"), 45 * Decimal("0.11"))
    assert paid == min(45, subtotal + tax)
    numbers = finance.execute(
        "SELECT payment_number FROM payment WHERE org_id = %s", (made.org,)
    ).fetchall()
    assert len(set(numbers)) == len(numbers) == 46


# -- invoices and payments -------------------------------------------------------------------------

LINES = [
    ("USD", [("1", "10.00", "0", "0")], ("10.00", "0.00", "10.00")),
    (
        "EUR",
        [("3", "999.99", "10", "19"), ("0.5", "0.33", "0", "7")],
        ("2700.14", "513.00", "3213.14"),
    ),
    ("EUR", [("1", "0.05", "0", "10"), ("1", "0.05", "0", "10")], ("0.10", "0.02", "0.12")),
    ("EUR", [("1", "0.05", "90", "0")], ("0.01", "0.00", "0.01")),
    ("JPY", [("1", "100.50", "0", "10")], ("101", "10", "111")),
    ("JPY", [("0.333", "100", "0", "8"), ("1", "0.49", "0", "8")], ("33", "3", "36")),
    (
        "USD",
        [("0.333", "99999999.99", "33.33", "7.77")],
        ("22201110.00", "1725026.25", "23926136.25"),
    ),
]


@pytest.mark.parametrize(("currency", "lines", "expected"), LINES)
def test_an_invoice_adds_up_its_lines_in_its_currency(
    shared: Connection, currency: str, lines: Any, expected: Any
) -> None:
    made = companies(shared)[0]
    with shared.transaction(force_rollback=True):
        invoice = one(
            shared,
            "INSERT INTO invoice (org_id, customer_id, due_date, created_by, currency, subtotal,"
            " total_amount, amount_paid, status) VALUES (%s, %s, CURRENT_DATE, %s, %s, 7, 7, 7,"
            " 'paid') RETURNING id",
            (made.org, made.customer, made.user, currency),
        )
        for quantity, price, discount, tax in lines:
            shared.execute(
                "INSERT INTO invoice_item (invoice_id, description, quantity, unit_price,"
                " discount_percentage, tax_rate, line_total) VALUES (%s, 'x', %s, %s, %s, %s, 99)",
                (invoice, quantity, price, discount, tax),
            )
        assert shared.execute(
            "SELECT subtotal, tax_amount, total_amount FROM invoice WHERE id = %s", (invoice,)
        ).fetchone() == tuple(map(Decimal, expected))


@pytest.mark.parametrize("currency", ["JPY", "EUR"])
def test_what_was_ordered_is_what_is_invoiced(shared: Connection, currency: str) -> None:
    """Orders (002) and invoices (003) round alike, line by line, whatever the currency's minor
    unit.
    """
    org, user, customer = shared.execute(
        "SELECT p.org_id, p.id, c.id FROM profile AS p JOIN customer AS c USING (org_id) LIMIT 1"
    ).fetchone()
    with shared.transaction(force_rollback=True):
        product = one(
            shared,
            "INSERT INTO product (org_id, name, sku, base_price) VALUES (%s, 'x', 'alike', 1)"
            " RETURNING id",
            (org,),
        )
        order = one(
            shared,
            "INSERT INTO sales_order (org_id, customer_id, currency, created_by) VALUES (%s, %s,"
            " %s, %s) RETURNING id",
            (org, customer, currency, user),
        )
        invoice = one(
            shared,
            "INSERT INTO invoice (org_id, customer_id, sales_order_id, invoice_number, due_date,"
            " created_by) VALUES (%s, %s, %s, 'alike', '2099-01-01', %s) RETURNING id",
            (org, customer, order, user),
        )
        for quantity, price, discount, tax in (
            (1, "1049.50", 0, 10),
            (3, "33.33", "33.33", 19),
            ("0.125", "1.00", 0, 50),
            (1, "0.49", 0, 0),
        ):
            shared.execute(
                "INSERT INTO sales_order_item (order_id, product_id, quantity, unit_price,"
                " discount_percentage, tax_rate) VALUES (%s, %s, %s, %s, %s, %s)",
                (order, product, quantity, price, discount, tax),
            )
            shared.execute(
                "INSERT INTO invoice_item (invoice_id, product_id, description, quantity,"
                " unit_price, discount_percentage, tax_rate) VALUES (%s, %s, 'x', %s, %s, %s, %s)",
                (invoice, product, quantity, price, discount, tax),
            )
        sums = [
            shared.execute(
                f"SELECT currency::text, subtotal, tax_amount, total_amount FROM {table} WHERE id"
                " = %s",
                (key,),
            ).fetchone()
            for table, key in (("sales_order", order), ("invoice", invoice))
        ]
        assert sums[0] == sums[1]
        assert sums[0][0] == currency
        assert (sums[0][3] % 1 == 0) is (currency == "JPY")


@pytest.mark.parametrize(
    ("statement", "status", "paid"),
    [
        ("SELECT", "partially_paid", 40),
        (
            "UPDATE invoice SET status = 'paid', amount_paid = 100 WHERE id = %(invoice)s",
            "partially_paid",
            40,
        ),
        ("UPDATE invoice SET status = 'overdue' WHERE id = %(invoice)s", "overdue", 40),
        ("UPDATE payment SET status = 'refunded' WHERE id = %(payment)s", "draft", 0),
        ("UPDATE payment SET status = 'disputed' WHERE id = %(payment)s", "draft", 0),
        (
            "UPDATE payment_allocation SET amount = 39.99 WHERE payment_id = %(payment)s",
            "partially_paid",
            Decimal("39.99"),
        ),
        ("DELETE FROM payment_allocation WHERE payment_id = %(payment)s", "draft", 0),
        ("TRUNCATE payment_allocation", "draft", 0),
        ("UPDATE invoice_item SET unit_price = 40 WHERE id = %(item)s", "paid", 40),
    ],
)
def test_status_and_sums_follow_what_is_paid(
    shared: Connection, statement: str, status: str, paid: Any
) -> None:
    made = companies(shared)[0]
    with shared.transaction(force_rollback=True):
        shared.execute(statement, made.facts)
        assert shared.execute(
            "SELECT status::text, amount_paid FROM invoice WHERE id = %s", (made.invoice,)
        ).fetchone() == (status, paid)
        assert integrity(shared) == {}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE invoice_item SET unit_price = 39.99 WHERE id = %(item)s",
        "DELETE FROM invoice_item WHERE id = %(item)s",
        "TRUNCATE invoice_item",
        "UPDATE payment SET amount = 39.99 WHERE id = %(payment)s",
        "UPDATE payment SET currency = 'USD' WHERE id = %(payment)s",
        "UPDATE invoice SET currency = 'USD' WHERE id = %(invoice)s",
        "UPDATE invoice SET status = 'cancelled' WHERE id = %(invoice)s",
        "UPDATE payment_allocation SET amount = 40.01 WHERE payment_id = %(payment)s",
        "UPDATE payment_allocation SET amount = 1000 WHERE payment_id = %(payment)s",
    ],
)
def test_what_would_make_sums_wrong_is_refused(shared: Connection, statement: str) -> None:
    made = companies(shared)[0]
    with pytest.raises(errors.CheckViolation):
        shared.execute(statement, made.facts)


def test_payments_and_invoices_that_pay_each_other_stay(shared: Connection) -> None:
    made = companies(shared)[0]
    for table, key in (
        ("payment", made.payment),
        ("invoice", made.invoice),
        ("customer", made.customer),
    ):
        with pytest.raises(errors.ForeignKeyViolation):
            shared.execute(f"DELETE FROM {table} WHERE id = %s", (key,))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"amount": "1.50", "currency": "JPY"}, "finer than the currency's minor unit"),
        ({"amount": "1.00", "currency": "USD", "invoice": True}, "is in USD, invoice .* in EUR"),
        ({"amount": "-1"}, "payment_amount_positive"),
        ({"amount": "NaN"}, "payment_amount_positive"),
    ],
)
def test_a_payment_that_makes_no_sense_is_refused(
    shared: Connection, columns: dict[str, Any], message: str
) -> None:
    made = companies(shared)[0]
    given = dict(columns)
    if given.pop("invoice", False):
        given["invoice_id"] = made.invoice
    with pytest.raises(errors.CheckViolation, match=message):
        new_payment(shared, made, given.pop("amount"), **given)


def test_money_for_a_cancelled_invoice_is_taken_and_stays_unallocated(shared: Connection) -> None:
    made = companies(shared)[0]
    with shared.transaction(force_rollback=True):
        invoice = new_invoice(shared, made, 10)
        shared.execute("UPDATE invoice SET status = 'cancelled' WHERE id = %s", (invoice,))
        paid = new_payment(shared, made, 10, invoice_id=invoice, status="completed")
        assert one(shared, "SELECT amount_allocated FROM payment WHERE id = %s", (paid,)) == 0


def test_a_pending_payment_cannot_be_allocated(shared: Connection) -> None:
    made = companies(shared)[0]
    with shared.transaction(force_rollback=True):
        pending = new_payment(shared, made, 5, status="pending")
        with pytest.raises(errors.CheckViolation, match="only a completed one"):
            shared.execute(
                "INSERT INTO payment_allocation (org_id, payment_id, invoice_id, amount) VALUES"
                " (%s, %s, %s, 5)",
                (made.org, pending, made.invoice),
            )


# -- tax rates, exchange rates, accounts -----------------------------------------------------------

PERIODS = [
    ("standard", "vat", None, "2025-06-01", None, False),
    ("STANDARD", "vat", None, "2025-01-01", "2025-01-01", False),
    (" standard ", "vat", " ", "2025-01-01", "2025-01-01", False),
    ("standard", "vat", None, "2024-01-01", "2025-01-01", False),
    ("standard", "vat", None, "2024-01-01", "2024-12-31", True),
    ("reduced", "vat", None, "2025-06-01", None, True),
    ("standard", "gst", None, "2025-06-01", None, True),
    ("standard", "vat", "DE", "2025-06-01", None, True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "place", "start", "end", "fits"), PERIODS)
def test_periods_of_a_tax_rate_do_not_overlap(
    shared: Connection,
    name: str,
    kind: str,
    place: str | None,
    start: str,
    end: str | None,
    fits: bool,
) -> None:
    """Beside the company's own: standard vat, from 2025-01-01 on."""
    insert = (
        (
            "INSERT INTO tax_rate (org_id, name, tax_type, rate, jurisdiction, effective_from,"
            " effective_to) VALUES (%s, %s, %s, 0.1, %s, %s, %s)"
        ),
        (companies(shared)[0].org, name, kind, place, start, end),
    )
    with shared.transaction(force_rollback=True):
        if fits:
            shared.execute(*insert)
            return
        with pytest.raises(errors.ExclusionViolation), shared.transaction():
            shared.execute(*insert)
        shared.execute("UPDATE tax_rate SET is_active = false WHERE org_id = %s", insert[1][:1])
        shared.execute(*insert)


CONVERSIONS = [
    # amount, from, to, day, expected (None: an error)
    ("100", "EUR", "EUR", "2025-01-01", "100.00"),
    ("0.005", "EUR", "EUR", "2025-01-01", "0.01"),
    ("-0.005", "EUR", "EUR", "2025-01-01", "-0.01"),
    ("100", "EUR", "USD", "2025-01-09", None),
    ("100", "EUR", "USD", "2025-01-10", "110.00"),
    ("100", "EUR", "USD", "2025-01-19", "110.00"),
    ("100", "EUR", "USD", "2025-01-20", "120.00"),
    ("110", "USD", "EUR", "2025-01-10", "100.00"),
    ("100", "USD", "EUR", "2025-01-10", "90.91"),
    ("0.05", "EUR", "USD", "2025-01-10", "0.06"),
    ("-0.05", "EUR", "USD", "2025-01-10", "-0.06"),
    ("1", "EUR", "JPY", "2025-01-10", "161"),
    ("-1", "EUR", "JPY", "2025-01-10", "-161"),
    ("0.003", "EUR", "JPY", "2025-01-10", "0"),
    ("160", "JPY", "EUR", "2025-01-10", "1.00"),
    ("1", "JPY", "USD", "2025-01-10", None),
    ("0.015", "GBP", "CHF", "2025-01-10", "0.01"),
    ("0.0149999999999999999999999999", "GBP", "CHF", "2025-01-10", "0.00"),
    ("1", "EUR", "BRL", "2025-01-10", "6.00"),
    ("1", "BRL", "EUR", "2025-01-10", "0.20"),
]  # fmt: skip


@pytest.mark.parametrize(("amount", "source", "target", "day", "expected"), CONVERSIONS)
def test_amounts_are_converted_and_rounded_as_defined(
    shared: Connection, amount: str, source: str, target: str, day: str, expected: str | None
) -> None:
    with shared.transaction(force_rollback=True):
        shared.execute(
            "INSERT INTO exchange_rate (base_currency, quote_currency, rate, valid_from) VALUES"
            " ('EUR', 'USD', 1.1, '2025-01-10'), ('EUR', 'USD', 1.2, '2025-01-20'), ('EUR', 'JPY',"
            " 160.5, '2025-01-10'), ('CHF', 'GBP', 3, '2025-01-10'), ('EUR', 'BRL', 6,"
            " '2025-01-10'), ('BRL', 'EUR', 0.2, '2025-01-10')"
        )
        ask = "SELECT convert_amount(%s, %s::currency_code, %s::currency_code, %s::date)"
        if expected is None:
            with (
                pytest.raises(
                    errors.NoDataFound, match=f"no exchange rate from {source} to {target}"
                ),
                shared.transaction(),
            ):
                shared.execute(ask, (Decimal(amount), source, target, day))
            return
        assert str(one(shared, ask, (Decimal(amount), source, target, day))) == expected


def test_an_organisations_own_rate_goes_before_the_houses_and_is_nobody_elses(
    shared: Connection,
) -> None:
    own, other = companies(shared)
    with shared.transaction(force_rollback=True):
        shared.execute(
            "INSERT INTO exchange_rate (base_currency, quote_currency, rate, valid_from) VALUES"
            " ('USD', 'GBP', 0.5, '2025-06-01')"
        )
        ask = "SELECT convert_amount(100, 'USD', 'GBP', '2025-07-01', %s)"
        assert (one(shared, ask, (own.org,)), one(shared, ask, (None,))) == (75, 50)
        shared.execute("UPDATE exchange_rate SET rate = 0.9 WHERE org_id = %s", (other.org,))
        with acting(shared, "authenticated", own.user):
            assert (one(shared, ask, (own.org,)), one(shared, ask, (other.org,))) == (75, 50)


@pytest.mark.parametrize("values", [("NaN", "2025-01-01"), ("Infinity", "2025-01-01"), ("1", None)])
def test_what_is_no_amount_and_no_day_is_not_converted(
    shared: Connection, values: tuple[str, str | None]
) -> None:
    with pytest.raises((errors.NumericValueOutOfRange, errors.NullValueNotAllowed)):
        shared.execute(
            "SELECT convert_amount(%s, 'USD', 'GBP', %s::date)", (Decimal(values[0]), values[1])
        )


def test_accounts_make_a_tree_within_their_organisation(finance: Connection) -> None:
    own, other = company(finance), company(finance)
    for parent, error in (
        (own.receivable, errors.CheckViolation),
        (other.receivable, errors.ForeignKeyViolation),
    ):
        with pytest.raises(error):
            finance.execute(
                "UPDATE account SET parent_account_id = %s WHERE id = (SELECT parent_account_id"
                " FROM account WHERE id = %s)",
                (parent, own.receivable),
            )
    with another(finance) as a, another(finance) as b:
        set_parent = "UPDATE account SET parent_account_id = %s WHERE id = %s"
        results = at_once(
            lambda: a.execute(set_parent, (own.revenue, own.receivable)),
            lambda: b.execute(set_parent, (own.receivable, own.revenue)),
        )
        assert (
            sum(
                isinstance(result, (errors.CheckViolation, errors.DeadlockDetected))
                for result in results
            )
            == 1
        )
    assert integrity(finance) == {}


# -- tenants ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [*TABLES, "organization_currency"])
def test_tenants_stay_apart(shared: Connection, table: str) -> None:
    own, _ = companies(shared)
    belongs = {"invoice_id": ("invoice", "id"), "journal_entry_id": ("journal_entry", "id")}.get(
        TABLES.get(table, "org_id")
    )
    column = TABLES.get(table, "org_id")
    tenant = f"(SELECT org_id FROM {belongs[0]} WHERE id = {column})" if belongs else column

    with acting(shared, "authenticated", own.user):
        assert shared.execute(f"SELECT DISTINCT {tenant} FROM {table}").fetchall() == [(own.org,)]
    with acting(shared, "authenticated", None):
        assert one(shared, f"SELECT count(*) FROM {table}") == 0
    with acting(shared, "anon", None), pytest.raises(errors.InsufficientPrivilege):
        shared.execute(f"SELECT FROM {table}")
    with acting(shared, "service_role", None):
        assert one(shared, f"SELECT count(DISTINCT {tenant}) FROM {table}") >= 2


@pytest.mark.parametrize("table", TABLES)
def test_no_row_goes_to_another_tenant(shared: Connection, table: str) -> None:
    own, other = companies(shared)
    column = TABLES[table]
    theirs = {"org_id": other.org, "invoice_id": other.invoice, "journal_entry_id": other.draft}[
        column
    ]
    ours = {"org_id": own.org, "invoice_id": own.invoice, "journal_entry_id": own.draft}[column]
    changes = {"id": str(uuid4())} | ANEW.get(table, {})
    image = (
        f"SELECT (jsonb_populate_record(t, %s::jsonb)).* FROM {table} AS t WHERE {column} = %s"
        " LIMIT 1"
    )
    copy = psycopg.types.json.Json(changes)

    # the application's rightful work
    if table != "payment_allocation":
        with acting(shared, "authenticated", own.user):
            assert shared.execute(f"INSERT INTO {table} {image}", (copy, ours)).rowcount == 1
    with shared.transaction(
        force_rollback=True
    ):  # another tenant's row, seen as the owner, written as the tenant
        shared.execute(f"CREATE TEMP TABLE stolen AS {image}", (copy, theirs))
        shared.execute("GRANT SELECT ON stolen TO authenticated")
        with (
            pytest.raises((errors.InsufficientPrivilege, errors.ForeignKeyViolation)),
            acting(shared, "authenticated", own.user),
        ):
            shared.execute(f"INSERT INTO {table} SELECT * FROM stolen")
    with acting(shared, "authenticated", own.user):
        assert (
            shared.execute(f"UPDATE {table} SET id = id WHERE {column} = %s", (theirs,)).rowcount
            == 0
        )
        assert shared.execute(f"DELETE FROM {table} WHERE {column} = %s", (theirs,)).rowcount == 0
    refusals = (errors.InsufficientPrivilege, errors.ForeignKeyViolation, errors.RestrictViolation)
    with pytest.raises(refusals), acting(shared, "authenticated", own.user):
        shared.execute(f"UPDATE {table} SET {column} = %s WHERE {column} = %s", (theirs, ours))


REFERENCES = [
    ("invoice", "customer_id", "customer"),
    ("payment", "customer_id", "customer"),
    ("payment", "invoice_id", "invoice"),
    ("payment_allocation", "invoice_id", "invoice"),
    ("payment_allocation", "payment_id", "payment"),
    ("account", "parent_account_id", "receivable"),
    ("journal_entry", "created_by", "user"),
    ("journal_entry_line", "account_id", "receivable"),
    ("invoice_item", "product_id", "product"),
]


@pytest.mark.parametrize(("table", "column", "what"), REFERENCES)
def test_no_row_refers_to_another_tenants(
    shared: Connection, table: str, column: str, what: str
) -> None:
    own, other = companies(shared)
    facts = other.facts | {
        "product": one(shared, "SELECT id FROM product WHERE org_id = %s", (other.org,))
    }
    where = {
        "invoice_item": "invoice_id = %(invoice)s",
        "journal_entry_line": "journal_entry_id = %(draft)s",
        "journal_entry": "id = %(draft)s",
    }
    with acting(shared, "service_role", None), pytest.raises(errors.ForeignKeyViolation):
        shared.execute(
            f"UPDATE {table} SET {column} = %(theirs)s WHERE "
            + where.get(table, "org_id = %(org)s"),
            own.facts | {"theirs": facts[what]},
        )


def test_refusals_tell_nothing_of_other_tenants(shared: Connection) -> None:
    own, other = companies(shared)
    order = one(
        shared,
        "SELECT id FROM purchase_order WHERE org_id NOT IN (%s, %s) LIMIT 1",
        (own.org, other.org),
    )
    item = one(shared, "SELECT id FROM inventory_item LIMIT 1")
    allocate = (
        "INSERT INTO payment_allocation (org_id, payment_id, invoice_id, amount) VALUES (%s, %s,"
        " %s, 9999999)"
    )
    attempts = [
        (allocate, (own.org, other.payment, own.invoice)),
        (allocate, (own.org, own.payment, other.invoice)),
        (
            "INSERT INTO purchase_order_item (purchase_order_id, inventory_item_id, quantity,"
            " unit_price, currency)"
            " VALUES (%s, %s, 1, 1, 'CNY')",
            (order, item),
        ),
        (
            "INSERT INTO journal_entry_line (journal_entry_id, account_id, debit_amount,"
            " line_number) VALUES (%s, %s, 1, 9)",
            (other.entry, own.revenue),
        ),
        (
            "INSERT INTO invoice_item (invoice_id, description, unit_price) VALUES (%s, 'x',"
            " 99999999)",
            (other.invoice,),
        ),
    ]
    for statement, parameters in attempts:
        with (
            pytest.raises((errors.ForeignKeyViolation, errors.InsufficientPrivilege)) as refused,
            acting(shared, "authenticated", own.user),
        ):
            shared.execute(statement, parameters)
        assert "Failing row" not in str(refused.value)


def test_functions_do_not_tell_of_other_tenants(shared: Connection) -> None:
    own, other = companies(shared)
    with acting(shared, "authenticated", own.user):
        assert one(shared, "SELECT organization_currency(%s)", (other.org,)) is None
    for call in ("post_journal_entry(%s)", "reverse_journal_entry(%s)"):
        with acting(shared, "authenticated", own.user), pytest.raises(errors.NoDataFound):
            shared.execute(f"SELECT {call}", (other.entry,))
    for call in ("create_default_accounts(%s)", "decide_currency('ZAR', 'USD', %s::text)"):
        with acting(shared, "authenticated", own.user), pytest.raises(errors.InsufficientPrivilege):
            shared.execute(f"SELECT {call}", (other.org,))


def test_a_users_whole_way_works_for_a_plain_user(shared: Connection) -> None:
    own = companies(shared)[0]
    with acting(shared, "authenticated", own.user):
        invoice = new_invoice(shared, own, 20)
        new_payment(shared, own, 20, invoice_id=invoice)
        assert one(shared, "SELECT status::text FROM invoice WHERE id = %s", (invoice,)) == "paid"
        shared.execute("SELECT post_journal_entry(%s)", (own.draft,))
        shared.execute("SELECT reverse_journal_entry(%s)", (own.draft,))
        made = replace(
            own,
            draft=one(
                shared,
                "INSERT INTO journal_entry (org_id, description) VALUES (%s, 'x') RETURNING id",
                (own.org,),
            ),
        )
        add_line(shared, made, 1, 0, 1)
        shared.execute("DELETE FROM journal_entry WHERE id = %s", (made.draft,))


def test_secrets_of_the_payment_provider_stay_out_of_the_audit(finance: Connection) -> None:
    made = company(finance)
    new_payment(finance, made, 5, gateway_response='{"card": "4111 1111 1111 1111"}')
    assert (
        one(
            finance,
            "SELECT count(*) FROM audit_log WHERE table_name = 'payment' AND new_data::text LIKE"
            " '%%4111%%'",
        )
        == 0
    )
    assert (
        one(
            finance,
            "SELECT count(*) FROM audit_log WHERE table_name = 'payment' AND new_data::text LIKE"
            " '%%redacted%%'",
        )
        == 1
    )
