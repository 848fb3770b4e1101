"""Lock etiquette on the hard cases, under load: the application never waits as long as we do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from workbench import wait_for

from mantis_runbook import settings
from mantis_runbook.engine import ledger, nontransactional_step
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.engine.results import Applied
from mantis_runbook.errors import LockNotObtained
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.files import Migration
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.target import Target
from mantis_runbook.settings import Environment
from mantis_runbook.watch import samples
from mantis_runbook.watch.application_load import Load, running, scenarios
from mantis_runbook.watch.monitor import Monitor
from mantis_runbook.watch.probe import FILE, Probe

#: How long the others hold on to what we want: while a plain statement waits for them, and while
#: the engine does.
HELD_S = 3.0
READ_S = 10.0

#: What others may notice of the engine at most, as a share of what they noticed of the plain
#: statement in the same run. The engine gives way after 100 ms; the rest is for a machine that does
#: much else.
SHARE = 0.5

TOUCHED = ("customer", "organization")

#: Of the probe: a reader and a writer of each table, and one that writes rows of its own.
LANES = 2 * len(TOUCHED) + 1

UP = """\
-- Migration 001: Tiers of customers
-- phase: 1
-- step: column
ALTER TABLE customer ADD COLUMN tier integer;
-- step: default
ALTER TABLE organization ADD COLUMN first_tier integer;
-- step: notes
CREATE TABLE customer_note (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), customer_id uuid NOT NULL
);
-- step: notes belong to customers
ALTER TABLE customer_note ADD CONSTRAINT customer_note_customer
    FOREIGN KEY (customer_id) REFERENCES customer NOT VALID;
