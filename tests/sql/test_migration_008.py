"""Migrations 008 and 009 on real servers: analytics that agree with sums over one table, tenants
apart, indexes; validations broken.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal

import psycopg
import pytest
from advanced import (
    acting,
    another,
    broken_steps,
    carry_out,
    found,
    migrated,
    one,
    organization,
    person,
    script,
    steps,
)

from mantis_runbook.checks import named_checks
from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server

VIEWS = ("customer_analytics", "sales_performance", "financial_overview", "inventory_performance")
#: The first draft of customer_analytics: four child tables joined at once.
MULTIPLIED = """
DROP VIEW customer_analytics_of_tenant;
ALTER MATERIALIZED VIEW customer_analytics RENAME TO customer_analytics_right;
CREATE MATERIALIZED VIEW customer_analytics AS
SELECT c.org_id, c.id AS customer_id, count(o.id) AS orders, sum(o.total_amount) AS order_value,
       count(i.id) AS invoices,
       sum(i.total_amount) AS invoiced, sum(i.amount_paid) AS paid, sum(i.amount_due) AS due,
       count(t.id) AS tickets,
       count(n.id) AS interactions
FROM customer AS c
LEFT JOIN sales_order AS o ON o.customer_id = c.id
LEFT JOIN invoice AS i ON i.customer_id = c.id
LEFT JOIN support_ticket AS t ON t.customer_id = c.id
LEFT JOIN customer_interaction AS n ON n.customer_id = c.id
GROUP BY c.org_id, c.id
"""

BREAKS = {
    "008": [
        (
            "DROP VIEW customer_analytics_of_tenant; CREATE VIEW customer_analytics_of_tenant AS"
            " SELECT 1 AS a",
            "customer_analytics_of_tenant.org_id uuid",
        ),
        (
            "DROP INDEX sales_performance_org_id_month_key",
            "sales_performance_org_id_month_key on sales_performance",
        ),
        (
            "GRANT SELECT ON financial_overview TO authenticated",
            "authenticated on financial_overview: SELECT",
        ),
        (
            "REVOKE SELECT ON inventory_performance_of_tenant FROM authenticated",
            "authenticated on inventory_performance_of_tenant: none",
        ),
        ("ALTER FUNCTION refresh_analytics() SECURITY INVOKER", "refresh_analytics()"),
        (
            "GRANT EXECUTE ON FUNCTION refresh_analytics() TO authenticated",
            "authenticated refresh_analytics()",
        ),
        ("COMMENT ON COLUMN customer_analytics.paid IS NULL", "customer_analytics.paid"),
        (
            "COMMENT ON MATERIALIZED VIEW customer_analytics IS NULL",
            "without_comment customer_analytics",
        ),
        (
            "REFRESH MATERIALIZED VIEW sales_performance WITH NO DATA",
            "materialized_view sales_performance, found not filled",
        ),
        (
            "DROP INDEX inventory_performance_inventory_item_id_key",
            "no unique index that CONCURRENTLY could use",
        ),
        (
            "ALTER VIEW sales_performance_of_tenant RESET (security_barrier)",
            "view sales_performance, found no security barrier",
        ),
        (
            "CREATE OR REPLACE VIEW sales_performance_of_tenant WITH (security_barrier = true)"
            " AS SELECT * FROM sales_performance",
            "a session that names no user sees sales_performance_of_tenant",
        ),
        (MULTIPLIED, "of customer_analytics is"),
    ],
    "009": [
        (
            "DROP INDEX purchase_order_approved_by_idx_009",
            "table_name purchase_order, without_index approved_by",
        ),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid ="
            " 'ticket_comment_user_id_idx_009'::regclass",
            "table_name ticket_comment, without_index user_id",
        ),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid ="
            " 'alert_rule_created_by_idx_009'::regclass",
            "table_name alert_rule, invalid_index alert_rule_created_by_idx_009",
        ),
    ],
}


@pytest.fixture(scope="module")
def shared(server: Server, baseline_template: str) -> Iterator[Connection]:
    """With sales in every organisation that has customers; tests leave nothing in it."""
    with migrated(server, baseline_template, "009") as connection:
        for user, org in connection.execute(
            "SELECT DISTINCT ON (org_id) id, org_id FROM profile"
        ).fetchall():
            connection.execute(
                "INSERT INTO product (org_id, inventory_item_id, name, sku, base_price) SELECT"
                " org_id, id, name, sku, unit_price FROM inventory_item WHERE org_id = %s LIMIT 20",
                (org,),
            )
            connection.execute(
                "INSERT INTO sales_order (org_id, customer_id, currency, created_by, order_date)"
                " SELECT org_id, id, (ARRAY['EUR', 'USD'])[n]::currency_code, %s,"
                " '2026-01-15'::date + 20 * n FROM (SELECT * FROM customer WHERE org_id = %s LIMIT"
                " 20) AS c, generate_series(1, 2) AS n",
                (user, org),
            )
            connection.execute(
                "INSERT INTO sales_order_item (order_id, product_id, quantity, unit_price) SELECT"
                " o.id, p.id, 2, 3.33 FROM sales_order AS o JOIN product AS p USING (org_id) WHERE"
                " org_id = %s",
                (org,),
            )
            connection.execute(
                "INSERT INTO sales_quote (org_id, customer_id, title, currency, created_by) SELECT"
                " org_id, customer_id, 'q', currency, created_by FROM sales_order WHERE org_id"
                " = %s",
                (org,),
            )
            connection.execute(
                "INSERT INTO sales_quote_item (quote_id, product_id, quantity, unit_price) SELECT"
                " q.id, p.id, 1, 5.55 FROM sales_quote AS q JOIN product AS p USING (org_id) WHERE"
                " org_id = %s",
                (org,),
            )
            connection.execute(
                "INSERT INTO invoice (org_id, customer_id, invoice_number, currency, due_date,"
                " created_by) SELECT org_id, customer_id, order_number, currency, CURRENT_DATE +"
                " 30, created_by FROM sales_order WHERE org_id = %s",
                (org,),
            )
            connection.execute(
                "INSERT INTO invoice_item (invoice_id, description, quantity, unit_price)"
                " SELECT id, 'i', n, 7.5 FROM invoice, generate_series(1, 3) AS n WHERE org_id"
                " = %s",
                (org,),
            )
            connection.execute(
                "INSERT INTO lead (org_id, first_name, last_name) SELECT %s, 'A', 'B' FROM"
                " generate_series(1, 3)",
                (org,),
            )
        connection.execute("SELECT refresh_analytics()")
        yield connection


@pytest.mark.parametrize("version", ["008", "009"])
def test_the_validation_names_what_was_broken(shared: Connection, version: str) -> None:
    assert found(shared, script(version, "validate")) == ""
    for statement, message in BREAKS[version]:
        with shared.transaction(force_rollback=True):
            shared.execute(statement)
            assert message in found(shared, script(version, "validate")), statement


@pytest.mark.parametrize("version", ["008", "009"])
def test_every_step_of_the_validation_was_broken_once(shared: Connection, version: str) -> None:
    assert broken_steps(shared, version, BREAKS[version]) == steps(version)


# -- figures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figure", "plain"),
    [
        ("sum(order_value) FROM customer_analytics", "sum(total_amount) FROM sales_order"),
        ("sum(orders) FROM customer_analytics", "count(*) FROM sales_order"),
        ("sum(invoiced) FROM customer_analytics", "sum(total_amount) FROM invoice"),
        ("sum(paid + due) FROM customer_analytics", "sum(total_amount) FROM invoice"),
        ("sum(tickets) FROM customer_analytics", "count(*) FROM support_ticket"),
        ("sum(interactions) FROM customer_analytics", "count(*) FROM customer_interaction"),
        ("sum(order_value) FROM sales_performance", "sum(total_amount) FROM sales_order"),
        ("sum(quote_value) FROM sales_performance", "sum(total_amount) FROM sales_quote"),
        ("sum(leads) FROM sales_performance", "count(*) FROM lead"),
        ("sum(invoiced) FROM financial_overview", "sum(total_amount) FROM invoice"),
        ("sum(purchased) FROM financial_overview", "sum(total_amount) FROM purchase_order"),
        ("sum(revenue) FROM inventory_performance", "sum(line_total) FROM sales_order_item"),
        ("sum(sold) FROM inventory_performance", "sum(quantity) FROM sales_order_item"),
        (
            "sum(stock_value) FROM inventory_performance",
            "sum(unit_price * quantity_on_hand) FROM inventory_item",
        ),
        (
            (
                "sum((amount.value ->> 'order_value')::numeric) FROM customer_analytics,"
                " jsonb_each(amounts_by_currency) AS amount WHERE amount.key = 'EUR'"
            ),
            "sum(total_amount) FROM sales_order WHERE currency = 'EUR'",
        ),
        (
            (
                "sum((amount.value ->> 'purchased')::numeric) FROM financial_overview,"
                " jsonb_each(amounts_by_currency) AS amount WHERE amount.key = 'USD'"
            ),
            "sum(total_amount) FROM purchase_order WHERE currency = 'USD'",
        ),
    ],
)
def test_sums_are_those_over_one_table(shared: Connection, figure: str, plain: str) -> None:
    expected = one(shared, f"SELECT {plain}")
    assert expected > 0
    assert one(shared, f"SELECT {figure}") == expected


def test_a_customer_an_item_and_a_month_are_told_as_they_are(shared: Connection) -> None:
    with shared.transaction(force_rollback=True):
        org = organization(shared)
        user = person(shared, org)
        customer = one(
            shared,
            "INSERT INTO customer (org_id, name, segment) VALUES (%s, 'Ada', 'smb') RETURNING id",
            (org,),
        )
        item = one(
            shared,
            "INSERT INTO inventory_item (org_id, sku, name, category, unit_price, quantity_on_hand,"
            " reorder_point) VALUES (%s, 'S', 'Saw', 'tools', 10, 3, 5) RETURNING id",
            (org,),
        )
        product = one(
            shared,
            "INSERT INTO product (org_id, inventory_item_id, name, sku, base_price) VALUES (%s, %s,"
            " 'Saw', 'S', 12) RETURNING id",
            (org, item),
        )
        for currency, status in (("EUR", "draft"), ("USD", "draft"), ("EUR", "cancelled")):
            order = one(
                shared,
                "INSERT INTO sales_order (org_id, customer_id, currency, created_by, order_date)"
                " VALUES (%s, %s, %s, %s, '2026-03-15') RETURNING id",
                (org, customer, currency, user.id),
            )
            shared.execute(
                "INSERT INTO sales_order_item (order_id, product_id, quantity, unit_price)"
                " SELECT %s, %s, 2, 12 FROM generate_series(1, 2)",
                (order, product),
            )
            shared.execute("UPDATE sales_order SET status = %s WHERE id = %s", (status, order))
        for sentiment in ("very_positive", "neutral", "negative", None):
            shared.execute(
                "INSERT INTO customer_interaction (org_id, customer_id, channel, type, content,"
                " sentiment, timestamp) VALUES (%s, %s, 'chat', 'inquiry', 'c', %s, now())",
                (org, customer, sentiment),
            )
        shared.execute("SELECT refresh_analytics()")
        assert shared.execute(
            "SELECT orders, cancelled_orders, order_value, invoices, interactions,"
            " average_sentiment, currencies::text[], amounts_by_currency -> 'EUR' ->> 'order_value'"
            " FROM customer_analytics WHERE customer_id = %s",
            (customer,),
        ).fetchone() == (3, 1, Decimal(144), 0, 4, Decimal("0.33"), ["USD", "EUR"], "96.00")
        assert shared.execute(
            "SELECT orders, sold, revenue, stock_status, stock_value, stock_currency::text FROM"
            " inventory_performance WHERE inventory_item_id = %s",
            (item,),
        ).fetchone() == (3, Decimal(12), Decimal(144), "low_stock", Decimal(30), "USD")
        assert shared.execute(
            "SELECT month::text, orders, order_value, cancelled_value, customers,"
            " average_order_value FROM sales_performance WHERE org_id = %s",
            (org,),
        ).fetchone() == ("2026-03-01", 3, Decimal(144), Decimal(48), 1, Decimal(48))


def test_every_view_is_written_down_as_it_is_read_again(shared: Connection) -> None:
    """Else a restored copy of the database would differ from it, and no backup of it could be
    proven.
    """
    views = shared.execute(
        "SELECT relname::text, pg_get_viewdef(oid) FROM pg_class"
        " WHERE relkind IN ('v', 'm') AND relnamespace = 'public'::regnamespace ORDER BY relname"
    ).fetchall()
    assert {"sales_performance", "v_recent_activity"} < {name for name, _ in views}
    for name, text in views:
        with shared.transaction(force_rollback=True):
            shared.execute(f"CREATE TEMPORARY VIEW again AS {text}")
            assert one(shared, "SELECT pg_get_viewdef('pg_temp.again'::regclass)") == text, name


def test_readers_read_on_while_they_are_refreshed(shared: Connection) -> None:
    with (
        another(shared) as refreshing,
        another(shared) as reader,
        refreshing.transaction(force_rollback=True),
    ):
        refreshing.execute("SELECT refresh_analytics()")
        reader.execute("SET lock_timeout = '1s'")
        assert one(reader, "SELECT count(*) FROM customer_analytics") > 0


def test_service_role_refreshes_and_users_do_not(shared: Connection) -> None:
    with acting(shared, None, "service_role"):
        shared.execute("SELECT refresh_analytics()")
    with acting(shared, None), pytest.raises(psycopg.errors.InsufficientPrivilege):
        shared.execute("SELECT refresh_analytics()")


def test_tenants_stay_apart_in_analytics(shared: Connection) -> None:
    orgs = [
        row[0] for row in shared.execute("SELECT DISTINCT org_id FROM sales_performance LIMIT 2")
    ]
    assert len(orgs) == 2
    with shared.transaction(force_rollback=True):
        for org in orgs:
            who = person(shared, org)
            for view in VIEWS:
                expected = one(shared, f"SELECT count(*) FROM {view} WHERE org_id = %s", (org,))
                with acting(shared, who):
                    assert shared.execute(
                        f"SELECT DISTINCT org_id FROM {view}_of_tenant"
                    ).fetchall() == [(org,)]
                    assert one(shared, f"SELECT count(*) FROM {view}_of_tenant") == expected > 0
                with acting(shared, who), pytest.raises(psycopg.errors.InsufficientPrivilege):
                    shared.execute(f"SELECT FROM {view}")
        for view in VIEWS:
            with acting(shared, None):
                assert one(shared, f"SELECT count(*) FROM {view}_of_tenant") == 0
            with acting(shared, None, "anon"), pytest.raises(psycopg.errors.InsufficientPrivilege):
                shared.execute(f"SELECT FROM {view}_of_tenant")


def test_a_condition_of_a_tenant_is_not_tried_on_anothers_rows(shared: Connection) -> None:
    with shared.transaction(force_rollback=True):
        org = one(shared, "SELECT org_id FROM customer_analytics ORDER BY org_id LIMIT 1")
        who = person(shared, org)
        shared.execute(
            "CREATE FUNCTION spy(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS 'BEGIN"
            " PERFORM set_config(''spy.seen'', (current_setting(''spy.seen'')::integer + 1)::text,"
            " true); RETURN true; END';GRANT EXECUTE ON FUNCTION spy(text) TO authenticated;SELECT"
            " set_config('spy.seen', '0', true)"
        )
        with acting(shared, who):
            seen = one(
                shared, "SELECT count(*) FROM customer_analytics_of_tenant WHERE spy(customer_name)"
            )
            assert one(shared, "SELECT current_setting('spy.seen')::integer") == seen


# -- indexes ---------------------------------------------------------------------------------------


def test_the_seven_indexes_are_built_while_others_write(
    server: Server, baseline_template: str
) -> None:
    with migrated(server, baseline_template, "008") as connection:
        over, errors, written = threading.Event(), [], []

        def write() -> None:
            with another(connection) as session:
                while not over.is_set():
                    try:
                        session.execute(
                            "UPDATE purchase_order SET notes = 'load' WHERE id = (SELECT id FROM"
                            " purchase_order LIMIT 1)"
                        )
                        written.append(1)
                    except psycopg.Error as error:
                        errors.append(str(error))

        writer = threading.Thread(target=write)
        writer.start()
        carry_out(connection, script("009"))
        over.set()
        writer.join()
        assert (errors, bool(written)) == ([], True)
        assert named_checks.run(connection, 5, ["unindexed_foreign_keys"]).verdict == "pass"


def test_an_index_under_another_name_serves_and_what_else_lacks_one_gets_it(
    server: Server, baseline_template: str
) -> None:
    with migrated(server, baseline_template, "008") as connection:
        connection.execute(
            "CREATE INDEX theirs ON purchase_order (approved_by, approved_at);DROP INDEX"
            ' inventory_item_supplier_id_idx;CREATE TABLE "CustomerNote" (id bigint PRIMARY KEY,'
            ' "by" uuid REFERENCES customer);CREATE TABLE dated (org_id uuid REFERENCES'
            " organization, at date) PARTITION BY RANGE (at);CREATE TABLE dated_early PARTITION OF"
            " dated FOR VALUES FROM ('2025-01-01') TO ('2025-07-01');CREATE TABLE dated_late"
            " PARTITION OF dated FOR VALUES FROM ('2025-07-01') TO ('2026-01-01');CREATE INDEX ON"
            " dated_late (org_id)"
        )
        before = catalog.snapshot(connection)
        carry_out(connection, script("009"))
        made = connection.execute(
            "SELECT array_agg(relname::text) FROM pg_class WHERE relname LIKE '%\\_idx\\_009' AND"
            " relkind = 'i'"
        ).fetchone()
        assert made is not None
        assert "purchase_order_approved_by_idx_009" not in made[0]
        assert {
            "inventory_item_supplier_id_idx_009",
            "CustomerNote_by_idx_009",
            "dated_early_org_id_idx_009",
        } < set(made[0])
        assert "dated_late_org_id_idx_009" not in made[0]
        assert found(connection, script("009", "validate")) == ""
        assert named_checks.run(connection, 5, ["unindexed_foreign_keys"]).verdict == "pass"
        carry_out(connection, script("009", "rollback"))
        assert str(catalog.diff(before, catalog.snapshot(connection))).splitlines()[1:] == []


def test_a_name_that_the_way_back_would_take_for_its_own_is_told(
    server: Server, baseline_template: str
) -> None:
    with migrated(server, baseline_template, "008") as connection:
        assert named_checks.run(connection, 4, ["foreign_keys_indexed_already"]).verdict == "pass"
        connection.execute(
            "CREATE INDEX theirs_idx_009 ON purchase_order (approved_by, approved_at)"
        )
        (result,) = named_checks.run(connection, 4, ["foreign_keys_indexed_already"]).results
        assert (result.verdict, [str(one) for one in result.found]) == (
            "warn", ["index theirs_idx_009: on purchase_order; the way back of 009 would drop it"]
        )  # fmt: skip


def test_an_invalid_index_is_rolled_back_too(server: Server, baseline_template: str) -> None:
    with migrated(server, baseline_template, "008") as connection:
        before = catalog.snapshot(connection)
        carry_out(connection, script("009"))
        connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid ="
            " 'dashboard_share_shared_by_idx_009'::regclass"
        )
        carry_out(connection, script("009", "rollback"))
        assert str(catalog.diff(before, catalog.snapshot(connection))).splitlines()[1:] == []


def test_redundant_unused_and_missing_indexes_are_reported(shared: Connection) -> None:
    with shared.transaction(force_rollback=True):
        shared.execute(
            "CREATE INDEX narrow ON customer (org_id); CREATE INDEX other ON customer (name DESC)"
        )
        shared.execute("DROP INDEX ticket_comment_user_id_idx_009")
        redundant = named_checks.report(shared, "redundant_indexes")
        assert "customer_org_id_name_idx" in set(
            redundant[redundant["redundant_index"] == "narrow"]["covered_by"]
        )
        assert "other" not in set(redundant["redundant_index"])
        unused = named_checks.report(shared, "unused_indexes")
        assert {"other", "narrow"} <= set(unused["unused_index"])
        assert "customer_pkey" not in set(unused["unused_index"])
        assert "ai_message_timestamp_idx" in set(
            unused["unused_index"]
        )  # of the partitioned table, its partitions counted
        assert not any("_2025_q" in name for name in unused["unused_index"])
        missing = named_checks.report(shared, "missing_indexes")
        assert list(missing["how"]) == ["CREATE INDEX CONCURRENTLY ON ticket_comment (user_id)"]
