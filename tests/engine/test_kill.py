"""Kills: of the runner, of a backend, of the server, of the lock's session, at any moment; the next
run finishes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo
from workbench import Bench, Beside, beside, wait_for

from mantis_runbook.engine.fence import hold
from mantis_runbook.errors import FenceLost, Refused, StepFailed
from mantis_runbook.migrations.files import Migration
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target

SLEEPS = """
-- step: first
CREATE TABLE fresh (id bigint PRIMARY KEY, name text);
-- step: sleeping
INSERT INTO fresh VALUES (1, 'once');
SELECT pg_sleep({seconds});
-- step: last
INSERT INTO fresh VALUES (2, 'once');
"""
UNDO = (
    "-- step: rows\nDELETE FROM fresh;\nSELECT pg_sleep({seconds});\n-- step: table\nDROP TABLE"
    " fresh;"
)
WORKING = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'mantis-runbook/migrate 001' AND"
    " {condition}"
)
ASLEEP, BUILDING = "wait_event = 'PgSleep'", "query LIKE 'CREATE%' AND wait_event_type = 'Lock'"


def working(bench: Bench, condition: str = ASLEEP) -> int:
    """The engine's backend, once it does what the condition says."""
    found: int = wait_for(
        lambda: bench.sql(WORKING.format(condition=condition)), f"a backend: {condition}"
    )[0][0]
    return found


def gone(bench: Bench, pid: int) -> None:
    """Wait until that backend has ended; the pause before is much shorter than what it was
    doing.
    """
    wait_for(
        lambda: not bench.sql("SELECT pid FROM pg_stat_activity WHERE pid = %s", pid),
        "the backend's end",
        20,
    )


def sleeper(bench: Bench, seconds: float) -> Migration:
    return bench.migration(SLEEPS.format(seconds=seconds), UNDO.format(seconds=0))


@contextmanager
def killed(bench: Bench, condition: str = ASLEEP, *, direction: str = "up") -> Iterator[None]:
    """A runner in a process of its own, killed once its backend does what the condition says."""
    with bench.runner(direction) as runner:
        pid = working(bench, condition)
        runner.kill()
        yield
        gone(bench, pid)


def finished(bench: Bench) -> None:
    assert bench.status() == "completed"
    assert bench.sql("SELECT id, name FROM fresh ORDER BY id") == [(1, "once"), (2, "once")]


def test_a_runner_killed_in_a_transactional_step_leaves_nothing_that_commits_later(
    bench: Bench,
) -> None:
    sleeper(bench, 60)
    with killed(bench):
        pass
    assert bench.status() == "running"
    assert bench.journal() == ["first"]
    assert bench.sql("SELECT * FROM fresh") == [], (
        "the backend stopped with its client, long before its minute was over"
    )


def test_a_killed_runner_resumes_at_the_step_it_died_in(bench: Bench) -> None:
    """The step is as it was in the file; only the table it waits for has gone from the way."""
    migration = bench.migration(
        SLEEPS.format(seconds="(SELECT count(*) FROM old) / 20.0"), UNDO.format(seconds=0)
    )
    with killed(bench):
        pass
    bench.sql("TRUNCATE old")
    applied = bench.up(migration, "run-2")
    assert [step.state for step in applied.steps] == ["done before", "done", "done"]
    finished(bench)


def test_a_new_runner_need_not_wait_for_the_killed_one(bench: Bench) -> None:
    """It starts while the backend of the dead one still holds the fence's row."""
    migration = bench.migration(
        SLEEPS.format(seconds="(SELECT count(*) FROM old) / 20.0"), UNDO.format(seconds=0)
    )
    with killed(bench):
        bench.sql("DELETE FROM old")
        bench.up(migration, "run-2")
    finished(bench)


INDEXED = SLEEPS.replace(
    "-- step: sleeping\n",
    "-- step: index\nCREATE INDEX CONCURRENTLY old_name_idx ON old (name);\n-- step: sleeping\n",
)


def test_a_runner_killed_in_a_concurrent_build_leaves_an_index_that_the_next_repairs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_OLD_SNAPSHOT_S", "3600")  # a busy machine starts the runner slowly
    migration = bench.migration(INDEXED.format(seconds=0))
    with closing(bench.connect()) as writer:
        writer.execute("BEGIN")
        writer.execute("UPDATE old SET name = 'x' WHERE id = 1")
        with killed(bench, BUILDING):
            pass
        assert (
            bench.value(
                "SELECT indisvalid FROM pg_index WHERE indexrelid = 'old_name_idx'::regclass"
            )
            is False
        )
        writer.execute("COMMIT")
    applied = bench.up(migration, "run-2")
    assert applied.steps[1].note == "an invalid leftover was dropped and built again"
    assert (
        bench.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'old_name_idx'::regclass")
        is True
    )
    finished(bench)


