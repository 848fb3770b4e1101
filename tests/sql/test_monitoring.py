"""The strategy's monitoring, integrity suite and error handler, on today's catalogues."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import psycopg
import pytest

from mantis_runbook import settings
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server

FILES = sorted((settings.sql() / "monitoring").glob("0*.sql"))


@pytest.fixture
def watched(baseline: Connection) -> Connection:
    """A baseline database with the monitoring functions, installed twice."""
    baseline.execute("CREATE SCHEMA mantis_runbook")
    baseline.execute((settings.sql() / "ledger" / "050_finding_before.sql").read_text())
    for path in (*FILES, *FILES):
        baseline.execute(path.read_text())
    baseline.execute("SET search_path = public, mantis_runbook, pg_temp")
    return baseline


@pytest.fixture
def others(watched: Connection, server: Server) -> Iterator[list[Connection]]:
    """Two more connections to the same database, which begin transactions by themselves."""
    with ExitStack() as stack:
        parameters = server.parameters | {"dbname": watched.info.dbname}
        yield [stack.enter_context(psycopg.connect(**parameters)) for _ in range(2)]


def sample(connection: Connection) -> dict[str, object]:
    cursor = connection.execute("SELECT * FROM monitor_migration_performance()")
    return dict(zip([column.name for column in cursor.description], cursor.fetchone(), strict=True))


def until(connection: Connection, statement: str) -> None:
    deadline = time.monotonic() + 20
    while not connection.execute(statement).fetchone()[0]:
        assert time.monotonic() < deadline, statement
        time.sleep(0.02)


def in_background(connection: Connection, statement: str) -> threading.Thread:
    def work() -> None:
        try:
            connection.execute(statement)
            connection.commit()
        except psycopg.Error:
            connection.rollback()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


# -- monitor ---------------------------------------------------------------------------------------


def test_a_quiet_database_shows_the_strategys_columns_and_not_the_watcher(
    watched: Connection,
) -> None:
    shown = sample(watched)
    assert list(shown) == [
        "timestamp", "active_connections", "waiting_queries", "avg_query_time", "cache_hit_ratio",
        "disk_usage_gb",
    ]  # fmt: skip
    assert (shown["active_connections"], shown["waiting_queries"], shown["avg_query_time"]) == (
        0,
        0,
        None,
    )
    assert 0 <= shown["cache_hit_ratio"] <= 100
    assert shown["disk_usage_gb"] >= 0


def test_who_waits_for_a_lock_is_counted(watched: Connection, others: list[Connection]) -> None:
    others[0].execute("LOCK TABLE customer")
    waiting = in_background(others[1], "SELECT count(*) FROM customer")
    until(watched, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
    until(watched, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    shown = sample(watched)
    others[0].rollback()
    waiting.join()
    assert (shown["active_connections"], shown["waiting_queries"]) == (1, 1)
    assert shown["avg_query_time"] > timedelta(0)


def test_a_database_of_which_nothing_was_read_divides_by_nothing(watched: Connection) -> None:
    """The ratio as the function has it, over counters that stand at zero."""
    text = FILES[0].read_text()
    ratio = "round(100.0 * blks_hit / nullif(blks_hit + blks_read, 0), 2)"
    assert ratio in text
    assert watched.execute(
        f"SELECT {ratio} FROM (SELECT 0::bigint, 0::bigint) AS s (blks_hit, blks_read)"
    ).fetchone() == (None,)


# -- integrity suite -------------------------------------------------------------------------------


def suite(connection: Connection) -> dict[str, tuple[str, str]]:
    cursor = connection.execute("SELECT * FROM validate_schema_integrity()")
    assert [column.name for column in cursor.description] == ["check_name", "status", "details"]
    return {name: (status, details) for name, status, details in cursor}


def test_the_baseline_has_everything_but_the_policies(watched: Connection) -> None:
    assert {name: status for name, (status, _) in suite(watched).items()} == {
        "table_count": "PASS",
        "rls_policies": "FAIL",
        "performance_indexes": "PASS",
        "constraints": "PASS",
        "invalid_indexes": "PASS",
        "unvalidated_constraints": "PASS",
        "tenant_policies": "PASS",
    }


@pytest.mark.parametrize(
    ("statement", "name", "details"),
    [
        (
            "DROP VIEW v_inventory_alerts; DROP TABLE dashboard_share, dashboard_favorite,"
            " widget_data_cache, ticket_comment CASCADE",
            "table_count",
            "Expected minimum 50 tables, found: 4",
        ),
        ("SELECT", "rls_policies", "Expected minimum 30 RLS policies, found: 2"),
        (
            "DROP TABLE customer, supplier, organization, ai_conversation, automation_pipeline,"
            " dashboard, customer_interaction, ai_message,"
            " pipeline_execution, system_metric, inventory_item, purchase_order, support_ticket,"
            " profile, audit_log, notification CASCADE",
            "performance_indexes",
            "Expected minimum 100 indexes, found: ",
        ),
        (
            "DROP TABLE customer, supplier, organization, ai_conversation, automation_pipeline,"
            " dashboard, customer_interaction, ai_message,"
            " pipeline_execution, system_metric, inventory_item, purchase_order, support_ticket,"
            " profile, audit_log, notification,"
            " integration_connector, data_import, widget, alert_rule, ai_dataset,"
            " integration_log, purchase_order_item CASCADE",
            "constraints",
            "Expected minimum 150 constraints, found: ",
        ),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid ="
            " 'supplier_org_id_name_idx'::regclass",
            "invalid_indexes",
            "Expected no invalid index, found: supplier_org_id_name_idx",
        ),
        (
            "ALTER TABLE customer ADD CONSTRAINT named CHECK (name <> '') NOT VALID",
            "unvalidated_constraints",
            "Expected no unvalidated constraint, found: named",
        ),
        (
            "ALTER TABLE customer DISABLE ROW LEVEL SECURITY; DROP"
            " POLICY widget_of_own_organization ON widget",
            "tenant_policies",
            "Expected no tenant table without a policy, found: customer, widget",
        ),
    ],
)
def test_each_check_of_the_suite_can_fail(
    watched: Connection, statement: str, name: str, details: str
) -> None:
    with watched.transaction(force_rollback=True):
        watched.execute(statement)
        status, said = suite(watched)[name]
    assert status == "FAIL"
    assert said.startswith(details)


# -- error handler ---------------------------------------------------------------------------------


def deadlock(one: Connection, two: Connection) -> None:
    first, second = (
        "UPDATE organization SET name = name WHERE id = (SELECT id FROM organization ORDER BY id"
        f" OFFSET {n} LIMIT 1)"
        for n in range(2)
    )
    for connection in (one, two):
        connection.execute("SET deadlock_timeout = '50ms'")
    one.execute(first)
    two.execute(second)
    waiting = in_background(one, second)
    with_two = in_background(two, first)
    for thread in (waiting, with_two):
        thread.join()
    for connection in (one, two):
        if connection.info.server_version >= 150000:
            connection.execute("SELECT pg_stat_force_next_flush()")
        connection.commit()


def test_without_a_recorded_start_nothing_can_be_said(watched: Connection) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="No start is recorded"):
        watched.execute("SELECT migration_error_handler()")


def test_a_deadlock_since_the_start_raises_as_the_strategy_says(
    watched: Connection, others: list[Connection]
) -> None:
    watched.execute("SELECT start_error_watch()")
    watched.execute("SELECT migration_error_handler()")
    deadlock(*others)
    until(watched, "SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = current_database()")
    with pytest.raises(
        psycopg.errors.RaiseException, match="Database conflicts detected, triggering rollback"
    ) as caught:
        watched.execute("SELECT migration_error_handler()")
    assert "1 deadlock(s)" in str(caught.value)
    watched.execute("SELECT start_error_watch()")
    watched.execute("SELECT migration_error_handler()")


def test_statistics_reset_since_the_start_are_no_good_news(watched: Connection) -> None:
    watched.execute("SELECT start_error_watch()")
    watched.execute("SELECT pg_stat_reset()")
    until(
        watched,
        "SELECT stats_reset IS NOT NULL FROM pg_stat_database WHERE datname = current_database()",
    )
    with pytest.raises(psycopg.errors.RaiseException, match="statistics were reset"):
        watched.execute("SELECT migration_error_handler()")


def test_the_start_of_a_cloned_database_is_not_ours(watched: Connection) -> None:
    watched.execute("SELECT start_error_watch()")
    watched.execute("UPDATE mantis_runbook.error_baseline SET datid = 1")
    with pytest.raises(psycopg.errors.RaiseException, match="No start is recorded"):
        watched.execute("SELECT migration_error_handler()")
