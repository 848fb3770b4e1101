"""Migration 002 on real servers: up, down, validated and broken; totals, numbers and conversions
under two sessions; tenants.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
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
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.lint import lint
from mantis_runbook.postgres import catalog, commands
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target

FOLDER = settings.sql() / "migrations"
SQL_TESTS = settings.sql() / "tests"
CORE = FOLDER / "001_core_enhancements.sql"
UP, ROLLBACK, VALIDATE = (
    FOLDER / f"002_crm_sales_modules{role}.sql" for role in ("", "_rollback", "_validate")
)
UNIT, INTEGRATION = (
    SQL_TESTS / "unit_002_crm_sales.sql",
    SQL_TESTS / "integration_002_crm_workflow.sql",
)
INTEGRITY = SQL_TESTS / "data_integrity_002_crm.sql"

#: Each table, and by which column it belongs to its organisation.
TABLES = {
    "customer_contact": "customer_id",
    "lead": "org_id",
    "opportunity": "org_id",
    "crm_activity": "org_id",
    "product": "org_id",
    "price_list": "org_id",
    "product_price": "product_id",
    "sales_quote": "org_id",
    "sales_quote_item": "quote_id",
    "sales_order": "org_id",
    "sales_order_item": "order_id",
    "supplier_performance": "supplier_id",
    "quality_control": "org_id",
}

#: What a copy of a row must have anew, so that nothing but the tenant stands in its way.
ANEW = {
    "customer_contact": {"is_primary": False},
    "product": {"sku": "copy"},
    "price_list": {"is_default": False},
    "product_price": {"minimum_quantity": 99},
    "sales_quote": {"quote_number": "copy"},
    "sales_order": {"order_number": "copy", "quote_id": None},
}


def carry_out(connection: Connection, path: Path) -> None:
    """Each step in a transaction, as the engine does it."""
    for step in migration_files.read_script(path).steps:
        with connection.transaction():
            for statement in step.statements:
                connection.execute(statement.text)


def found(connection: Connection, path: Path = VALIDATE) -> str:
    return "; ".join(
        f"{one.name}: {one.found}" for one in validations.validate_file(connection, path).failed
    )


def one(connection: Connection, statement: str, parameters: Any = None) -> Any:
    return connection.execute(statement, parameters).fetchone()[0]


def another(connection: Connection) -> Connection:
    """A second session of an application, which waits as long as it must."""
    return psycopg.connect(connection.info.dsn, autocommit=True)


def integrity(connection: Connection) -> dict[str, int]:
    """The failures that data_integrity_002_crm.sql counts."""
    return {case: count for case, count in connection.execute(INTEGRITY.read_text()) if count}


@pytest.fixture(scope="session")
def crm_template(server: Server, baseline_template: str) -> Iterator[str]:
    """The name of a baseline database with 001 and 002 applied."""
    with fresh_database(server, baseline_template) as parameters:
        with psycopg.connect(**parameters, autocommit=True) as connection:
            carry_out(prepared(connection), CORE)
            carry_out(connection, UP)
        yield parameters["dbname"]


@pytest.fixture
def crm(server: Server, crm_template: str) -> Iterator[Connection]:
    with (
        fresh_database(server, crm_template) as parameters,
        psycopg.connect(**parameters, autocommit=True) as connection,
    ):
        yield prepared(connection)


@pytest.fixture(scope="session")
def shared(server: Server, crm_template: str) -> Iterator[Connection]:
    """For tests that leave nothing: two companies with a row in every table."""
    with (
        fresh_database(server, crm_template) as parameters,
        psycopg.connect(**parameters, autocommit=True) as connection,
    ):
        prepared(connection)
        companies(connection)
        yield connection


@contextmanager
def acting(connection: Connection, role: str, user: UUID | None) -> Iterator[None]:
    """Inside, the connection is that role on behalf of that user; nothing it does stays."""
    with connection.transaction(force_rollback=True):
        become(connection, role, user, local=True)
        yield


def become(connection: Connection, role: str, user: UUID | None, *, local: bool = False) -> None:
    settings_of_user = {
        "row_security": "on",
        "request.jwt.claim.sub": str(user or ""),
        "app.current_user_id": str(user or ""),
        "role": role,
    }
    for name, value in settings_of_user.items():
        connection.execute("SELECT set_config(%s, %s, %s)", (name, value, local))


@dataclass(frozen=True)
class Company:
    """An organisation, one of its users, and the id of its row in each table."""

    org: UUID
    user: UUID
    rows: dict[str, UUID]


def company(connection: Connection, place: int) -> Company:
    """The organisation at that place, those with the most customers first; a row in every new table
    is made for it.
    """
    org = one(
        connection,
        "SELECT org_id FROM customer WHERE org_id IN (SELECT org_id FROM profile)"
        " AND org_id IN (SELECT org_id FROM purchase_order)"
        " GROUP BY 1 ORDER BY count(*) DESC, 1 OFFSET %s LIMIT 1",
        (place,),
    )
    user = one(connection, "SELECT id FROM profile WHERE org_id = %s ORDER BY id LIMIT 1", (org,))
    rows: dict[str, UUID] = {}
    for table in ("customer", "supplier", "inventory_item", "purchase_order"):
        rows[table] = one(
            connection, f"SELECT id FROM {table} WHERE org_id = %s ORDER BY id LIMIT 1", (org,)
        )

    def make(table: str, **values: Any) -> None:
        columns = ", ".join(values)
        places = ", ".join(f"%({name})s" for name in values)
        rows[table] = one(
            connection, f"INSERT INTO {table} ({columns}) VALUES ({places}) RETURNING id", values
        )

    person = {"first_name": "Ada", "last_name": "Byron"}
    make("customer_contact", customer_id=rows["customer"], **person, is_primary=True)
    make("lead", org_id=org, **person, assigned_to=user, estimated_value=100)
    make(
        "opportunity",
        org_id=org,
        customer_id=rows["customer"],
        lead_id=rows["lead"],
        name="O",
        amount=1,
    )
    make(
        "crm_activity", org_id=org, type="call", subject="A", lead_id=rows["lead"], created_by=user
    )
    make(
        "product",
        org_id=org,
        inventory_item_id=rows["inventory_item"],
        name="P",
        sku="P-1",
        base_price=10,
    )
    make("price_list", org_id=org, name="L", is_default=True)
    make(
        "product_price", product_id=rows["product"], price_list_id=rows["price_list"], unit_price=9
    )
    order = {"org_id": org, "customer_id": rows["customer"], "created_by": user}
    make("sales_quote", **order, opportunity_id=rows["opportunity"], title="Q")
    line = {"product_id": rows["product"], "quantity": 2, "unit_price": 10, "tax_rate": 19}
    make("sales_quote_item", quote_id=rows["sales_quote"], **line)
    make("sales_order", **order)
    make("sales_order_item", order_id=rows["sales_order"], **line)
    period = {"evaluation_period_start": "2025-01-01", "evaluation_period_end": "2025-03-31"}
    make("supplier_performance", supplier_id=rows["supplier"], **period, evaluator_id=user)
    make(
        "quality_control", org_id=org, purchase_order_id=rows["purchase_order"],
        inventory_item_id=rows["inventory_item"], inspector_id=user,
    )  # fmt: skip
    return Company(org, user, rows)


def companies(connection: Connection) -> tuple[Company, Company]:
    """Two of them, made once for each database."""
    known = _companies.get(connection.info.dbname)
    if known is None:
        known = _companies[connection.info.dbname] = (
            company(connection, 0),
            company(connection, 1),
        )
    return known


_companies: dict[str, tuple[Company, Company]] = {}


# -- up and down -----------------------------------------------------------------------------------


def test_nothing_in_it_blocks_readers_or_writers(tmp_path: Path) -> None:
    for path in FOLDER.glob("00[12]_*.sql"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    migration = migration_files.find(migration_files.load(tmp_path), "002")
    assert (migration.phase, migration.requires) == ("2", ("001",))
    assert lint.lint(migration) == ()


def test_the_rollback_leaves_the_catalogue_as_it_was_with_rows_in_every_table(
    baseline: Connection,
) -> None:
    carry_out(prepared(baseline), CORE)
    before, customers = catalog.snapshot(baseline), one(baseline, "SELECT count(*) FROM customer")
    carry_out(baseline, UP)
    assert found(baseline) == ""
    companies(baseline)
    assert {
        name: one(baseline, f"SELECT count(*) FROM {name}") for name in TABLES
    } == dict.fromkeys(TABLES, 2)
    carry_out(baseline, ROLLBACK)
    assert catalog.diff(before, catalog.snapshot(baseline)).exactly_equal
    assert one(baseline, "SELECT count(*) FROM customer") == customers
    carry_out(baseline, UP)
    assert found(baseline) == ""


@pytest.mark.parametrize("auth", ["supabase", "extended"])
@pytest.mark.parametrize("force_rls", [False, True], ids=["plain", "forced"])
def test_both_installations_can_go_up_and_down(
    empty_database: Target, auth: str, force_rls: bool
) -> None:
    sandbox.load_baseline(
        empty_database.parameters, scale=0.01, seed=1, auth=auth, force_rls=force_rls
    )
    with psycopg.connect(**empty_database.parameters, autocommit=True) as connection:
        carry_out(prepared(connection), CORE)
        before = catalog.snapshot(connection)
        carry_out(connection, UP)
        assert [found(connection, path) for path in (VALIDATE, UNIT, INTEGRATION)] == ["", "", ""]
        carry_out(connection, ROLLBACK)
        assert catalog.diff(before, catalog.snapshot(connection)).exactly_equal


def test_default_privileges_do_not_open_the_new_tables(baseline: Connection) -> None:
    """Supabase grants everything in public to everybody by default."""
    for kind in ("TABLES", "FUNCTIONS"):
        baseline.execute(
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON {kind} TO anon, authenticated,"
            " service_role"
        )
    carry_out(prepared(baseline), CORE)
    carry_out(baseline, UP)
    assert "rights too narrow or too wide" not in found(baseline)
    assert found(baseline) == ""


def test_the_rollback_stops_at_what_a_later_migration_built_on_it(crm: Connection) -> None:
    crm.execute("CREATE TABLE later (sales_order_id uuid REFERENCES sales_order)")
    with pytest.raises(errors.DependentObjectsStillExist, match="sales_order"):
        carry_out(crm, ROLLBACK)


def test_a_database_without_users_passes_too(empty_database: Target) -> None:
    sandbox.load_baseline(empty_database.parameters, scale=0.01, seed=1)
    with psycopg.connect(**empty_database.parameters, autocommit=True) as connection:
        connection.execute("TRUNCATE auth.users, organization CASCADE")
        carry_out(prepared(connection), CORE)
        carry_out(connection, UP)
        assert [found(connection, path) for path in (VALIDATE, UNIT, INTEGRATION)] == ["", "", ""]


# -- validation ------------------------------------------------------------------------------------

CONTACT_RULE = "EXISTS (SELECT FROM customer WHERE id = customer_id)"
BREAKS = [
    ("ALTER TABLE lead DROP COLUMN score CASCADE", "columns missing or different: lead.score"),
    (
        "ALTER TABLE sales_order ALTER COLUMN total_amount TYPE numeric(14,2)",
        "sales_order.total_amount",
    ),
    (
        "ALTER TABLE product ALTER COLUMN sku DROP NOT NULL",
        "columns missing or different: product.sku",
    ),
    (
        "ALTER TABLE sales_order ALTER COLUMN status SET DEFAULT 'pending'",
        "columns missing or different: sales_order.status",
    ),
    ("ALTER TABLE customer_contact DROP CONSTRAINT contact_email_format", "contact_email_format"),
    (
        "ALTER TABLE sales_order DROP CONSTRAINT sales_order_total_adds_up,"
        " ADD CONSTRAINT sales_order_total_adds_up CHECK (total_amount >= 0)",
        "constraints missing, different or not validated: sales_order_total_adds_up",
    ),
    (
        "ALTER TABLE lead DROP CONSTRAINT lead_org_id_fkey, ADD CONSTRAINT lead_org_id_fkey"
        " FOREIGN KEY (org_id)"
        " REFERENCES organization ON DELETE CASCADE NOT VALID",
        "constraints missing, different or not validated: lead_org_id_fkey",
    ),
    (
        "ALTER TABLE sales_order DROP CONSTRAINT sales_order_customer_id_fkey, ADD"
        " CONSTRAINT sales_order_customer_id_fkey"
        " FOREIGN KEY (customer_id) REFERENCES customer ON DELETE CASCADE",
        "sales_order_customer_id_fkey",
    ),
    (
        "ALTER TABLE sales_order DROP CONSTRAINT sales_order_one_per_quote",
        "sales_order_one_per_quote",
    ),
    ("DROP INDEX idx_crm_activity_lead", "every foreign key of the new tables is indexed"),
    (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_lead_org_email'::regclass",
        "idx_lead_org_email",
    ),
    (
        "DROP INDEX idx_customer_contact_primary;"
        " CREATE INDEX idx_customer_contact_primary ON customer_contact (customer_id,"
        " is_primary) WHERE is_primary",
        "of another shape: idx_customer_contact_primary",
    ),
    (
        "ALTER TABLE product_price DISABLE ROW LEVEL SECURITY",
        "row-level security is off: product_price",
    ),
    ("DROP POLICY tenant_isolation ON lead", "policy tenant_isolation missing or different: lead"),
    (
        "ALTER POLICY tenant_isolation ON sales_order WITH CHECK (true)",
        "missing or different: sales_order",
    ),
    (
        f"ALTER POLICY tenant_isolation ON customer_contact USING ({CONTACT_RULE})",
        "different: customer_contact",
    ),
    ("ALTER POLICY tenant_isolation ON product TO PUBLIC", "missing or different: product"),
    ("CREATE POLICY open ON sales_quote USING (true)", "open on sales_quote"),
    ("GRANT SELECT ON lead TO anon", "anon may SELECT lead"),
    ("GRANT TRUNCATE ON sales_order TO authenticated", "authenticated may TRUNCATE sales_order"),
    (
        "GRANT DELETE ON document_number TO authenticated",
        "authenticated may DELETE document_number",
    ),
    ("REVOKE UPDATE ON product FROM authenticated", "authenticated may not UPDATE product"),
    ("DROP TRIGGER keep_sales_totals ON sales_order", "keep_sales_totals on sales_order"),
    (
        "ALTER TABLE sales_order_item DISABLE TRIGGER carry_totals_of_deleted",
        "carry_totals_of_deleted on sales_order_item",
    ),
    ("DROP TRIGGER stay_in_organization ON customer", "stay_in_organization on customer"),
    (
        "DROP TRIGGER same_organization ON sales_order; CREATE CONSTRAINT"
        " TRIGGER same_organization AFTER INSERT OR UPDATE"
        " ON sales_order FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization('org_id',"
        " 'customer_id customer')",
        "same_organization on sales_order",
    ),
    (
        "ALTER FUNCTION convert_lead SECURITY DEFINER",
        "functions missing or different: convert_lead",
    ),
    (
        "ALTER FUNCTION keep_sales_totals() RESET search_path",
        "functions missing or different: keep_sales_totals()",
    ),
    (
        "GRANT EXECUTE ON FUNCTION accept_quote TO anon",
        "functions missing or different: accept_quote",
    ),
    ("REVOKE EXECUTE ON FUNCTION next_document_number FROM authenticated", "next_document_number"),
    (
        "COMMENT ON COLUMN lead.email IS 'the address'",
        "not commented as personal data or money: lead.email",
    ),
    ("COMMENT ON COLUMN sales_order.total_amount IS NULL", "sales_order.total_amount"),
    ("COMMENT ON TABLE product IS NULL", "tables without a comment: product"),
    (
        "ALTER TABLE sales_quote DISABLE TRIGGER keep_sales_totals;"
        " UPDATE sales_quote SET subtotal = subtotal + 1, total_amount = total_amount + 1;"
        " ALTER TABLE sales_quote ENABLE TRIGGER keep_sales_totals",
        "headers are the sums of their lines: 2 row(s): name sales_quote",
    ),
    (
        "ALTER TABLE sales_order DISABLE TRIGGER same_organization; UPDATE sales_order"
        " SET customer_id ="
        " (SELECT id FROM customer WHERE customer.org_id <> sales_order.org_id LIMIT 1)"
        " WHERE id = (SELECT id FROM sales_order LIMIT 1); SET CONSTRAINTS ALL IMMEDIATE;"
        " ALTER TABLE sales_order ENABLE TRIGGER same_organization",
        "reference sales_order.customer_id",
    ),
    (
        "CREATE OR REPLACE FUNCTION convert_lead(lead_id uuid, opportunity_name text DEFAULT"
        " NULL, opportunity_amount numeric"
        " DEFAULT NULL, opportunity_currency currency_code DEFAULT NULL, OUT customer_id uuid,"
        " OUT contact_id uuid,"
        " OUT opportunity_id uuid) LANGUAGE sql SET search_path = public, pg_temp AS"
        " 'SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid()'",
        "convert_lead() made another opportunity than the lead promised",
    ),
    (
        "CREATE OR REPLACE FUNCTION next_document_number(org_id uuid, kind text) RETURNS text"
        " LANGUAGE sql"
        " SET search_path = public, pg_temp AS $$ SELECT 'SO-1' $$",
        "next_document_number() draws SO-1, SO-1, SO-1",
    ),
    (
        "ALTER TABLE sales_quote_item DROP CONSTRAINT"
        " sales_quote_item_line_total_is_quantity_times_price;"
        " CREATE OR REPLACE FUNCTION keep_line_total() RETURNS trigger LANGUAGE plpgsql"
        " SET search_path = public, pg_temp AS"
        " $$ BEGIN NEW.line_total := trunc(NEW.quantity * NEW.unit_price, 2); RETURN NEW; END $$",
        "the totals of a quote are wrong",
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
    broken: set[str] = set()
    for statement, _ in BREAKS:
        with shared.transaction(force_rollback=True):
            shared.execute(statement)
            broken |= {one.name for one in validations.validate_file(shared, VALIDATE).failed}
    assert broken == {step.name for step in migration_files.read_script(VALIDATE).steps}
    assert found(shared) == ""


@pytest.mark.parametrize("path", [UNIT, INTEGRATION], ids=lambda path: path.stem)
def test_the_sql_tests_pass_and_leave_nothing_even_without_a_runner(
    crm: Connection, path: Path
) -> None:
    tables = (
        *TABLES,
        "document_number",
        "customer",
        "organization",
        "profile",
        "auth.users",
        "audit_log",
    )
    before = {table: one(crm, f"SELECT count(*) FROM {table}") for table in tables}
    assert found(crm, path) == ""
    with another(crm) as plain:
        plain.execute((settings.sql() / "tenants" / "acting.sql").read_text())
        plain.execute(path.read_text())
    assert {table: one(crm, f"SELECT count(*) FROM {table}") for table in tables} == before


@pytest.mark.parametrize(
    ("path", "statement", "message"),
    [
        (UNIT, "DROP TABLE quality_control", "the 13 tables of phase 2 should exist"),
        (
            UNIT,
            "ALTER TABLE lead DROP CONSTRAINT lead_score_is_a_percentage",
            "lead_score_is_a_percentage should refuse",
        ),
        (
            UNIT,
            "ALTER TABLE sales_order DISABLE TRIGGER keep_sales_totals",
            "an order without lines should be worth nothing",
        ),
        (
            UNIT,
            "ALTER TABLE sales_order_item DISABLE TRIGGER carry_totals_of_updated",
            "a line that moves",
        ),
        (
            UNIT,
            "ALTER TABLE opportunity DISABLE TRIGGER fill_currency",
            "should give BRL, and gave ",
        ),
        (UNIT, "ALTER TABLE opportunity DISABLE TRIGGER same_organization", "accepted"),
        (
            UNIT,
            "ALTER TABLE opportunity DISABLE TRIGGER stay_in_organization",
            "moved to another organisation",
        ),
        (
            UNIT,
            "ALTER TABLE customer DISABLE TRIGGER stay_in_organization",
            "a customer moved away",
        ),
        (
            INTEGRATION,
            "ALTER TABLE lead DISABLE TRIGGER record_audit",
            "the audit trail should tell",
        ),
        (
            INTEGRATION,
            "ALTER TABLE sales_quote_item DISABLE TRIGGER carry_totals_of_inserted",
            "the quote should add up",
        ),
        (
            INTEGRATION,
            "ALTER TABLE organization DISABLE ROW LEVEL SECURITY",
            "a user should see one organisation",
        ),
        (
            INTEGRATION,
            "ALTER TABLE sales_quote_item ALTER CONSTRAINT sales_quote_item_product_id_fkey NOT"
            " DEFERRABLE",
            "sales_quote_item_product_id_fkey",
        ),
    ],
)
def test_the_sql_tests_can_fail(
    shared: Connection, path: Path, statement: str, message: str
) -> None:
    with shared.transaction(force_rollback=True):
        shared.execute(statement)
        assert message in found(shared, path)


def test_the_data_integrity_tests_are_the_strategys_and_more_and_count_zero(
    shared: Connection,
) -> None:
    cases = [case for case, _ in shared.execute(INTEGRITY.read_text())]
    assert cases[:2] == ["customers_without_org", "orphaned_customer_contacts"]
    assert set(cases) == set(FLAWS)
    assert integrity(shared) == {}


COPY = (
    "INSERT INTO {0} SELECT (jsonb_populate_record({0}, jsonb_build_object('id', gen_random_uuid())"
    " || {1})).* FROM {0} WHERE id = %({0})s"
)
FLAWS = {
    "customers_without_org": (
        "UPDATE customer SET org_id = gen_random_uuid() WHERE id = %(customer)s"
    ),
    "orphaned_customer_contacts": "DELETE FROM customer WHERE id = %(customer)s",
    "customers_with_two_primary_contacts": "DROP INDEX idx_customer_contact_primary; "
    + COPY.format("customer_contact", "'{}'"),
    "organizations_with_two_default_price_lists": "DROP INDEX idx_price_list_default; "
    + COPY.format("price_list", "'{}'"),
    "products_with_one_sku": (
        "ALTER TABLE product DROP CONSTRAINT product_sku_is_unique_in_organization; "
        + COPY.format("product", "'{}'")
    ),
    "orders_with_one_number": (
        "ALTER TABLE sales_order DROP CONSTRAINT sales_order_number_is_unique_in_organization; "
        + COPY.format("sales_order", "'{}'")
    ),
    "quotes_with_one_number": (
        "ALTER TABLE sales_quote DROP CONSTRAINT sales_quote_number_is_unique_in_organization; "
        + COPY.format("sales_quote", "'{}'")
    ),
    "converted_leads_that_are_still_open": (
        "UPDATE lead SET converted_at = now() WHERE id = %(lead)s"
    ),
    "leads_with_a_customer_and_no_time": (
        "ALTER TABLE lead DROP CONSTRAINT lead_conversion_has_a_time; "
        "UPDATE lead SET converted_to_customer_id = %(customer)s WHERE id = %(lead)s"
    ),
    "quotes_with_two_orders": "ALTER TABLE sales_order DROP CONSTRAINT sales_order_one_per_quote; "
    "UPDATE sales_order SET quote_id = %(sales_quote)s",
    "quotes_converted_to_an_order_of_another_quote": (
        "UPDATE sales_quote SET converted_to_order_id = %(sales_order)s WHERE id = %(sales_quote)s"
    ),
    "lines_of_quotes_with_a_wrong_total": "ALTER TABLE sales_quote_item DROP CONSTRAINT"
    " sales_quote_item_line_total_is_quantity_times_price; UPDATE sales_quote_item"
    " SET line_total = line_total + 0.01",
    "lines_of_orders_with_a_wrong_total": "ALTER TABLE sales_order_item DROP CONSTRAINT"
    " sales_order_item_line_total_is_quantity_times_price; UPDATE sales_order_item"
    " SET line_total = NULL",
    "quotes_that_are_not_the_sum_of_their_lines": (
        "DELETE FROM sales_quote_item WHERE id = %(sales_quote_item)s"
    ),
    "orders_that_are_not_the_sum_of_their_lines": (
        "UPDATE sales_order SET subtotal = 1, tax_amount = 0, total_amount = 1"
        " WHERE id = %(sales_order)s"
    ),
    "amounts_without_a_currency": (
        "UPDATE sales_order SET currency = NULL WHERE id = %(sales_order)s"
    ),
    "references_to_another_organization": "UPDATE product SET sku = 'moved', org_id ="
    " (SELECT id FROM organization WHERE id <> %(org)s LIMIT 1) WHERE id = %(product)s",
    "numbers_behind_their_documents": "UPDATE sales_order SET order_number = 'SO-' || extract(year"
    " FROM current_date) || '-000002'"
    " WHERE id = %(sales_order)s",
}


@pytest.mark.parametrize("case", FLAWS)
def test_the_data_integrity_tests_can_fail(shared: Connection, case: str) -> None:
    own, _ = companies(shared)
    with shared.transaction(force_rollback=True):
        shared.execute("SET LOCAL session_replication_role = replica")
        for part in FLAWS[case].split("; "):
            shared.execute(part, {"org": own.org, **own.rows})
        assert integrity(shared).get(case, 0) > 0


# -- totals ----------------------------------------------------------------------------------------

ITEM = (
    "INSERT INTO sales_order_item (order_id, product_id, quantity, unit_price) VALUES (%s, %s, %s,"
    " %s) RETURNING id"
)
SUMS = (
    "SELECT subtotal, (SELECT coalesce(sum(line_total), 0) FROM sales_order_item WHERE order_id ="
    " sales_order.id) FROM sales_order WHERE id = %s"
)


@contextmanager
def meanwhile(work: Callable[[], Any]) -> Iterator[list[Any]]:
    """Start `work`, which will have to wait; its result, or its error, is in the list when the
    block is left.
    """
    said: list[Any] = []

    def run() -> None:
        try:
            said.append(work())
        except psycopg.Error as error:
            said.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield said
    thread.join(timeout=20)
    assert not thread.is_alive()


def wait_until_blocked(watch: Connection, waiting: Connection) -> None:
    deadline = time.monotonic() + 10
    while not one(
        watch, "SELECT cardinality(pg_blocking_pids(%s)) > 0", (waiting.info.backend_pid,)
    ):
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ITEM.replace(" RETURNING id", ""), ITEM.replace(" RETURNING id", "")),
        (
            "UPDATE sales_order_item SET quantity = 7 WHERE order_id = %s",
            ITEM.replace(" RETURNING id", ""),
        ),
        ("DELETE FROM sales_order_item WHERE order_id = %s", ITEM.replace(" RETURNING id", "")),
        (
            ITEM.replace(" RETURNING id", ""),
            "UPDATE sales_order SET shipping_amount = 5, subtotal = 1 WHERE id = %s",
        ),
    ],
    ids=["two inserts", "update and insert", "delete and insert", "insert and header"],
)
def test_two_sessions_that_change_one_order_wait_and_the_total_is_right(
    crm: Connection, first: str, second: str
) -> None:
    own, _ = companies(crm)
    values = (own.rows["sales_order"], own.rows["product"], 3, Decimal("4.99"))
    with another(crm) as ann, another(crm) as eve:
        with ann.transaction():
            ann.execute(first, values[: first.count("%s")])
            with meanwhile(
                lambda: eve.execute(second, values[: second.count("%s")]).rowcount
            ) as said:
                wait_until_blocked(crm, eve)
                ann.execute("COMMIT")
                ann.execute("BEGIN")
        assert said == [1]
    subtotal, lines = crm.execute(SUMS, (own.rows["sales_order"],)).fetchone()
    assert subtotal == lines > 0
    assert integrity(crm) == {}


def test_totals_stay_right_under_four_sessions_that_change_two_orders_at_random(
    crm: Connection,
) -> None:
    own, _ = companies(crm)
    orders = [
        own.rows["sales_order"],
        one(
            crm,
            "INSERT INTO sales_order (org_id, customer_id, created_by, discount_amount) VALUES (%s,"
            " %s, %s, 1) RETURNING id",
            (own.org, own.rows["customer"], own.user),
        ),
    ]

    def work(number: int) -> None:
        with another(crm) as session:
            become(session, "authenticated", own.user)
            for turn in range(15):
                order, other = orders if (number + turn) % 2 else orders[::-1]
                item = one(session, ITEM, (order, own.rows["product"], turn + 1, "0.99"))
                if turn % 3 == 0:
                    # Both headers in one statement, in whatever order the rows come
                    session.execute(
                        "UPDATE sales_order_item SET quantity = quantity + 1 WHERE id IN (SELECT id"
                        " FROM sales_order_item WHERE order_id = ANY (%s) AND id = %s)",
                        (orders, item),
                    )
                elif turn % 3 == 1:
                    session.execute(
                        "UPDATE sales_order_item SET order_id = %s WHERE id = %s", (other, item)
                    )
                else:
                    session.execute("DELETE FROM sales_order_item WHERE id = %s", (item,))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    for order in orders:
        subtotal, lines = crm.execute(SUMS, (order,)).fetchone()
        assert subtotal == lines > 0
    assert integrity(crm) == {}


@pytest.mark.parametrize("kind", ["quote", "order"])
def test_a_first_line_meets_a_change_of_currency_and_is_tried_again(
    crm: Connection, kind: str
) -> None:
    own, _ = companies(crm)
    header, items, link = f"sales_{kind}", f"sales_{kind}_item", f"{kind}_id"
    columns = "org_id, customer_id, created_by" + (", title" if kind == "quote" else "")
    made = one(
        crm,
        f"INSERT INTO {header} ({columns}, currency) SELECT {columns}, 'EUR' FROM {header} WHERE id"
        " = %s RETURNING id",
        (own.rows[header],),
    )
    line = (
        f"INSERT INTO {items} ({link}, product_id, quantity, unit_price) VALUES (%s, %s, 1, 10.50)"
        " RETURNING line_total"
    )
    with another(crm) as a, another(crm) as b, ThreadPoolExecutor(1) as pool:
        a.execute("BEGIN")
        a.execute(f"UPDATE {header} SET currency = 'JPY' WHERE id = %s", (made,))
        second = pool.submit(one, b, line, (made, own.rows["product"]))
        waits(crm, b.info.backend_pid)
        a.execute("COMMIT")
        with pytest.raises(
            errors.SerializationFailure,
            match="changed its currency to JPY while a line was written",
        ):
            second.result(10)
        assert one(b, line, (made, own.rows["product"])) == 11
    assert one(crm, f"SELECT total_amount FROM {header} WHERE id = %s", (made,)) == 11
    assert integrity(crm) == {}


@pytest.mark.parametrize(
    ("quantity", "price", "discount", "tax", "line", "total"),
    [
        ("1", "0.01", "50", "0", "0.01", "0.01"),  # half a cent, away from zero
        ("0.125", "1.00", "0", "50", "0.13", "0.20"),  # tax of 6.5 cents
        ("3", "33.33", "33.33", "19", "66.66", "79.33"),
        ("9999999.999", "999.99", "0.01", "0", "9998900009.00", "9998900009.00"),
        ("1", "100", "100", "19", "0.00", "0.00"),
        ("2", "10", None, None, "20.00", "20.00"),
    ],
)
def test_a_line_is_rounded_half_away_from_zero_and_tax_on_each_line(
    shared: Connection,
    quantity: str,
    price: str,
    discount: str | None,
    tax: str | None,
    line: str,
    total: str,
) -> None:
    own, _ = companies(shared)
    with shared.transaction(force_rollback=True):
        order = own.rows["sales_order"]
        shared.execute("DELETE FROM sales_order_item WHERE order_id = %s", (order,))
        found_line = one(
            shared,
            "INSERT INTO sales_order_item (order_id, product_id, quantity, unit_price,"
            " discount_percentage, tax_rate, line_total) VALUES (%s, %s, %s, %s, %s, %s, 123)"
            " RETURNING line_total",
            (order, own.rows["product"], quantity, price, discount, tax),
        )
        assert found_line == Decimal(line)
        assert one(
            shared, "SELECT total_amount FROM sales_order WHERE id = %s", (order,)
        ) == Decimal(total)


@pytest.mark.parametrize("kind", ["quote", "order"])
def test_in_a_currency_without_a_minor_unit_amounts_are_whole_as_on_its_invoice(
    shared: Connection, kind: str
) -> None:
    own, _ = companies(shared)
    header, items, link = f"sales_{kind}", f"sales_{kind}_item", f"{kind}_id"
    with shared.transaction(force_rollback=True):
        columns = "org_id, customer_id, created_by" + (", title" if kind == "quote" else "")
        made = one(
            shared,
            f"INSERT INTO {header} ({columns}, currency) SELECT {columns}, 'JPY' FROM {header}"
            " WHERE id = %s RETURNING id",
            (own.rows[header],),
        )
        insert = (
            f"INSERT INTO {items} ({link}, product_id, quantity, unit_price, discount_percentage,"
            " tax_rate) VALUES (%s, %s, %s, %s, %s, %s) RETURNING line_total"
        )
        for values, line in (
            (("1", "1049.50", 0, 10), "1050"),
            (("3", "33.33", "33.33", 19), "67"),
            (("1", "0.49", 0, 0), "0"),
        ):
            assert one(shared, insert, (made, own.rows["product"], *values)) == Decimal(line)
        sums = f"SELECT subtotal, tax_amount, total_amount FROM {header} WHERE id = %s"
        assert shared.execute(sums, (made,)).fetchone() == (
            Decimal(1117),
            Decimal(118),
            Decimal(1235),
        )
        with pytest.raises(errors.CheckViolation, match="has lines in JPY"), shared.transaction():
            shared.execute(f"UPDATE {header} SET currency = 'EUR' WHERE id = %s", (made,))
        shared.execute(f"DELETE FROM {items} WHERE {link} = %s", (made,))
        shared.execute(f"UPDATE {header} SET currency = 'EUR' WHERE id = %s", (made,))
        assert one(shared, insert, (made, own.rows["product"], "1", "1049.50", 0, 10)) == Decimal(
            "1049.50"
        )


def test_a_shipment_does_not_touch_the_header_and_a_truncate_does(shared: Connection) -> None:
    own, _ = companies(shared)
    header = "SELECT xmin::text, subtotal FROM sales_order WHERE id = %s"
    with shared.transaction(force_rollback=True):
        before = shared.execute(header, (own.rows["sales_order"],)).fetchone()
        shared.execute("UPDATE sales_order_item SET quantity_shipped = quantity, notes = 'gone'")
        assert shared.execute(header, (own.rows["sales_order"],)).fetchone() == before
        shared.execute("TRUNCATE sales_order_item")
        assert shared.execute(header, (own.rows["sales_order"],)).fetchone()[1] == 0
        assert integrity(shared) == {}


def test_the_checks_hold_even_while_triggers_sleep(shared: Connection) -> None:
    own, _ = companies(shared)
    for statement, rule in (
        (
            "UPDATE sales_order SET total_amount = total_amount + 1 WHERE id = %(sales_order)s",
            "sales_order_total_adds_up",
        ),
        (
            "UPDATE sales_quote SET total_amount = NULL WHERE id = %(sales_quote)s",
            "sales_quote_total_adds_up",
        ),
        (
            "UPDATE sales_order_item SET line_total = 1 WHERE id = %(sales_order_item)s",
            "sales_order_item_line_total_is_quantity_times_price",
        ),
    ):
        with shared.transaction(force_rollback=True):
            shared.execute("SET LOCAL session_replication_role = replica")
            with pytest.raises(errors.CheckViolation, match=rule):
                shared.execute(statement, own.rows)


def test_an_amount_beyond_the_column_is_refused_and_not_cut(shared: Connection) -> None:
    own, _ = companies(shared)
    with shared.transaction(force_rollback=True), pytest.raises(errors.NumericValueOutOfRange):
        shared.execute(
            ITEM, (own.rows["sales_order"], own.rows["product"], "9999999.999", "99999999.99")
        )


# -- numbers ---------------------------------------------------------------------------------------


def test_numbers_are_unique_and_without_gaps_under_four_sessions_even_if_some_give_up(
    crm: Connection,
) -> None:
    own, other = companies(crm)
    crm.execute("DELETE FROM document_number")
    crm.execute("UPDATE sales_order SET order_number = 'older ' || id")

    def work(number: int) -> list[str]:
        drawn = []
        with another(crm) as session:
            become(session, "authenticated", own.user)
            for turn in range(25):
                if turn % 5 == number:
                    with session.transaction(force_rollback=True):
                        session.execute(ORDER, (own.org, own.rows["customer"], own.user))
                drawn.append(one(session, ORDER, (own.org, own.rows["customer"], own.user)))
        return drawn

    with ThreadPoolExecutor(4) as pool:
        drawn = [number for numbers in pool.map(work, range(4)) for number in numbers]
    year = one(crm, "SELECT extract(year FROM current_date)::integer")
    assert sorted(drawn) == [f"SO-{year}-{number:06}" for number in range(1, 101)]
    assert (
        one(crm, ORDER, (other.org, other.rows["customer"], other.user)) == f"SO-{year}-000001"
    )  # each tenant its own series


ORDER = (
    "INSERT INTO sales_order (org_id, customer_id, created_by) VALUES (%s, %s, %s) RETURNING"
    " order_number"
)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT next_document_number(%(far)s, 'sales_order')",
        "INSERT INTO document_number VALUES (%(far)s, 'invoice', 2025, 1)",
        "INSERT INTO document_number VALUES (%(org)s, 'invoice', 2025, 5)",
        "UPDATE document_number SET last_number = last_number + 2",
        "UPDATE document_number SET last_number = 1 WHERE last_number > 1 OR true",
        "UPDATE document_number SET last_number = last_number + 1, kind = 'invoice'",
        "DELETE FROM document_number",
    ],
)
def test_a_tenant_draws_own_numbers_one_by_one(shared: Connection, statement: str) -> None:
    own, other = companies(shared)
    with acting(shared, "authenticated", own.user), pytest.raises(errors.InsufficientPrivilege):
        shared.execute(statement, {"org": own.org, "far": other.org})


def test_a_tenant_sees_only_own_numbers_and_nobody_sees_none(shared: Connection) -> None:
    own, _ = companies(shared)
    with acting(shared, "authenticated", own.user):
        assert one(shared, "SELECT array_agg(DISTINCT org_id) FROM document_number") == [own.org]
        assert one(shared, "SELECT next_document_number(%s, 'invoice')", (own.org,)).startswith(
            "INV-"
        )
    with acting(shared, "authenticated", None):
        assert one(shared, "SELECT count(*) FROM document_number") == 0


# -- conversions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "key"),
    [("SELECT convert_lead(%s)", "lead"), ("SELECT convert_quote_to_order(%s)", "sales_quote")],
)
@pytest.mark.parametrize("ends_with", ["COMMIT", "ROLLBACK"])
def test_of_two_sessions_that_convert_one_row_one_does(
    crm: Connection, call: str, key: str, ends_with: str
) -> None:
    own, _ = companies(crm)
    before = {
        name: one(crm, f"SELECT count(*) FROM {name}")
        for name in ("customer", "opportunity", "sales_order")
    }
    with another(crm) as ann, another(crm) as eve:
        for session in (ann, eve):
            become(session, "authenticated", own.user)
        ann.execute("BEGIN")
        ann.execute(call, (own.rows[key],))
        with meanwhile(lambda: eve.execute(call, (own.rows[key],)).rowcount) as said:
            wait_until_blocked(crm, eve)
            ann.execute(ends_with)
        (outcome,) = said
        if ends_with == "COMMIT":
            assert isinstance(outcome, errors.ObjectNotInPrerequisiteState)
            assert "convert" in str(outcome)
        else:
            assert outcome == 1
    made = {name: one(crm, f"SELECT count(*) FROM {name}") - before[name] for name in before}
    assert made == (
        {"customer": 1, "opportunity": 0, "sales_order": 0}
        if key == "lead"
        else {"customer": 0, "opportunity": 0, "sales_order": 1}
    )


@pytest.mark.parametrize(
    ("before", "call", "error"),
    [
        ("", "SELECT convert_lead(gen_random_uuid())", errors.NoDataFound),
        (
            "UPDATE lead SET status = 'lost'",
            "SELECT convert_lead(%(lead)s)",
            errors.ObjectNotInPrerequisiteState,
        ),
        ("", "SELECT accept_quote(gen_random_uuid())", errors.NoDataFound),
        ("", "SELECT convert_quote_to_order(gen_random_uuid())", errors.NoDataFound),
        (
            "UPDATE sales_quote SET valid_until = current_date - 1",
            "SELECT accept_quote(%(sales_quote)s)",
            errors.ObjectNotInPrerequisiteState,
        ),
        (
            "UPDATE sales_quote SET status = 'cancelled'",
            "SELECT convert_quote_to_order(%(sales_quote)s)",
            errors.ObjectNotInPrerequisiteState,
        ),
        (
            "DELETE FROM sales_quote_item",
            "SELECT convert_quote_to_order(%(sales_quote)s)",
            errors.ObjectNotInPrerequisiteState,
        ),
        (
            "SELECT convert_quote_to_order(%(sales_quote)s)",
            "SELECT accept_quote(%(sales_quote)s)",
            errors.ObjectNotInPrerequisiteState,
        ),
        (
            "SELECT convert_quote_to_order(%(sales_quote)s)",
            "UPDATE sales_quote SET converted_to_order_id = NULL WHERE id = %(sales_quote)s",
            errors.ObjectNotInPrerequisiteState,
        ),
        (
            "SELECT convert_lead(%(lead)s)",
            "UPDATE lead SET converted_at = NULL, converted_to_customer_id = NULL"
            " WHERE id = %(lead)s",
            errors.ObjectNotInPrerequisiteState,
        ),
        (
            "SELECT convert_quote_to_order(%(sales_quote)s)",
            "INSERT INTO sales_order (org_id, customer_id, created_by, quote_id)"
            " VALUES (%(org)s, %(customer)s, %(user)s, %(sales_quote)s)",
            errors.UniqueViolation,
        ),
        ("", "SELECT convert_lead(%(far lead)s)", errors.NoDataFound),
        ("", "SELECT convert_quote_to_order(%(far quote)s)", errors.NoDataFound),
    ],
)
def test_what_cannot_be_converted_says_so(
    shared: Connection, before: str, call: str, error: type[psycopg.Error]
) -> None:
    own, other = companies(shared)
    values = {
        "org": own.org,
        "user": own.user,
        "far lead": other.rows["lead"],
        "far quote": other.rows["sales_quote"],
        **own.rows,
    }
    with acting(shared, "authenticated", own.user):
        if before:
            shared.execute(before, values)
        with pytest.raises(error):
            shared.execute(call, values)


def test_a_lead_without_a_company_becomes_an_individual_and_the_longest_name_fits(
    shared: Connection,
) -> None:
    own, _ = companies(shared)
    with acting(shared, "authenticated", own.user):
        lead = one(
            shared,
            "INSERT INTO lead (org_id, first_name, last_name, company) VALUES (%s, repeat('ä',"
            " 100), repeat('b', 100), ' ') RETURNING id",
            (own.org,),
        )
        customer, contact, opportunity = shared.execute(
            "SELECT customer_id, contact_id, opportunity_id FROM convert_lead(%s,"
            " opportunity_amount => 5.5)",
            (lead,),
        ).fetchone()
        name, segment, holder = shared.execute(
            "SELECT name, segment, (SELECT customer_id FROM customer_contact WHERE id = %s) FROM"
            " customer WHERE id = %s",
            (contact, customer),
        ).fetchone()
        assert (len(name), segment, holder) == (200, "individual", customer)
        assert one(
            shared, "SELECT amount FROM opportunity WHERE id = %s", (opportunity,)
        ) == Decimal("5.50")


def test_what_was_noted_for_a_lead_goes_to_its_customer_and_its_opportunity_is_not_made_twice(
    shared: Connection,
) -> None:
    own, _ = companies(shared)
    with acting(shared, "authenticated", own.user):
        lead = one(
            shared,
            "INSERT INTO lead (org_id, first_name, last_name) VALUES (%s, 'Ann', 'Lee')"
            " RETURNING id",
            (own.org,),
        )
        known = one(
            shared,
            "INSERT INTO opportunity (org_id, lead_id, name, amount) VALUES (%s, %s, 'Promised', 7)"
            " RETURNING id",
            (own.org, lead),
        )
        call = one(
            shared,
            "INSERT INTO crm_activity (org_id, lead_id, type, subject, created_by) VALUES (%s, %s,"
            " 'call', 'x', %s) RETURNING id",
            (own.org, lead, own.user),
        )
        customer, opportunity = shared.execute(
            "SELECT customer_id, opportunity_id FROM convert_lead(%s)", (lead,)
        ).fetchone()
        assert opportunity == known
        assert shared.execute(
            "SELECT o.customer_id, o.name, a.customer_id FROM opportunity AS o, crm_activity AS a"
            " WHERE o.id = %s AND a.id = %s",
            (known, call),
        ).fetchone() == (customer, "Promised", customer)
        assert one(shared, "SELECT count(*) FROM opportunity WHERE lead_id = %s", (lead,)) == 1


def test_a_service_without_a_user_converts_for_the_quotes_author(shared: Connection) -> None:
    own, _ = companies(shared)
    with acting(shared, "service_role", None):
        order = one(shared, "SELECT convert_quote_to_order(%s)", (own.rows["sales_quote"],))
        row = shared.execute(
            "SELECT created_by, approved_by FROM sales_order WHERE id = %s", (order,)
        ).fetchone()
        assert row == (own.user, None)


# -- tenants ---------------------------------------------------------------------------------------


def as_json(connection: Connection, table: str, key: UUID) -> str:
    return one(connection, f"SELECT to_jsonb({table})::text FROM {table} WHERE id = %s", (key,))


def copied(connection: Connection, table: str, row: str) -> None:
    """Insert a copy of a row, told as JSON, under a new id."""
    anew = psycopg.types.json.Jsonb({"id": str(uuid4()), **ANEW.get(table, {})})
    connection.execute(
        f"INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, %s::jsonb || %s)).*",
        (row, anew),
    )


@pytest.mark.parametrize("table", TABLES)
def test_a_user_works_with_the_own_rows_and_reaches_no_others(
    shared: Connection, table: str
) -> None:
    own, other = companies(shared)
    mine, theirs = own.rows[table], other.rows[table]
    my_row, their_row = as_json(shared, table, mine), as_json(shared, table, theirs)
    link = TABLES[table]
    parent = {"org_id": "organization"}.get(link, link.removesuffix("_id"))
    foreign_parent = (
        other.org
        if link == "org_id"
        else other.rows[{"quote": "sales_quote", "order": "sales_order"}.get(parent, parent)]
    )

    with acting(shared, "authenticated", own.user):
        assert shared.execute(f"SELECT id FROM {table}").fetchall() == [(mine,)]
        copied(shared, table, my_row)
        assert shared.execute(f"UPDATE {table} SET created_at = created_at").rowcount == 2
        assert (
            shared.execute(
                f"UPDATE {table} SET created_at = now() WHERE id = %s", (theirs,)
            ).rowcount
            == 0
        )
        assert shared.execute(f"DELETE FROM {table} WHERE id = %s", (theirs,)).rowcount == 0
        with pytest.raises(errors.InsufficientPrivilege), shared.transaction():
            copied(shared, table, their_row)
        with pytest.raises(errors.InsufficientPrivilege), shared.transaction():
            shared.execute(f"UPDATE {table} SET {link} = %s WHERE id = %s", (foreign_parent, mine))
        assert shared.execute(f"DELETE FROM {table} WHERE id <> %s", (mine,)).rowcount == 1


@pytest.mark.parametrize("table", TABLES)
def test_a_user_of_no_organisation_reads_and_writes_nothing(shared: Connection, table: str) -> None:
    own, _ = companies(shared)
    row = as_json(shared, table, own.rows[table])
    for user in (None, uuid4()):
        with acting(shared, "authenticated", user):
            assert one(shared, f"SELECT count(*) FROM {table}") == 0
            assert shared.execute(f"UPDATE {table} SET created_at = now()").rowcount == 0
            assert shared.execute(f"DELETE FROM {table}").rowcount == 0
            with pytest.raises(errors.InsufficientPrivilege), shared.transaction():
                copied(shared, table, row)


@pytest.mark.parametrize("table", [*TABLES, "document_number"])
@pytest.mark.parametrize(
    "statement", ["SELECT FROM {}", "DELETE FROM {}", "INSERT INTO {} DEFAULT VALUES"]
)
def test_anon_is_refused(shared: Connection, table: str, statement: str) -> None:
    with acting(shared, "anon", None), pytest.raises(errors.InsufficientPrivilege):
        shared.execute(statement.format(table))


@pytest.mark.parametrize(
    "call",
    [
        "convert_lead(%s)",
        "accept_quote(%s)",
        "convert_quote_to_order(%s)",
        "next_document_number(%s, 'x')",
        "organization_currency(%s)",
    ],
)
def test_anon_calls_no_function(shared: Connection, call: str) -> None:
    with acting(shared, "anon", None), pytest.raises(errors.InsufficientPrivilege):
        shared.execute(f"SELECT {call}", (uuid4(),))


def links(connection: Connection) -> list[tuple[str, str, str]]:
    """What the same_organization triggers compare: table, column, referenced table."""
    arguments = connection.execute(
        "SELECT tgrelid::regclass::text, string_to_array(encode(tgargs, 'escape'), '\\000') FROM"
        " pg_trigger WHERE tgname = 'same_organization' ORDER BY 1"
    )
    return [(table, *link.split()) for table, given in arguments for link in given[1:] if link]


def test_every_reference_to_a_tenants_table_is_compared(shared: Connection) -> None:
    keys = {
        (table, column, target)
        for table, column, target in shared.execute(
            "SELECT conrelid::regclass::text, attname, confrelid::regclass::text FROM pg_constraint"
            " JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]"
            " WHERE contype = 'f' AND conrelid::regclass::text = ANY (%s)",
            (list(TABLES),),
        )
        if column not in ("org_id", TABLES[table])
    }
    assert set(links(shared)) == keys | {("sales_quote", "converted_to_order_id", "sales_order")}


def test_a_row_refers_to_no_row_of_another_organisation_whoever_writes(shared: Connection) -> None:
    own, other = companies(shared)
    compared = links(shared)
    assert len(compared) == 27
    for table, column, target in compared:
        stranger = other.user if target == "profile" else other.rows[target]
        extra = ", approved_at = now()" if column == "approved_by" else ""
        extra = ", converted_at = now()" if column == "converted_to_customer_id" else extra
        for role, user in (
            ("authenticated", own.user),
            ("service_role", None),
            (shared.info.user, None),
        ):
            with (
                acting(shared, role, user),
                pytest.raises(errors.ForeignKeyViolation, match=f"{table}.{column} must name"),
            ):
                shared.execute(
                    f"UPDATE {table} SET {column} = %s{extra} WHERE id = %s",
                    (stranger, own.rows[table]),
                )


@pytest.mark.parametrize("table", [table for table, link in TABLES.items() if link == "org_id"])
def test_not_even_the_service_moves_a_row_to_another_organisation(
    shared: Connection, table: str
) -> None:
    own, other = companies(shared)
    with (
        acting(shared, "service_role", None),
        pytest.raises(errors.InsufficientPrivilege, match="cannot be moved"),
    ):
        shared.execute(
            f"UPDATE {table} SET org_id = %s WHERE id = %s", (other.org, own.rows[table])
        )


@pytest.mark.parametrize("table", ["customer", "inventory_item", "purchase_order"])
def test_an_existing_row_moves_only_while_nothing_of_these_modules_refers_to_it(
    shared: Connection, table: str
) -> None:
    own, other = companies(shared)
    free = one(
        shared,
        f"SELECT id FROM {table} WHERE org_id = %s AND id <> %s LIMIT 1",
        (own.org, own.rows[table]),
    )
    with acting(shared, "service_role", None):
        move = f"UPDATE {table} SET org_id = %s WHERE id = %s"
        if table == "inventory_item":
            shared.execute("UPDATE inventory_item SET sku = sku || '-moved' WHERE id = %s", (free,))
        if table == "purchase_order":
            shared.execute(
                "UPDATE purchase_order SET po_number = po_number || '-moved' WHERE id = %s", (free,)
            )
        assert shared.execute(move, (other.org, free)).rowcount == 1
        assert shared.execute(move, (own.org, own.rows[table])).rowcount == 1
        with pytest.raises(errors.InsufficientPrivilege, match="cannot be moved"):
            shared.execute(move, (other.org, own.rows[table]))


@pytest.mark.parametrize("first", ["order", "move"])
def test_an_order_and_a_move_of_its_customer_wait_for_each_other(
    crm: Connection, first: str
) -> None:
    own, other = companies(crm)
    customer = one(
        crm, "INSERT INTO customer (org_id, name) VALUES (%s, 'Mover') RETURNING id", (own.org,)
    )
    order = (ORDER, (own.org, customer, own.user))
    move = ("UPDATE customer SET org_id = %s WHERE id = %s", (other.org, customer))
    before, after = (order, move) if first == "order" else (move, order)
    with another(crm) as ann, another(crm) as eve:
        ann.execute("BEGIN")
        ann.execute(*before)
        with meanwhile(lambda: eve.execute(*after).rowcount) as said:
            wait_until_blocked(crm, eve)
            ann.execute("COMMIT")
        assert isinstance(
            said[0],
            errors.InsufficientPrivilege if first == "order" else errors.ForeignKeyViolation,
        )
    assert integrity(crm) == {}


# -- what goes with what ---------------------------------------------------------------------------


def test_a_customer_goes_with_contacts_and_activities_and_stays_while_orders_name_it(
    shared: Connection,
) -> None:
    own, _ = companies(shared)
    customer = own.rows["customer"]
    with shared.transaction(force_rollback=True):
        with pytest.raises(errors.ForeignKeyViolation), shared.transaction():
            shared.execute("DELETE FROM customer WHERE id = %s", (customer,))
        shared.execute("DELETE FROM sales_order WHERE customer_id = %s", (customer,))
        shared.execute("DELETE FROM sales_quote WHERE customer_id = %s", (customer,))
        shared.execute("DELETE FROM customer WHERE id = %s", (customer,))
        assert (
            one(shared, "SELECT count(*) FROM customer_contact WHERE customer_id = %s", (customer,))
            == 0
        )
        kept = "SELECT customer_id FROM opportunity WHERE id = %s"
        assert one(shared, kept, (own.rows["opportunity"],)) is None


def test_a_product_that_was_sold_stays(shared: Connection) -> None:
    own, _ = companies(shared)
    with pytest.raises(errors.ForeignKeyViolation), shared.transaction():
        shared.execute("DELETE FROM product WHERE id = %s", (own.rows["product"],))


def test_an_organisation_goes_with_all_its_rows(crm: Connection) -> None:
    """The baseline's own purchase orders hold their organisation back; without them, nothing of
    ours does.
    """
    own, _ = companies(crm)
    crm.execute(
        "DELETE FROM purchase_order_item WHERE purchase_order_id IN (SELECT id FROM purchase_order"
        " WHERE org_id = %s)",
        (own.org,),
    )
    for table, column in (
        ("dashboard", "created_by"),
        ("ai_conversation", "user_id"),
        ("ai_dataset", "created_by"),
        ("ai_prompt_template", "created_by"),
        ("integration_connector", "created_by"),
        ("data_import", "created_by"),
        ("automation_pipeline", "created_by"),
        ("alert_rule", "created_by"),
    ):
        crm.execute(f"DELETE FROM {table} WHERE {column} IS NOT NULL AND org_id = %s", (own.org,))
    crm.execute("DELETE FROM organization WHERE id = %s", (own.org,))
    assert {table: one(crm, f"SELECT count(*) FROM {table}") for table in TABLES} == dict.fromkeys(
        TABLES, 1
    )
    assert integrity(crm) == {}


# -- audit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_each_change_is_audited_with_who_and_where(shared: Connection, table: str) -> None:
    own, _ = companies(shared)
    entries = (
        "SELECT org_id, user_id, action::text FROM audit_log WHERE table_name = %s AND record_id ="
        " %s AND timestamp = now()"
    )
    with acting(shared, "authenticated", own.user):
        shared.execute(f"UPDATE {table} SET created_at = now() WHERE id = %s", (own.rows[table],))
        found_entries = shared.execute(entries, (table, own.rows[table])).fetchall()
    assert found_entries == [(own.org, own.user, "UPDATE")]


# -- the application's load ------------------------------------------------------------------------

OLD, NEW = settings.sql() / "workload", settings.sql() / "workload" / "enhanced"


def pgbench(connection: Connection, folder: Path, protocol: str, database: Target) -> str:
    """Every scenario of a folder, thirty times with three clients; what pgbench said when any of it
    failed.

    A thread for each client: pgbench waits for a PREPARE with its whole thread, and with it would
    wait a client that holds what the migration waits for.
    """
    import subprocess

    files = [f"--file={path}" for path in sorted(folder.glob("*.sql"))]
    assert len(files) == 3
    options = [
        "--no-vacuum",
        "--client=3",
        "--jobs=3",
        "--transactions=10",
        f"--protocol={protocol}",
        "--random-seed=7",
    ]
    program = commands.command("pgbench", database, *options, *files)
    done = subprocess.run(
        program.arguments, env=program.environment, capture_output=True, text=True
    )
    good = (
        done.returncode == 0
        and "number of failed transactions: 0 " in done.stdout
        and "ERROR" not in done.stderr
    )
    return "" if good else done.stdout + done.stderr


def counted(connection: Connection) -> dict[str, int]:
    tables = connection.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND NOT"
        " relispartition AND relnamespace = 'public'::regnamespace AND relname NOT IN ('audit_log',"
        " 'document_number', 'product')"
    ).fetchall()
    return {table: one(connection, f"SELECT count(*) FROM {table}") for (table,) in tables}


@pytest.mark.parametrize("protocol", ["prepared", "simple"])
def test_the_old_applications_load_runs_before_and_after_and_leaves_no_rows(
    database: Target, protocol: str
) -> None:
    with psycopg.connect(**database.parameters, autocommit=True) as connection:
        prepared(connection)
        before, written = counted(connection), one(connection, "SELECT count(*) FROM audit_log")
        assert pgbench(connection, OLD, protocol, database) == ""
        assert counted(connection) == before
        assert one(connection, "SELECT count(*) FROM audit_log") > written + 50
        carry_out(connection, CORE)
        carry_out(connection, UP)
        assert pgbench(connection, OLD, protocol, database) == ""
        before = counted(connection)
        assert pgbench(connection, NEW, protocol, database) == ""
        assert counted(connection) == before
        assert (
            one(connection, "SELECT count(*) FROM audit_log WHERE table_name = 'sales_order_item'")
            > 20
        )
        assert integrity(connection) == {}


def test_the_load_goes_on_while_the_migration_comes_and_goes(database: Target) -> None:
    with psycopg.connect(**database.parameters, autocommit=True) as connection:
        carry_out(prepared(connection), CORE)
        connection.execute("SET lock_timeout = '5s'")
        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(pgbench, connection, OLD, "prepared", database)
            for path in (UP, ROLLBACK, UP):
                carry_out(connection, path)
            assert load.result() == ""
        assert found(connection) == ""