BACKFILL = """
-- step: column
ALTER TABLE old ADD COLUMN filled text;
-- step: fill  batched over old
UPDATE old SET filled = name, touched = touched + 1 WHERE id > $1 AND id <= $2{pause};
-- step: last
CREATE TABLE fresh AS SELECT count(*) AS n FROM old WHERE filled IS NOT NULL;
"""


@pytest.mark.parametrize(
    ("pause", "batches"),
    [(" AND (id < 1500 OR pg_sleep(0.5 * (SELECT count(*) FROM brake)) IS NOT NULL)", 1), ("", 1)],
    ids=["within a batch", "between batches"],
)
def test_a_runner_killed_in_a_backfill_goes_on_at_its_key(
    bench: Bench, pause: str, batches: int
) -> None:
    bench.sql("CREATE TABLE brake AS SELECT 1")
    bench.sql("INSERT INTO old SELECT n, 'name ' || n FROM generate_series(1001, 5000) AS n")
    migration = bench.migration(
        BACKFILL.format(pause=pause), "-- step: back\nDROP TABLE IF EXISTS fresh;"
    )
    with closing(bench.connect()) as waiting, closing(bench.connect()) as row:
        if not pause:  # somebody waits for a lock: a backfill pauses after its batch
            row.execute("BEGIN")
            row.execute("LOCK TABLE brake")
            blocked = beside(lambda: bench.sql("SELECT * FROM brake"))
            blocked.__enter__()
        with bench.runner() as runner:
            if pause:
                working(bench)
            else:
                wait_for(lambda: len(bench.journal("batch")) >= batches, "a batch")
            runner.kill()
        if not pause:
            row.execute("COMMIT")
            blocked.__exit__(None, None, None)
        waiting.execute("TRUNCATE brake")
    wait_for(lambda: not bench.sql(WORKING.format(condition="true")), "the backend's end")
    done = len(bench.journal("batch"))
    assert done >= batches
    reached = bench.value(
        "SELECT max((detail ->> 'last_key')::bigint) FROM mantis_runbook.journal WHERE state ="
        " 'batch'"
    )
    assert bench.value("SELECT count(*) FROM old WHERE filled IS NOT NULL") == reached < 5000
    bench.up(migration, "run-2")
    assert bench.sql("SELECT DISTINCT touched FROM old") == [(1,)], "every row once"
    assert bench.value("SELECT n FROM fresh") == 5000


def test_a_runner_killed_in_the_rollback_is_finished_by_the_next(bench: Bench) -> None:
    undo = UNDO.format(seconds="(SELECT count(*) FROM old) / 20.0")
    migration = bench.migration(SLEEPS.format(seconds=0), undo)
    bench.up(migration)
    with killed(bench, direction="rollback"):
        pass
    assert bench.status() == "running", "half rolled back is not completed"
    assert bench.value("SELECT count(*) FROM fresh") == 2
    bench.sql("TRUNCATE old")
    bench.rollback(migration, "run-2")
    assert bench.status() == "rolled_back"
    assert bench.there("fresh") == [False]


def test_a_terminated_backend_fails_the_migration_and_the_next_run_finishes(bench: Bench) -> None:
    migration = sleeper(bench, 60)
    with beside(lambda: bench.up(migration)) as runner:
        bench.sql("SELECT pg_terminate_backend(%s)", working(bench))
    assert isinstance(runner.error, StepFailed)
    assert (
        "migration 001 was cut off: found terminating connection due to administrator command"
        in str(runner.error)
    )
    assert "run again: it resumes at the step it was cut off in" in str(runner.error)
    assert bench.status() == "failed"
    assert bench.sql("SELECT * FROM fresh") == []


