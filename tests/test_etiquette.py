"""Lock etiquette on the hard cases, under load: the application never waits as long as we do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from mantis_runbook import apply, ledger, migrations, settings
from mantis_runbook.apply import Applied, Engine
from mantis_runbook.database import connect
from mantis_runbook.errors import LockNotObtained
from mantis_runbook.lock import hold
from mantis_runbook.migrations import Migration
from mantis_runbook.probe import Probe, ProbeResult
from mantis_runbook.settings import Environment
from mantis_runbook.target import Target
from mantis_runbook.workload import Load, running, scenarios

#: How long the others hold on to what we want, and the share of it that the application may notice at most. The engine
#: gives way after 100 ms; the rest is for a machine that does much else.
HELD_S, SHARE = 3.0, 0.5

UP = """\
-- Migration 001: Tiers of customers
-- phase: 1
-- step: column
ALTER TABLE customer ADD COLUMN tier integer;
-- step: notes
CREATE TABLE customer_note (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), customer_id uuid NOT NULL);
-- step: notes belong to customers
ALTER TABLE customer_note ADD CONSTRAINT customer_note_customer FOREIGN KEY (customer_id) REFERENCES customer NOT VALID;
-- step: index
CREATE INDEX CONCURRENTLY customer_tier_idx ON customer (tier);
"""
ROLLBACK = """\
-- step: index
DROP INDEX CONCURRENTLY IF EXISTS customer_tier_idx;
-- step: table
DROP TABLE IF EXISTS customer_note;
-- step: column
ALTER TABLE customer DROP COLUMN IF EXISTS tier;
"""

Blocker = Callable[[Target], AbstractContextManager[None]]


@pytest.fixture
def target(database: Target) -> Target:
    """A baseline database with the runbook's own schema."""
    with connect(database, "test") as connection:
        ledger.install(connection)
    return database


