"""The monitor: figures once a second, who waits for whom, and what it cannot see it says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from mantis_runbook import charts, settings
from mantis_runbook.engine import ledger
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target
from mantis_runbook.watch.monitor import BLIND, NO_FUNCTION, Monitor, Reading, Wait, behind_us


@pytest.fixture
def target(database: Target) -> Target:
    """A baseline database as phase 0 leaves it: the runbook's own schema, and the monitoring
    functions.
    """
    with connect(database, "test") as connection:
        ledger.install(connection)
        for path in sorted((settings.sql() / "monitoring").glob("0*.sql")):
            connection.execute(path.read_text())
    return database


@contextmanager
def session(target: Target, name: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(**target.parameters | {"application_name": name}) as connection:
        yield connection
        connection.rollback()


def in_background(connection: psycopg.Connection, statement: str) -> threading.Thread:
    def work() -> None:
        try:
            connection.execute(statement)
            connection.commit()
        except psycopg.Error:
            connection.rollback()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def until(monitor: Monitor, condition: Callable[[Reading], bool]) -> Reading:
    deadline = time.monotonic() + 30
    while monitor.latest is None or not condition(monitor.latest):
        assert time.monotonic() < deadline, monitor.latest
        time.sleep(0.02)
    return monitor.latest


# -- on a server -----------------------------------------------------------------------------------


def test_the_strategys_figures_are_read_and_kept(target: Target, tmp_path: Path) -> None:
    heard: list[Reading] = []
    with Monitor(
        target, tmp_path, interval_s=0.1, disk=tmp_path / "not made yet", subscribers=[heard.append]
    ) as monitor:
        with session(target, "app") as app:
            in_background(app, "SELECT pg_sleep(0.5)").join()
        time.sleep(0.3)
    result = monitor.result
    assert (
        3
        <= result.readings
        == len(heard)
        == len((tmp_path / "monitor.jsonl").read_text().splitlines())
    )
    assert result.peaks["active_connections"] >= 1
    assert result.peaks["disk_left_mb"] > 0
    assert result.peaks["wal_bytes_per_s"] >= 0
    assert result.notes == ()
    assert len(result.frame) == len(result.records) == result.readings
    assert charts.monitoring(result.frame).finding.startswith("In ")
    assert heard[0].wal_bytes_per_s is None


def test_who_waits_for_whom_is_named_without_what_they_say(target: Target, tmp_path: Path) -> None:
    with (
        session(target, "first") as first,
        session(target, "second") as second,
        Monitor(target, tmp_path, interval_s=0.1) as monitor,
    ):
        first.execute("LOCK TABLE customer")
        waiting = in_background(
            second, "/* x */ SELECT name FROM customer WHERE name = 'secret name'"
        )
        seen = until(monitor, lambda reading: bool(reading.waits))
        holder = first.info.backend_pid
        first.rollback()
        waiting.join()
    (wait,) = seen.waits
    assert (wait.application, wait.waits_for, wait.mode) == (
        "second",
        "customer",
        "AccessShareLock",
    )
    assert (wait.blocked_by, wait.blocker, wait.blocker_state) == (
        holder,
        "first",
        "idle in transaction",
    )
    assert wait.blocker_command == "LOCK"
    assert "waits" in str(wait)
    assert "held by pid" in str(wait)
    assert seen.behind_us == ()
    assert seen.waiting_queries == 1
    assert "secret" not in (tmp_path / "monitor.jsonl").read_text()


def test_those_behind_us_are_told_from_those_behind_each_other(
    target: Target, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        engine, direct, beside, other, there = (
            stack.enter_context(session(target, name))
            for name in ("mantis-runbook/migrate 009", "direct", "beside", "other", "there")
        )
        there.execute("LOCK TABLE supplier")
        engine.execute("LOCK TABLE customer")
        direct.execute("LOCK TABLE organization")
        threads = [
            in_background(direct, "SELECT FROM customer"),
            in_background(other, "SELECT FROM supplier"),
            in_background(beside, "SELECT FROM organization"),
        ]
        with Monitor(target, tmp_path, interval_s=0.1) as monitor:
            seen = until(monitor, lambda reading: len({wait.pid for wait in reading.waits}) == 3)
            expected = {direct.info.backend_pid, beside.info.backend_pid}
            later = until(
                monitor, lambda reading: max(reading.behind_us, default=0) > seen.behind_us[0] + 0.3
            )
        engine.rollback()
        there.rollback()
        for thread in threads:
            thread.join()
    assert set(behind_us(seen.waits)) == expected
    assert len(seen.behind_us) == 2
    assert seen.waiting_queries == 3
    assert later.record["behind_us_s"] > seen.record["behind_us_s"]


def test_a_deadlock_is_counted_from_the_monitors_beginning(target: Target, tmp_path: Path) -> None:
    deadlock(target)
    with Monitor(target, tmp_path, interval_s=0.1) as monitor:
        assert until(monitor, lambda reading: True).deadlocks == 0
        deadlock(target)
        assert until(monitor, lambda reading: reading.deadlocks > 0).deadlocks == 1


def deadlock(target: Target) -> None:
    """Two sessions, each with what the other wants; one of them is ended by the server."""
    with session(target, "one") as one, session(target, "two") as two:
        one.execute("LOCK TABLE customer")
        two.execute("LOCK TABLE supplier")
        threads = [
            in_background(one, "SELECT FROM supplier"),
            in_background(two, "SELECT FROM customer"),
        ]
        for thread in threads:
            thread.join()


def test_a_role_that_sees_no_other_sessions_says_so_and_counts_locks_all_the_same(
    target: Target, tmp_path: Path
) -> None:
    with connect(target, "test") as connection:
        connection.execute("DROP ROLE IF EXISTS modest")
        connection.execute("CREATE ROLE modest LOGIN")
        connection.execute("GRANT USAGE ON SCHEMA mantis_runbook TO modest")
    modest = Target("MODEST", "variable", target.parameters | {"user": "modest"})
    try:
        with session(target, "mantis-runbook/migrate 009") as engine, session(target, "app") as app:
            engine.execute("LOCK TABLE customer")
            waiting = in_background(app, "SELECT FROM customer")
            with Monitor(modest, tmp_path, interval_s=0.1) as monitor:
                seen = until(monitor, lambda reading: bool(reading.behind_us))
            engine.rollback()
            waiting.join()
        assert seen.waits[0].command is None
        assert seen.waits[0].application == "app"
        assert monitor.result.notes == (BLIND,)
    finally:
        with connect(target, "test") as connection:
            connection.execute("DROP OWNED BY modest")
            connection.execute("DROP ROLE modest")


def test_before_phase_0_the_figures_are_read_without_its_function(
    database: Target, tmp_path: Path
) -> None:
    with Monitor(database, tmp_path, interval_s=0.1) as monitor:
        seen = until(monitor, lambda reading: True)
    assert seen.disk_usage_gb > 0
    assert monitor.result.notes == (NO_FUNCTION,)


def test_a_server_that_goes_away_is_noted_and_asked_again(  # type: ignore[no-untyped-def]
    own_server, tmp_path: Path
) -> None:
    server: Server = own_server()
    with Monitor(Target("OWN", "variable", server.parameters), tmp_path, interval_s=0.1) as monitor:
        before = until(monitor, lambda reading: True)
        server.stop("immediate")
        time.sleep(0.4)
        server.start()
        until(monitor, lambda reading: reading.at > before.at and reading.deadlocks == 0)
        count = monitor.result.readings
        time.sleep(1)
        assert monitor.result.readings > count
    assert any(
        note.startswith("the monitor could not read for a while") for note in monitor.result.notes
    )


def test_a_listener_that_fails_does_not_end_the_watch(target: Target, tmp_path: Path) -> None:
    def broken(reading: Reading) -> None:
        raise ValueError

    with Monitor(target, tmp_path, interval_s=0.05, subscribers=[broken]) as monitor:
        time.sleep(0.5)
    assert monitor.result.readings > 2
    assert monitor.result.notes == ("a listener of the monitor failed: ValueError",)


def test_a_server_that_was_never_there_is_noted(tmp_path: Path) -> None:
    nobody = Target(
        "NOBODY", "variable", {"host": str(tmp_path), "port": "1", "dbname": "x", "user": "x"}
    )
    with Monitor(nobody, tmp_path, interval_s=0.1) as monitor:
        assert monitor.latest is None
    assert monitor.result.readings == 0
    assert len(monitor.result.frame) == 0
    assert "cannot connect to target NOBODY" in monitor.result.notes[0]


def test_a_long_run_is_thinned_to_its_worst_moments(tmp_path: Path) -> None:
    path = tmp_path / "monitor.jsonl"
    lines = [
        {"at": str(n), "waiting_queries": int(n == 777), "avg_query_ms": 1.0} for n in range(2000)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"torn')
    from mantis_runbook.watch.monitor import MonitorResult

    shown = MonitorResult(path, 2000, {}, ()).records
    assert len(shown) == 500
    assert [one["at"] for one in shown if one["waiting_queries"]] == ["777"]


# -- pure ------------------------------------------------------------------------------------------


def wait(pid: int, blocked_by: int, blocker: str, application: str = "app") -> Wait:
    return Wait(
        pid,
        application,
        "SELECT",
        1.0,
        "t",
        "AccessShareLock",
        blocked_by,
        blocker,
        "active",
        "ALTER",
    )


@pytest.mark.parametrize(
    ("waits", "expected"),
    [
        ([], set()),
        ([wait(1, 9, "mantis-runbook/migrate 001")], {1}),
        ([wait(1, 9, "other")], set()),
        ([wait(2, 1, "app"), wait(1, 9, "mantis-runbook/migrate 001")], {1, 2}),
        (
            [
                wait(9, 5, "reader", "mantis-runbook/migrate 001"),
                wait(1, 9, "mantis-runbook/migrate 001"),
            ],
            {1},
        ),
        ([wait(1, 9, "mantis-runbook/migrate 001", "mantis-runbook/probe")], set()),
        ([wait(1, 2, "app"), wait(2, 1, "app")], set()),
    ],
    ids=["nobody", "direct", "others", "second hand", "the engine itself", "the probe", "a circle"],
)
def test_who_is_behind_us(waits: list[Wait], expected: set[int]) -> None:
    assert set(behind_us(waits)) == expected