-- step: index
CREATE INDEX CONCURRENTLY customer_tier_idx ON customer (tier);
"""
ROLLBACK = """\
-- step: index
DROP INDEX CONCURRENTLY IF EXISTS customer_tier_idx;
-- step: table
DROP TABLE IF EXISTS customer_note;
-- step: default
ALTER TABLE organization DROP COLUMN IF EXISTS first_tier;
-- step: column
ALTER TABLE customer DROP COLUMN IF EXISTS tier;
"""

Blocker = Callable[[Target, float], AbstractContextManager[None]]


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
    return migration_files.load(folder)[0]


def environment(**limits: int) -> Environment:
    return settings.environment("development").model_copy(update=limits)


def applied(
    target: Target, migration: Migration, heard: list[str] | None = None, **limits: int
) -> Applied:
    """Carried out by the engine; `heard` takes up whom it said to wait for."""

    def hear(event: str, **facts: Any) -> None:
        if event == "step.waiting" and heard is not None:
            heard.extend(facts["blockers"])

    with hold(target, "run", "tester", patience_s=30) as fence:
        return Engine(target, environment(**limits), "run", "tester", fence, hear).up(migration)


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
def readers(target: Target, seconds: float) -> Iterator[None]:
    """One for each table that the migration touches, with its transaction left open."""
    with ExitStack() as stack:
        sessions = [stack.enter_context(session(target, f"reader of {table}")) for table in TOUCHED]
        for table, connection in zip(TOUCHED, sessions, strict=True):
            connection.execute(f"SELECT count(*) FROM {table}")
        for connection in sessions:
            stack.enter_context(ended_after(seconds, connection.commit))
        yield


@contextmanager
def forgotten_writer(target: Target, seconds: float) -> Iterator[None]:
    with session(target, "idle in transaction") as connection:
        connection.execute(FORGOTTEN)
        with ended_after(seconds, connection.rollback):
            yield


@contextmanager
def long_vacuum(target: Target, seconds: float) -> Iterator[None]:
    with psycopg.connect(
        **target.parameters | {"application_name": "vacuum"}, autocommit=True
    ) as connection:
        connection.execute("SET vacuum_cost_delay = '100ms'")
        connection.execute("SET vacuum_cost_limit = 1")

        def work() -> None:
            with suppress(psycopg.errors.QueryCanceled):
                connection.execute("VACUUM (DISABLE_PAGE_SKIPPING) customer")

        vacuum = threading.Thread(target=work)
        vacuum.start()
        until(
            target,
            "SELECT count(*) = 1 FROM pg_stat_progress_vacuum WHERE relid = 'customer'::regclass",
        )
        with ended_after(seconds, connection.cancel_safe):
            yield
        vacuum.join()


@contextmanager
def other_index_build(target: Target, seconds: float) -> Iterator[None]:
    """Another session builds an index concurrently, and is itself held up by an old snapshot.

    It has got as far as waiting for that one: before, it would wait for those who wait for it.
    """
    with (
        session(target, "old snapshot") as old,
        psycopg.connect(**target.parameters, autocommit=True) as builder,
    ):
        old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT count(*) FROM pg_class")
        build = threading.Thread(
            target=builder.execute, args=("CREATE INDEX CONCURRENTLY ON customer (phone)",)
        )
        build.start()
        until(
            target,
            "SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE phase = 'waiting for old"
            f" snapshots' AND current_locker_pid = {old.info.backend_pid}",
        )
        with ended_after(seconds, old.rollback):
            yield
        build.join()


FORGOTTEN = (
    "UPDATE customer SET phone = phone WHERE id = (SELECT id FROM customer ORDER BY id DESC"
    " LIMIT 1)"
)

#: Each with the seconds it stands in the engine's way.
BLOCKERS: dict[str, tuple[Blocker, float]] = {
    "a reader with an open transaction on each table": (readers, READ_S),
    "a session idle in its transaction": (forgotten_writer, HELD_S),
    "a long vacuum": (long_vacuum, HELD_S),
    "another session's index build": (other_index_build, HELD_S),
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
        running(target, clients=2, rate=20.0, scripts=scenarios) as load,
        Probe(target, TOUCHED, folder, rate_hz=50) as probe,
    ):
        time.sleep(0.5)
        yield probe, load


def longest_ms(probe: Probe, table: str, begin: str, end: str) -> float:
    """The longest time without a success that readers or writers of the table saw between two
    marks.
    """
    found = samples.figures(samples.read(probe.result.file), begin, end)
    return max(lane.longest_gap.ms for lane in found.lanes if lane.lane.endswith(table))


def noticed_plainly_ms(probe: Probe) -> float:
    plain_ms = longest_ms(probe, "customer", "plain", "plain done")
    assert plain_ms > 0.8 * HELD_S * 1000, (
        "without etiquette the application waits as long as we do"
    )
    return plain_ms


def plainly(target: Target, probe: Probe, folder: Path, blocker: Blocker) -> None:
    """The change as a session without a lock timeout makes it: what the application notices of that
    is the measure.
    """
    with blocker(target, HELD_S), connect(target, "plain", lock_timeout="0") as plain:
        probe.mark("plain")
        plain.execute("ALTER TABLE customer ADD COLUMN plain_tier integer")
        probe.mark("plain done")
    # What it left must not count for what comes next: nobody waits any more, and every lane had an
    # answer since.
    until(target, "SELECT count(*) = 0 FROM pg_locks WHERE NOT granted")
    probe.mark("quiet")

    def all_answered() -> bool:
        seen = list(samples.read(folder / FILE))
        since = max((one.at_s for one in seen if one.outcome == "quiet"), default=None)
        answered = {
            one.lane
            for one in seen
            if since is not None and one.at_s > since and one.outcome == samples.OK
        }
        return len(answered) == LANES

    wait_for(all_answered, "an answer in every lane")


def complete(target: Target) -> bool:
    """Whether all that the migration makes is there, and valid."""
    with connect(target, "test") as connection:
        index = connection.execute(
            "SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = 'customer'::regclass"
        )
        columns = connection.execute(
            "SELECT count(*) FROM pg_attribute WHERE attrelid IN ('customer'::regclass,"
            " 'organization'::regclass) AND attname IN ('tier', 'first_tier')"
        )
        made = connection.execute(
            "SELECT to_regclass('customer_tier_idx') IS NOT NULL, to_regclass('customer_note') IS"
            " NOT NULL"
        )
        status = connection.execute(
            "SELECT status FROM mantis_runbook.schema_migrations WHERE version = '001'"
        )
        found = (*index.fetchone(), *columns.fetchone(), *made.fetchone(), *status.fetchone())
    return found == (True, 2, True, True, "completed")


# -- the engine, beside a plain statement ----------------------------------------------------------


@pytest.mark.parametrize(("blocker", "held_s"), BLOCKERS.values(), ids=BLOCKERS)
def test_the_application_does_not_wait_as_long_as_we_do(
    target: Target, migration: Migration, tmp_path: Path, blocker: Blocker, held_s: float
) -> None:
    """The same change twice in one run: by a session without a lock timeout, then by the engine."""
    behind: list[float] = []
    with application(target, tmp_path) as (probe, load):
        plainly(target, probe, tmp_path, blocker)
        hear = [lambda reading: behind.extend(reading.behind_us)]
        with Monitor(target, tmp_path, interval_s=0.1, subscribers=hear), blocker(target, held_s):
            probe.mark()
            done = applied(target, migration)
            probe.mark("migrated")
    plain_ms = noticed_plainly_ms(probe)
    for table in TOUCHED:
        assert longest_ms(probe, table, "migration", "migrated") < SHARE * plain_ms
    assert max(behind, default=0.0) * 1000 < SHARE * plain_ms, (
        "nor did any session of the load queue for longer"
    )
    assert sum(step.lock_waits for step in done.steps) >= 2
    assert done.duration_ms > 0.7 * held_s * 1000
    assert probe.result.errors == {}
    assert probe.result.problems == ()
    assert load.result.errors == ()
    assert load.result.processed > 0
    assert complete(target)


def test_a_blocked_index_build_names_its_blocker_and_finishes_once_it_is_gone(
    target: Target, migration: Migration, tmp_path: Path
) -> None:
    heard: list[str] = []
    with application(target, tmp_path) as (probe, load):
        plainly(target, probe, tmp_path, readers)
        with session(target, "monthly report") as old:
            named = f"pid {old.info.backend_pid} (monthly report"
            old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            old.execute("SELECT count(*) FROM pg_class")
            probe.mark()
            with pytest.raises(LockNotObtained, match="did not end within its deadline") as stuck:
                applied(target, migration, heard, concurrently_deadline_s=5)
            assert named in stuck.value.found
            assert any(one.startswith(named) for one in heard), (
                "and while it waited, not only at the end"
            )
            assert not complete(target)
        done = applied(target, migration)
        probe.mark("migrated")
    assert [step.state for step in done.steps] == ["done before"] * 4 + ["done"]
    plain_ms = noticed_plainly_ms(probe)
    for table in TOUCHED:
        assert longest_ms(probe, table, "migration", "migrated") < SHARE * plain_ms
    assert probe.result.errors == {}
    assert load.result.errors == ()
    assert complete(target)


def test_an_old_snapshot_is_named_before_the_build_begins(
    target: Target, migration: Migration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nontransactional_step, "OLD_SNAPSHOT_S", 0.3)
    with session(target, "monthly report") as old:
        old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT count(*) FROM pg_class")
        time.sleep(0.5)
        with pytest.raises(LockNotObtained, match="cannot build its index") as stuck:
            applied(target, migration, step_deadline_s=2, concurrently_deadline_s=20)
        assert f"session {old.info.backend_pid} (monthly report" in stuck.value.found
    with connect(target, "test") as connection:
        assert connection.execute("SELECT to_regclass('customer_tier_idx') IS NULL").fetchone() == (
            True,
        )


@pytest.mark.parametrize(
    ("name", "statement"),
    [("endless reader", "SELECT count(*) FROM customer"), ("forgotten", FORGOTTEN)],
    ids=["a reader", "a session idle in its transaction"],
)
def test_who_never_ends_is_named_at_the_deadline_and_nobody_waited_for_him(
    target: Target, migration: Migration, tmp_path: Path, name: str, statement: str
) -> None:
    with application(target, tmp_path) as (probe, _), session(target, name) as endless:
        plainly(target, probe, tmp_path, readers)
        endless.execute(statement)
        probe.mark()
        with pytest.raises(LockNotObtained, match="did not get its lock") as stuck:
            applied(target, migration, step_deadline_s=3)
        probe.mark("migrated")
        assert f"pid {endless.info.backend_pid} ({name}" in stuck.value.found
    plain_ms = noticed_plainly_ms(probe)
    assert longest_ms(probe, "customer", "migration", "migrated") < SHARE * plain_ms
    assert probe.result.errors == {}