@pytest.fixture
def migration(tmp_path: Path) -> Migration:
    """A column, a foreign key and an index on a table in use."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "001_tiers.sql").write_text(UP)
    (folder / "001_tiers_rollback.sql").write_text(ROLLBACK)
    (folder / "001_tiers_validate.sql").write_text("-- step: none\nSELECT 1 WHERE false;\n")
    return migrations.load(folder)[0]


def environment(**limits: int) -> Environment:
    return settings.environment("development").model_copy(update=limits)


def applied(target: Target, migration: Migration, **limits: int) -> Applied:
    with hold(target, "run", "tester") as fence:
        return Engine(target, environment(**limits), "run", "tester", fence).up(migration)


@contextmanager
def session(target: Target, name: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(**target.parameters | {"application_name": name}) as connection:
        yield connection
        if not connection.closed:
            connection.rollback()


@contextmanager
def ended_after(seconds: float, end: Callable[[], None]) -> Iterator[None]:
    """Call `end` so many seconds after the block began, and wait for it."""

    def work() -> None:
        with suppress(psycopg.Error):
            end()

    timer = threading.Timer(seconds, work)
    timer.start()
    try:
        yield
    finally:
        timer.join()


@contextmanager
def reader(target: Target) -> Iterator[None]:
    with session(target, "reader") as connection:
        connection.execute("SELECT count(*) FROM customer")
        with ended_after(HELD_S, connection.commit):
            yield


@contextmanager
def forgotten_writer(target: Target) -> Iterator[None]:
    with session(target, "idle in transaction") as connection:
        connection.execute(
            "UPDATE customer SET phone = phone WHERE id = (SELECT id FROM customer ORDER BY id DESC LIMIT 1)"
        )
        with ended_after(HELD_S, connection.rollback):
            yield


@contextmanager
def long_vacuum(target: Target) -> Iterator[None]:
    with psycopg.connect(**target.parameters | {"application_name": "vacuum"}, autocommit=True) as connection:
        connection.execute("SET vacuum_cost_delay = '100ms'")
        connection.execute("SET vacuum_cost_limit = 1")

        def work() -> None:
            with suppress(psycopg.errors.QueryCanceled):
                connection.execute("VACUUM (DISABLE_PAGE_SKIPPING) customer")

        vacuum = threading.Thread(target=work)
        vacuum.start()
        until(target, "SELECT count(*) = 1 FROM pg_stat_progress_vacuum WHERE relid = 'customer'::regclass")
        with ended_after(HELD_S, connection.cancel_safe):
            yield
        vacuum.join()


@contextmanager
def other_index_build(target: Target) -> Iterator[None]:
    """Another session builds an index concurrently, and is itself held up by an old snapshot."""
    with session(target, "old snapshot") as old, psycopg.connect(**target.parameters, autocommit=True) as builder:
        old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT count(*) FROM organization")
        build = threading.Thread(
            target=builder.execute, args=("CREATE INDEX CONCURRENTLY customer_phone_test ON customer (phone)",)
        )
        build.start()
        until(
            target,
            "SELECT count(*) = 1 FROM pg_locks WHERE relation = 'customer'::regclass AND mode = 'ShareUpdateExclusiveLock'",
        )
        with ended_after(HELD_S, old.rollback):
            yield
        build.join()


BLOCKERS: dict[str, Blocker] = {
    "a reader with an open transaction": reader,
    "a session idle in its transaction": forgotten_writer,
    "a long vacuum": long_vacuum,
    "another session's index build": other_index_build,
}


def until(target: Target, statement: str) -> None:
    deadline = time.monotonic() + 20
    with connect(target, "test") as connection:
        while connection.execute(statement).fetchone() != (True,):
            assert time.monotonic() < deadline, statement
            time.sleep(0.01)


@contextmanager
def application(target: Target, folder: Path) -> Iterator[tuple[Probe, Load]]:
    """The application at work, and the probe beside it."""
    with (
        running(target, clients=2, rate=20.0, scripts=scenarios()) as load,
        Probe(target, ("customer", "organization"), folder, rate_hz=50) as probe,
    ):
        time.sleep(0.5)
        yield probe, load


def longest_ms(result: ProbeResult, table: str) -> float:
    return max(lane.longest_gap.ms for lane in result.lanes if lane.lane.endswith(table))


# -- the control: what happens without etiquette -------------------------------------------------------------------


def test_a_plain_change_stalls_the_application_for_as_long_as_the_reader_reads(target: Target, tmp_path: Path) -> None:
    with (
        application(target, tmp_path) as (probe, _),
        reader(target),
        connect(target, "plain", lock_timeout="0") as plain,
    ):
        probe.mark()
        plain.execute("ALTER TABLE customer ADD COLUMN tier integer")
        probe.mark("migrated")
        time.sleep(0.3)
    assert longest_ms(probe.result, "customer") > 0.8 * HELD_S * 1000


# -- the engine ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocker", BLOCKERS.values(), ids=BLOCKERS)
def test_the_application_does_not_wait_as_long_as_we_do(
    target: Target, migration: Migration, tmp_path: Path, blocker: Blocker
) -> None:
    with application(target, tmp_path) as (probe, load), blocker(target):
        probe.mark()
        done = applied(target, migration)
        probe.mark("migrated")
    assert sum(step.lock_waits for step in done.steps) >= 2
    assert done.duration_ms > 0.7 * HELD_S * 1000
    for table in ("customer", "organization"):
        assert longest_ms(probe.result, table) < SHARE * HELD_S * 1000
    assert probe.result.errors == {}
    assert probe.result.problems == ()
    assert load.result.errors == ()
    assert load.result.processed > 0
    with connect(target, "test") as connection:
        valid = connection.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'customer_tier_idx'::regclass")
        assert valid.fetchone() == (True,)


def test_a_blocked_index_build_names_its_blocker_and_finishes_once_it_is_gone(
    target: Target, migration: Migration, tmp_path: Path
) -> None:
    with application(target, tmp_path) as (probe, load), session(target, "monthly report") as old:
        old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT count(*) FROM organization")
        probe.mark()
        with pytest.raises(LockNotObtained, match="did not end within its deadline") as stuck:
            applied(target, migration, concurrently_deadline_s=3)
        assert f"pid {old.info.backend_pid} (monthly report" in stuck.value.found
        old.rollback()
        done = applied(target, migration)
        probe.mark("migrated")
    assert [step.state for step in done.steps] == ["done before", "done before", "done before", "done"]
    assert longest_ms(probe.result, "customer") < SHARE * HELD_S * 1000
    assert probe.result.errors == {}
    assert load.result.errors == ()
    with connect(target, "test") as connection:
        valid = connection.execute("SELECT indisvalid FROM pg_index WHERE indrelid = 'customer'::regclass").fetchall()
        assert all(row == (True,) for row in valid)


def test_an_old_snapshot_is_named_before_the_build_begins(
    target: Target, migration: Migration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "OLD_SNAPSHOT_S", 0.3)
    with session(target, "monthly report") as old:
        old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT count(*) FROM organization")
        time.sleep(0.5)
        with pytest.raises(LockNotObtained, match="cannot build its index") as stuck:
            applied(target, migration, step_deadline_s=2, concurrently_deadline_s=20)
        assert f"session {old.info.backend_pid} (monthly report" in stuck.value.found
    with connect(target, "test") as connection:
        assert connection.execute("SELECT to_regclass('customer_tier_idx') IS NULL").fetchone() == (True,)


def test_a_reader_that_never_ends_is_named_at_the_deadline_and_nobody_waited_for_it(
    target: Target, migration: Migration, tmp_path: Path
) -> None:
    with application(target, tmp_path) as (probe, _), session(target, "endless reader") as endless:
        endless.execute("SELECT count(*) FROM customer")
        probe.mark()
        with pytest.raises(LockNotObtained, match="did not get its lock") as stuck:
            applied(target, migration, step_deadline_s=3)
        probe.mark("migrated")
        assert f"pid {endless.info.backend_pid} (endless reader" in stuck.value.found
    assert longest_ms(probe.result, "customer") < SHARE * HELD_S * 1000
    assert probe.result.errors == {}
