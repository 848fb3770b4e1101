"""Stopping: whatever the engine waits for when the guard trips, the work ends, and nothing is half
done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from workbench import Bench, Beside, beside, limits, wait_for

from mantis_runbook.engine import nontransactional_step
from mantis_runbook.errors import GuardTripped
from mantis_runbook.migrations.files import Migration
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.watch.guard import Guard, Trip

#: A trip ends the work within a second; the rest is for a machine that does much else. Without the
#: question every one of these waits lasts `DEADLINE_S` or longer.
ENDED_S, DEADLINE_S = 6.0, 20

ALTER = "-- step: column\nALTER TABLE old ADD COLUMN fresh text;"
INDEX = "-- step: index\nCREATE INDEX CONCURRENTLY old_touched_idx ON old (touched);"
FILL = """
-- step: fill  batched over old
UPDATE old SET touched = touched + 1 WHERE id > $1 AND id <= $2;
"""


class Tripping:
    """What the guard is to the engine, without its hand on the server: nothing is cancelled, so it
    must be asked.
    """

    def __init__(self) -> None:
        self.tripped = threading.Event()

    def stop(self) -> None:
        if self.tripped.is_set():
            raise GuardTripped("the guard stopped the migration")


@contextmanager
def holding(bench: Bench, statement: str, name: str = "reader") -> Iterator[Connection]:
    """A session that stays in a transaction with a snapshot, and with what the statement locked."""
    with bench.connect(name) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        connection.execute(statement)
        yield connection
        connection.execute("ROLLBACK")


@contextmanager
def at_work(
    bench: Bench, migration: Migration, tripping: Tripping, **changes: int
) -> Iterator[Beside]:
    """The engine in a thread, with deadlines far away."""

    def work() -> None:
        with bench.engine(
            **{"step_deadline_s": DEADLINE_S, "concurrently_deadline_s": DEADLINE_S} | changes
        ) as engine:
            engine.stop = tripping.stop
            engine.up(migration)

    with beside(work) as runner:
        try:
            yield runner
        finally:
            tripping.tripped.set()


def ends(runner: Beside, tripping: Tripping) -> None:
    """Trip, and see the work end for that reason, in time."""
    assert runner.is_alive()
    began = time.monotonic()
    tripping.tripped.set()
    runner.join(ENDED_S)
    assert not runner.is_alive(), f"still at work {time.monotonic() - began:.1f} s after the trip"
    assert isinstance(runner.error, GuardTripped), runner.error


def waits(bench: Bench, times: int = 1) -> None:
    wait_for(
        lambda: [1 for event, _ in bench.heard if event == "step.waiting"][times - 1 :],
        "the engine to wait",
    )


def test_while_it_waits_for_a_lock(bench: Bench) -> None:
    tripping, migration = Tripping(), bench.migration(ALTER)
    with holding(bench, "SELECT FROM old"), at_work(bench, migration, tripping) as runner:
        waits(bench, 2)
        ends(runner, tripping)
    assert bench.status() == "failed"
    assert bench.journal() == []


@pytest.mark.parametrize(
    "pause_ms", [250, 20_000], ids=["as in every environment", "twenty seconds"]
)
def test_while_it_pauses_between_two_tries(bench: Bench, pause_ms: int) -> None:
    """However long a pause the settings want."""
    tripping, migration = Tripping(), bench.migration(ALTER)
    with (
        holding(bench, "SELECT FROM old"),
        at_work(bench, migration, tripping, retry_pause_ms=pause_ms) as runner,
    ):
        waits(bench)
        ends(runner, tripping)
    assert bench.status() == "failed"


def test_while_it_waits_for_an_old_snapshot(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nontransactional_step, "OLD_SNAPSHOT_S", 0.0)
    tripping, migration = Tripping(), bench.migration(INDEX)
    with (
        holding(bench, "SELECT count(*) FROM pg_class"),
        at_work(bench, migration, tripping) as runner,
    ):
        waits(bench, 2)
        ends(runner, tripping)
    assert bench.journal("started") == [], "the build was not begun"
    assert bench.there("old_touched_idx") == [False]


def test_while_somebody_else_builds_the_index(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tripping, migration = Tripping(), bench.migration(INDEX)
    monkeypatch.setattr(nontransactional_step, "OLD_SNAPSHOT_S", 3600.0)
    with holding(bench, "INSERT INTO old VALUES (0, 'zero')") as writer:
        with beside(lambda: bench.sql(INDEX.splitlines()[1])) as other:
            wait_for(
                lambda: bench.sql("SELECT 1 FROM pg_stat_progress_create_index"), "the other build"
            )
            with at_work(bench, migration, tripping) as runner:
                waits(bench, 2)
                ends(runner, tripping)
            writer.execute("ROLLBACK")
        assert other.error is None
    assert (
        bench.value(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'old_touched_idx'::regclass"
        )
        is True
    )


def test_while_a_backfill_pauses(bench: Bench) -> None:
    """Somebody queues for a lock, so that the backfill gives way after its batch."""
    bench.sql("CREATE TABLE brake (id integer)")
    tripping, migration = Tripping(), bench.migration(FILL)
    with (
        holding(bench, "LOCK TABLE brake") as holder,
        beside(lambda: bench.sql("SELECT FROM brake")),
    ):
        wait_for(lambda: bench.sql("SELECT 1 FROM pg_locks WHERE NOT granted"), "somebody to wait")
        with at_work(bench, migration, tripping) as runner:
            wait_for(lambda: bench.journal("batch"), "a batch")
            ends(runner, tripping)
        holder.execute("ROLLBACK")
    assert len(bench.journal("batch")) == 1
    assert bench.journal() == []


def test_while_it_reads_the_catalogue(bench: Bench) -> None:
    """Before the first step: nothing was begun, so nothing failed."""
    tripping, migration = Tripping(), bench.migration(ALTER)
    with holding(bench, "LOCK TABLE old") as holder, at_work(bench, migration, tripping) as runner:
        wait_for(
            lambda: bench.sql(
                "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'old'::regclass"
            ),
            "the catalogue's reader",
        )
        ends(runner, tripping)
        holder.execute("ROLLBACK")
    assert bench.status() is None


HELD = {"a build": "INSERT INTO old VALUES (0, 'zero')", "the catalogue before": "LOCK TABLE old"}


@pytest.mark.parametrize(
    "where", ["a step", "a build", "the catalogue before", "the catalogue after"]
)
def test_what_the_guard_cancels_ends_for_the_guards_reason(bench: Bench, where: str) -> None:
    """The real guard, which cancels what runs: the error is its own, and not of a statement that
    was cancelled.
    """
    slow = "-- step: slow\nCREATE TABLE fresh (id integer);\nSELECT pg_sleep(60);"
    migration = bench.migration(
        INDEX if where == "a build" else slow if where == "a step" else ALTER
    )
    guard = Guard(bench.target, limits())
    asleep = (
        "application_name = 'mantis-runbook/migrate 001' AND wait_event_type IN ('Lock', 'Timeout')"
    )

    def work() -> None:
        with guard, bench.engine(step_deadline_s=DEADLINE_S, lock_timeout_ms=10_000) as engine:
            engine.stop, engine.watch = guard.stop, hear
            engine.up(migration)

    def hear(event: str, **_: Any) -> None:
        if (event, where) == ("step.finished", "the catalogue after"):
            holder.execute("LOCK TABLE old")

    with bench.connect("holder") as holder:
        holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        holder.execute(HELD.get(where, "SELECT 1"))
        with beside(work) as runner:
            wait_for(
                lambda: bench.sql(f"SELECT 1 FROM pg_stat_activity WHERE {asleep}"),
                "the engine to wait",
            )
            guard.trip = Trip("deadlocks", 1, 1, bench.value("SELECT now()"))
            runner.join(ENDED_S)
            assert not runner.is_alive()
        holder.execute("ROLLBACK")
    assert isinstance(runner.error, GuardTripped), runner.error
    assert "deadlocks 1 at " in str(runner.error)
    assert bench.status() == (None if where == "the catalogue before" else "failed")