def test_a_server_killed_in_a_step_comes_back_and_the_next_run_finishes(
    own_server: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own_server(fsync="on", full_page_writes="on")
    monkeypatch.setenv("TEST_DSN", make_conninfo(**server.parameters))
    bench = Bench(
        Target("TEST_DSN", "variable", server.parameters), tmp_path / "migrations"
    ).prepare()
    migration = bench.migration(
        SLEEPS.format(seconds="(SELECT count(*) FROM old) / 20.0"), UNDO.format(seconds=0)
    )
    with beside(lambda: bench.up(migration)) as runner:
        working(bench)
        server.kill()
    assert isinstance(runner.error, StepFailed)
    assert "was cut off" in str(runner.error)
    server.start()
    assert bench.status() == "running"
    assert bench.journal() == ["first"]
    bench.sql("TRUNCATE old")
    bench.up(migration, "run-2")
    finished(bench)


# -- two runners -----------------------------------------------------------------------------------


def test_a_second_runner_is_refused_and_told_of_the_first(bench: Bench) -> None:
    with (
        bench.engine("run-1", "Ada"),
        pytest.raises(Refused) as caught,
        hold(bench.target, "run-2", "Bob", patience_s=0),
    ):
        pass
    assert "another runner works on this database: found pid " in str(caught.value)
    assert "(mantis-runbook/lock) since " in str(caught.value)
    assert "run run-1 of Ada, expected no other run" in str(caught.value)


def test_runners_of_two_databases_of_one_server_do_not_meet(bench: Bench, server: Server) -> None:
    other = Bench(bench.target.database("postgres"), bench.folder)
    try:
        with bench.engine("run-1", "Ada"):
            other.prepare()
            with other.engine("run-2", "Bob"):
                pass
    finally:
        other.sql("DROP SCHEMA mantis_runbook CASCADE; DROP TABLE old")


UNTIL_GO = SLEEPS.replace(
    "SELECT pg_sleep({seconds});",
    "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM go) LOOP PERFORM pg_sleep(0.02); END LOOP; END $$;",
)
LOCKS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"


@contextmanager
def overtaken(bench: Bench, migration: Migration) -> Iterator[Beside]:
    """A runner whose lock's session is ended while a step runs.

    The step ends once somebody else has the lock, and the one after it begins once he has the fence
    too: between the two the fence is free, and either runner may be the first to reach it.
    """
    bench.sql("CREATE TABLE go (id integer)")

    def let_go(first: int) -> None:
        wait_for(
            lambda: [pid for (pid,) in bench.sql(LOCKS) if pid != first], "another runner's lock"
        )
        bench.sql("INSERT INTO go VALUES (1)")

    def until_overtaken(event: str, **facts: Any) -> None:
        if (event, facts["step"]) == ("step.started", "last"):
            wait_for(
                lambda: bench.value("SELECT run FROM mantis_runbook.fence") == "run-2",
                "the other's fence",
            )

    def first_run() -> None:
        with bench.engine() as engine:
            engine.watch = until_overtaken
            engine.up(migration)

    with beside(first_run) as lost:
        working(bench)
        [(pid,)] = bench.sql(LOCKS)
        bench.sql("SELECT pg_terminate_backend(%s)", pid)
        with beside(lambda: let_go(pid)):
            yield lost


def test_a_runner_that_lost_its_lock_stops_and_nothing_is_applied_twice(bench: Bench) -> None:
    """The second waits for that one step alone."""
    migration = bench.migration(UNTIL_GO)
    with overtaken(bench, migration) as lost:
        applied = bench.up(migration, "run-2")
    assert isinstance(lost.error, FenceLost)
    assert "this runner lost its lock: found run run-2 of Ada holds the database" in str(lost.error)
    assert [step.state for step in applied.steps] == ["done before", "done before", "done"]
    finished(bench)


def test_a_lost_runner_never_writes_failed_over_the_work_of_another(bench: Bench) -> None:
    migration = bench.migration(UNTIL_GO)
    with overtaken(bench, migration) as lost, bench.engine("run-2", "Bob"):
        lost.join(30)
        assert isinstance(lost.error, FenceLost)
        assert bench.status() == "running"


def test_a_fence_that_a_living_step_holds_is_refused_in_time(bench: Bench) -> None:
    migration = sleeper(bench, 60)
    with beside(lambda: bench.up(migration)):
        pid = working(bench)
        bench.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ="
            " 'mantis-runbook/lock'"
        )
        with pytest.raises(Refused, match="a step of a runner that lost its lock is still at work"):
            with hold(bench.target, "run-2", "Bob", patience_s=1):
                pass
        bench.sql("SELECT pg_terminate_backend(%s)", pid)


def test_a_runner_in_a_process_finishes_when_nobody_kills_it(bench: Bench) -> None:
    sleeper(bench, 0)
    with bench.runner() as runner:
        code, said = runner.end()
    assert (code, said) == (0, "holding\nfinished\n")
    finished(bench)
