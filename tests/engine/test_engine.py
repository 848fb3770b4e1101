"""The engine: steps that commit with their journal row, locks it gives up, builds outside a
transaction, resuming.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from workbench import Bench, beside, wait_for

from mantis_runbook.engine import nontransactional_step
from mantis_runbook.engine import session as engine_session
from mantis_runbook.engine.engine import refuse_unable
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.engine.step_journal import StepJournal
from mantis_runbook.errors import (
    LockNotObtained,
    MigrationFileError,
    Refused,
    RunbookError,
    StepFailed,
)
from mantis_runbook.migrations.files import Migration
from mantis_runbook.postgres import blockers
from mantis_runbook.postgres.connection import GIVING_WAY, Connection, settle
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target

TWO_STEPS = """
-- step: fresh table
CREATE TABLE fresh (id bigint PRIMARY KEY);
-- step: rows
INSERT INTO fresh SELECT generate_series(1, 10);
INSERT INTO fresh SELECT {more};
"""

INDEX = "-- step: index\nCREATE UNIQUE INDEX CONCURRENTLY old_touched_idx ON old (touched);"
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('old_touched_idx')"


@pytest.fixture
def young(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot counts as old sooner than an operator would think so."""
    monkeypatch.setattr(nontransactional_step, "OLD_SNAPSHOT_S", 0.3)


# -- steps and ledger ------------------------------------------------------------------------------


def test_a_migration_runs_step_by_step_and_is_completed(bench: Bench) -> None:
    applied = bench.up(bench.migration(TWO_STEPS.format(more="11")))
    assert [(step.step, step.state, step.attempts) for step in applied.steps] == [
        ("fresh table", "done", 1),
        ("rows", "done", 1),
    ]
    assert bench.status() == "completed"
    assert bench.journal() == ["fresh table", "rows"]
    assert [event for event, _ in bench.heard] == ["step.started", "step.finished"] * 2
    assert applied.records[1]["lock_waits"] == 0


def test_a_failed_step_leaves_nothing_but_a_failed_row(bench: Bench) -> None:
    migration = bench.migration(TWO_STEPS.format(more="1"))
    with pytest.raises(StepFailed) as caught:
        bench.up(migration)
    assert bench.status() == "failed"
    assert bench.journal() == ["fresh table"]
    assert bench.value("SELECT count(*) FROM fresh") == 0
    assert (
        str(caught.value)
        == "step 'rows' of migration 001 failed, and left nothing behind: found duplicate key value"
        ' violates unique constraint "fresh_pkey" (Key (id)=(1) already exists.) [SQLSTATE'
        " 23505]; correct the cause and run again, or roll back with `mantis-runbook rollback"
        " 001`"
    )
    assert bench.heard[-1][1]["state"] == "failed"


def test_while_a_step_runs_the_ledger_says_running(bench: Bench) -> None:
    migration = bench.migration("-- step: long\nSELECT pg_sleep(1);")
    with beside(lambda: bench.up(migration)):
        wait_for(lambda: bench.status() == "running", "running")
        assert bench.journal() == []
    assert bench.status() == "completed"


def test_every_further_try_resumes_at_the_step_that_failed(bench: Bench) -> None:
    for _ in range(2):
        with pytest.raises(StepFailed):
            bench.up(bench.migration(TWO_STEPS.format(more="1")))
    applied = bench.up(bench.migration(TWO_STEPS.format(more="11")), run="run-2")
    assert [step.state for step in applied.steps] == ["done before", "done"]
    assert bench.status() == "completed"
    assert bench.value("SELECT count(*) FROM fresh") == 11


@pytest.mark.parametrize(
    ("edited", "found"),
    [
        (("bigint", "integer"), "found SHA-256"),
        (("step: fresh table", "step: another name"), "found no such step in 001_sample.sql"),
    ],
)
def test_a_step_that_was_edited_after_it_was_done_is_refused(
    bench: Bench, edited: tuple[str, str], found: str
) -> None:
    with pytest.raises(StepFailed):
        bench.up(bench.migration(TWO_STEPS.format(more="1")))
    with pytest.raises(MigrationFileError, match="edited after it was carried out") as caught:
        bench.up(bench.migration(TWO_STEPS.format(more="11").replace(*edited)))
    assert found in str(caught.value)
    assert bench.status() == "failed"
    assert bench.journal() == ["fresh table"]


def test_what_is_applied_already_is_refused_and_stays_completed(bench: Bench) -> None:
    migration = bench.migration(TWO_STEPS.format(more="11"))
    bench.up(migration)
    with pytest.raises(Refused, match="migration 001 is already applied; nothing is left to do"):
        bench.up(migration)
    assert bench.status() == "completed"


def test_a_rollback_cut_off_half_way_is_neither_completed_nor_applied_again(bench: Bench) -> None:
    rollback = "-- step: first\nDROP TABLE fresh;\n-- step: second\nSELECT 1 / 0;"
    migration = bench.migration(TWO_STEPS.format(more="11"), rollback)
    bench.up(migration)
    with pytest.raises(StepFailed, match="division by zero"):
        bench.rollback(migration)
    assert bench.status() == "failed"
    with pytest.raises(Refused, match="half rolled back"):
        bench.up(migration)
    assert bench.status() == "failed"
    applied = bench.rollback(
        bench.migration(TWO_STEPS.format(more="11"), rollback.replace("/ 0", "/ 1"))
    )
    assert [step.state for step in applied.steps] == ["done before", "done"]
    assert bench.status() == "rolled_back"
    bench.up(migration)
    assert bench.status() == "completed"


def test_a_database_without_a_ledger_is_refused(bench: Bench) -> None:
    bench.sql("DROP TABLE mantis_runbook.schema_migrations")
    with pytest.raises(Refused, match="the database has no ledger"):
        bench.up(bench.migration(TWO_STEPS.format(more="11")))
    assert bench.there("fresh") == [False]


def test_what_a_step_sets_does_not_reach_the_next(bench: Bench) -> None:
    bench.sql("CREATE ROLE nobody_special")
    try:
        migration = bench.migration("""
-- step: careless
SET lock_timeout = 0;
SET search_path = pg_catalog;
SET ROLE nobody_special;
-- step: discarding
DISCARD ALL;
-- step: careful
CREATE TABLE fresh AS SELECT current_setting('lock_timeout') AS wait,
    current_setting('search_path') AS path, current_user AS me,
    current_setting('client_connection_check_interval') AS alive;
""")
        bench.up(migration)
        assert bench.sql("SELECT wait, path, me, alive FROM fresh") == [
            (
                "30ms",
                "public, mantis_runbook, pg_temp",
                "mantis",
                "200ms",
            )  # a first try's share of 100 ms
        ]
    finally:
        bench.sql("DROP ROLE nobody_special")


def test_a_new_label_is_added_in_a_transaction_and_not_twice(bench: Bench) -> None:
    bench.sql("CREATE TYPE mood AS ENUM ('calm')")
    migration = bench.migration(
        "-- step: label\nALTER TYPE mood ADD VALUE 'glad';\n-- step: failing\nSELECT count(*) / 0"
        " FROM old;"
    )
    for _ in range(2):
        with pytest.raises(StepFailed, match="'failing'"):
            bench.up(migration)
    assert bench.value("SELECT enum_range(NULL::mood)::text") == "{calm,glad}"


# -- locks -----------------------------------------------------------------------------------------

ALTER = "-- step: column\nALTER TABLE old ADD COLUMN fresh text;"


def holding(
    bench: Bench, statement: str = "SELECT count(*) FROM old", name: str = "reader", **session: str
) -> Any:
    """A session that is idle in a transaction, holding what the statement locked."""
    connection = bench.connect(name, **session)
    connection.execute("BEGIN")
    connection.execute(statement)
    return closing(connection)


def test_a_lock_is_given_up_and_got_when_the_blocker_leaves(bench: Bench) -> None:
    migration = bench.migration(ALTER)
    with holding(bench) as reader:
        with beside(lambda: bench.up(migration, step_deadline_s=30)) as runner:
            wait_for(
                lambda: [1 for event, _ in bench.heard if event == "step.waiting"][2:],
                "three tries",
            )
            reader.execute("COMMIT")
        assert runner.error is None
        [step] = runner.result.steps
    assert step.lock_waits >= 3
    assert step.attempts == step.lock_waits + 1
    assert bench.status() == "completed"


FILL = "-- step: fill  batched over old\nUPDATE old SET touched = 1 WHERE id > $1 AND id <= $2;"


def test_batches_of_a_backfill_are_no_attempts(bench: Bench) -> None:
    bench.sql("INSERT INTO old SELECT n FROM generate_series(1001, 5000) AS n")
    [step] = bench.up(bench.migration(FILL)).steps
    assert len(bench.journal("batch")) > 1
    assert (step.attempts, step.lock_waits, step.rows) == (1, 0, 5000)


def test_attempts_of_a_backfill_say_how_often_it_gave_way(bench: Bench) -> None:
    migration = bench.migration(FILL)
    with holding(bench, "LOCK TABLE old IN SHARE MODE") as holder:
        with beside(lambda: bench.up(migration, step_deadline_s=30)) as runner:
            wait_for(
                lambda: [1 for event, _ in bench.heard if event == "step.waiting"][1:], "two tries"
            )
            holder.execute("COMMIT")
        assert runner.error is None
        [step] = runner.result.steps
    assert step.lock_waits >= 2
    assert step.attempts == step.lock_waits + 1


def test_pauses_between_tries_are_never_the_same(bench: Bench) -> None:
    times: list[float] = []
    migration = bench.migration(ALTER)
    with holding(bench), bench.engine(step_deadline_s=2, retry_pause_ms=100) as engine:
        engine.watch = lambda event, **_: (
            times.append(time.monotonic()) if event == "step.waiting" else None
        )
        with pytest.raises(LockNotObtained):
            engine.up(migration)
    pauses = [round(later - earlier, 3) for earlier, later in zip(times, times[1:], strict=False)]
    assert len(set(pauses)) > 1


@pytest.mark.parametrize(
    "victim",
    ["SELECT count(*) FROM old", "INSERT INTO old SELECT max(id) + 1, 'more' FROM old"],
    ids=["reads", "writes"],
)
def test_nobody_queues_behind_us_for_longer_than_the_lock_timeout(
    bench: Bench, victim: str
) -> None:
    held_s, longest = 2.0, 0.0
    migration = bench.migration(ALTER)
    with (
        holding(bench) as reader,
        bench.connect() as other,
        beside(lambda: bench.up(migration, step_deadline_s=30)) as runner,
    ):
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < held_s:
            asked = time.monotonic()
            other.execute(victim)
            longest = max(longest, time.monotonic() - asked)
        waits = sum(event == "step.waiting" for event, _ in bench.heard)
        reader.execute("COMMIT")
        assert elapsed >= held_s
    assert runner.error is None
    assert waits > 2, "the migration was in the queue all the time"
    assert longest < held_s / 2, "somebody waited as if there were no lock timeout"


def test_at_the_deadline_the_blocker_is_named(bench: Bench) -> None:
    migration = bench.migration(ALTER)
    with holding(bench, name="nightly report") as reader:
        pid = reader.info.backend_pid
        with pytest.raises(LockNotObtained) as caught:
            bench.up(migration)
    assert re.search(
        rf"step 'column' of 001 did not get its lock: found \d+ tries in 1 s; in the way: pid {pid}"
        r" \(nightly report, idle in transaction, SELECT, transaction open \d s\), expected a free"
        r" table; end or wait",
        str(caught.value),
    )
    assert bench.status() == "failed"
    assert bench.up(migration).steps[0].state == "done"


def test_there_is_no_last_try_without_a_timeout(bench: Bench) -> None:
    migration = bench.migration(ALTER)
    waited: list[float] = []
    with holding(bench), bench.connect() as other:
        with beside(lambda: bench.up(migration, lock_timeout_ms=200)) as runner:
            while runner.is_alive():
                found = other.execute(
                    "SELECT extract(epoch FROM clock_timestamp() - waitstart)::float FROM pg_locks"
                    " WHERE NOT granted AND relation = 'old'::regclass"
                ).fetchall()
                waited += [seconds for (seconds,) in found if seconds]
    assert isinstance(runner.error, LockNotObtained)
    assert waited, "the migration was seen waiting"
    assert max(waited) < 1.0, "five times the lock timeout"


def test_a_deadlock_victim_tries_again(bench: Bench) -> None:
    bench.sql("CREATE TABLE second AS SELECT 1 AS id")
    migration = bench.migration(
        "-- step: both\nUPDATE second SET id = 2;\nSELECT pg_sleep(0.3);\nUPDATE old SET touched ="
        " touched + 1 WHERE id = 1;"
    )
    with holding(bench, "UPDATE old SET name = 'x' WHERE id = 1", deadlock_timeout="30s") as other:
        with beside(
            lambda: bench.up(migration, lock_timeout_ms=10_000, step_deadline_s=30)
        ) as runner:
            wait_for(
                lambda: bench.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"),
                "the step to sleep",
            )
            other.execute("UPDATE second SET id = 3")
            other.execute("COMMIT")
        assert runner.error is None
    assert runner.result.steps[0].lock_waits == 1
    assert bench.value("SELECT touched FROM old WHERE id = 1") == 1
    assert bench.value("SELECT id FROM second") == 2


def test_a_first_try_is_short_and_later_ones_never_exceed_the_lock_timeout(bench: Bench) -> None:
    """The limits as the server is told of them: what a try waits, others queue for."""
    told: list[str] = []
    bench.sql("CREATE TABLE tries AS SELECT 1 AS id")
    migration = bench.migration(ALTER)
    with holding(bench), bench.engine(step_deadline_s=3, lock_timeout_ms=200) as engine:

        @contextmanager
        def noting(connection: Connection, *_: object) -> Iterator[None]:
            told.extend(connection.execute("SHOW lock_timeout").fetchone() or ())
            yield

        engine.observe = noting
        with pytest.raises(LockNotObtained):
            engine.up(migration)
    waits = [int(one.removesuffix("ms")) for one in told]
    assert waits[:3] == [60, 78, 101]
    assert max(waits) == 200


SLOW_AUTOVACUUM = {
    "autovacuum": "on",
    "autovacuum_naptime": "1s",
    "autovacuum_vacuum_threshold": "0",
    "autovacuum_vacuum_cost_limit": "1",
    "autovacuum_vacuum_cost_delay": "100ms",
}


def test_autovacuum_gives_way_to_the_engine(
    own_server: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lets go after our deadlock_timeout, if that is shorter than the lock timeout; for a minute
    else.
    """
    server = own_server(**SLOW_AUTOVACUUM)
    bench = Bench(Target("own", "variable", server.parameters), tmp_path / "migrations").prepare()
    bench.sql("INSERT INTO old SELECT n, repeat('wide', 500) FROM generate_series(1001, 5000) AS n")
    bench.sql("UPDATE old SET touched = 1")
    working = "SELECT pid FROM pg_stat_progress_vacuum WHERE relid = 'old'::regclass"
    wait_for(lambda: bench.sql(working), "autovacuum of old", timeout=60)
    done = bench.up(bench.migration(ALTER), step_deadline_s=15)
    assert done.steps[0].state == "done"

    wait_for(lambda: bench.sql(working), "another autovacuum of old", timeout=60)
    monkeypatch.setattr(engine_session, "GIVING_WAY", {})
    again = bench.migration(
        "-- step: more\nALTER TABLE old ADD COLUMN more integer;", version="002"
    )
    with pytest.raises(LockNotObtained, match="autovacuum") as refusal:
        bench.up(again, step_deadline_s=3)
    assert "GRANT SET ON PARAMETER deadlock_timeout" in refusal.value.action


def test_a_role_that_may_not_silence_triggers_is_refused_before_anything_begins(
    bench: Bench,
) -> None:
    plain = bench.migration(ALTER)
    filling = bench.migration(
        "-- step: fill  batched over old  without triggers\nUPDATE old SET touched = 1 WHERE id >"
        " $1 AND id <= $2;",
        version="002",
    )
    with bench.connect() as connection:
        refuse_unable(connection, [plain, filling])
        connection.execute("SET ROLE pg_monitor")
        refuse_unable(connection, [plain])
        with pytest.raises(Refused, match=r"002_\w+\.sql fill columns without firing triggers"):
            refuse_unable(connection, [plain, filling])
        connection.execute("RESET ROLE")
        if connection.info.server_version >= 150_000:
            connection.execute("GRANT SET ON PARAMETER session_replication_role TO pg_monitor")
            connection.execute("SET ROLE pg_monitor")
            refuse_unable(connection, [plain, filling])
            connection.execute("RESET ROLE")
            connection.execute("REVOKE SET ON PARAMETER session_replication_role FROM pg_monitor")


def test_a_role_that_may_not_hasten_deadlock_checks_migrates_without(bench: Bench) -> None:
    with bench.connect() as connection:
        connection.execute("SET ROLE pg_monitor")
        settle(connection, **GIVING_WAY)
        assert connection.execute("SHOW deadlock_timeout").fetchone() == ("1s",)
        connection.execute("RESET ROLE")
        settle(connection, **GIVING_WAY)
        assert connection.execute("SHOW deadlock_timeout").fetchone() == ("20ms",)


def test_a_statement_that_takes_too_long_is_stopped_and_says_so(bench: Bench) -> None:
    migration = bench.migration("-- step: slow\nSELECT pg_sleep(30);")
    with pytest.raises(
        StepFailed,
        match=r"'slow' .*canceling statement due to statement timeout \[SQLSTATE 57014\]",
    ):
        bench.up(migration, statement_timeout_s=1)
    assert bench.status() == "failed"


# -- CONCURRENTLY ----------------------------------------------------------------------------------


def make_unique(bench: Bench) -> None:
    bench.sql("UPDATE old SET touched = id")


def test_an_index_is_built_outside_a_transaction(bench: Bench) -> None:
    make_unique(bench)
    bench.up(bench.migration(INDEX))
    assert bench.value(VALID) is True
    assert bench.journal("started") == bench.journal("done") == ["index"]


def test_an_invalid_leftover_is_dropped_and_built_again(bench: Bench) -> None:
    migration = bench.migration(INDEX)
    with pytest.raises(StepFailed) as caught:
        bench.up(migration)
    assert str(caught.value).startswith(
        "step 'index' of migration 001 failed: found could not create unique index"
    )
    assert bench.value(VALID) is False, "the server leaves it"
    assert bench.status() == "failed"
    make_unique(bench)
    [step] = bench.up(migration).steps
    assert step.note == "an invalid leftover was dropped and built again"
    assert bench.value(VALID) is True


def test_an_index_that_was_there_before_is_not_taken_for_ours(bench: Bench) -> None:
    bench.sql("CREATE INDEX old_touched_idx ON old (name)")
    with pytest.raises(
        StepFailed, match="index old_touched_idx already exists: found CREATE INDEX"
    ):
        bench.up(bench.migration(INDEX.replace("CONCURRENTLY ", "CONCURRENTLY IF NOT EXISTS ")))
    assert bench.status() == "failed"


def test_an_index_that_another_session_is_building_is_not_dropped(bench: Bench) -> None:
    make_unique(bench)
    migration = bench.migration(INDEX)
    building = "SELECT pid FROM pg_stat_progress_create_index WHERE index_relid <> 0"
    with holding(bench, "INSERT INTO old VALUES (0, 'zero', -1)") as writer:
        statement = INDEX.splitlines()[1]
        with beside(lambda: bench.sql(statement)) as builder:
            pid = wait_for(lambda: bench.sql(building), "the other build")[0][0]
            with pytest.raises(
                LockNotObtained, match=f"index old_touched_idx built by pid {pid}"
            ) as caught:
                bench.up(migration, step_deadline_s=1)
            assert "is being built by another session" in str(caught.value)
            assert bench.value(building) == pid
            writer.execute("COMMIT")
    assert builder.error is None
    assert bench.value(VALID) is True


def test_a_build_found_complete_is_not_repeated(bench: Bench) -> None:
    """Cut off after the server's work and before the journal's row."""
    make_unique(bench)
    migration = bench.migration(INDEX)
    bench.up(migration)
    oid = bench.value("SELECT 'old_touched_idx'::regclass::oid")
    bench.sql("DELETE FROM mantis_runbook.journal WHERE state IN ('done', 'ended')")
    bench.sql("UPDATE mantis_runbook.schema_migrations SET status = 'running'")
    [step] = bench.up(migration).steps
    assert step.note == "found complete"
    assert bench.value("SELECT 'old_touched_idx'::regclass::oid") == oid


def test_an_old_snapshot_is_waited_for(young: None, bench: Bench) -> None:
    make_unique(bench)
    bench.sql("CREATE TABLE unrelated (id integer)")
    migration = bench.migration(INDEX)
    with holding(
        bench, "SELECT count(*) FROM unrelated", default_transaction_isolation="repeatable read"
    ) as reader:
        time.sleep(nontransactional_step.OLD_SNAPSHOT_S)
        with beside(lambda: bench.up(migration, step_deadline_s=30)) as runner:
            wait_for(
                lambda: [1 for event, _ in bench.heard if event == "step.waiting"],
                "the engine to wait",
            )
            assert bench.journal("started") == []
            reader.execute("COMMIT")
        assert runner.error is None
    assert bench.value(VALID) is True


@pytest.mark.parametrize(
    ("hold_up", "named"),
    [
        (
            ["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT FROM old"],
            r"session \d+ \(report, idle in transaction\), \d s old",
        ),
        (
            ["BEGIN", "CREATE TABLE x (i int)", "PREPARE TRANSACTION 'payroll'"],
            r"prepared transaction payroll of mantis, \d s old",
        ),
    ],
    ids=["snapshot", "prepared"],
)
def test_what_holds_a_build_up_is_named_at_the_deadline(
    young: None, bench: Bench, hold_up: list[str], named: str
) -> None:
    make_unique(bench)
    migration = bench.migration(INDEX)
    with bench.connect("report") as other:
        for statement in hold_up:
            other.execute(statement)
        time.sleep(nontransactional_step.OLD_SNAPSHOT_S)
        with pytest.raises(LockNotObtained, match=f"cannot build its index: found {named}"):
            bench.up(migration, step_deadline_s=1)
        assert bench.there("old_touched_idx") == [False], "nothing was begun"
        other.execute("ROLLBACK PREPARED 'payroll'" if "PREPARE" in hold_up[-1] else "COMMIT")
    bench.up(migration)
    assert bench.value(VALID) is True


def test_a_snapshot_in_another_database_holds_nobody_up(young: None, bench: Bench) -> None:
    make_unique(bench)
    elsewhere = bench.target.parameters | {"dbname": "postgres"}
    with psycopg.connect(**elsewhere) as other:  # type: ignore[arg-type]
        other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        other.execute("SELECT count(*) FROM pg_class")
        time.sleep(nontransactional_step.OLD_SNAPSHOT_S)
        bench.up(bench.migration(INDEX), step_deadline_s=1)
    assert bench.value(VALID) is True
    assert "step.waiting" not in [event for event, _ in bench.heard]


def test_the_deadline_of_a_build_names_its_blocker_and_the_next_run_finishes(bench: Bench) -> None:
    make_unique(bench)
    migration = bench.migration(INDEX)
    with holding(bench, "INSERT INTO old VALUES (0, 'zero', -1)", "checkout") as writer:
        with pytest.raises(LockNotObtained) as caught:
            bench.up(migration, concurrently_deadline_s=1)
        assert re.search(
            rf"'index' of 001 did not end within its deadline: found pid {writer.info.backend_pid}"
            r" \(checkout, idle in"
            r" transaction, INSERT, transaction open \d s\), expected 1 s"
            r" \(concurrently_deadline_s\)",
            str(caught.value),
        )
        assert bench.status() == "failed"
        writer.execute("COMMIT")
    assert bench.value(VALID) is False
    bench.up(migration)
    assert bench.value(VALID) is True
    assert bench.sql("SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid") == []


def test_who_holds_a_build_up_is_told_while_it_waits(bench: Bench) -> None:
    """A snapshot that was young when the build began: nothing waited for it beforehand, and it may
    stay for hours.
    """
    make_unique(bench)
    migration = bench.migration(INDEX)
    snapshot = {"default_transaction_isolation": "repeatable read"}
    with holding(bench, "SELECT count(*) FROM pg_class", "report", **snapshot) as report:
        with beside(lambda: bench.up(migration)) as runner:
            first = wait_for(
                lambda: named_while_waiting(bench), "a word of who holds the build up", 20
            )[0]
            assert runner.is_alive(), "it was told before the deadline"
            [(kind, pids)] = bench.sql(
                "SELECT wait_event, pg_blocking_pids(pid) FROM pg_stat_activity"
                " WHERE application_name = 'mantis-runbook/migrate 001'"
            )
            pid = report.info.backend_pid
            assert (kind, pids) == ("virtualxid", [pid])
            report.execute("COMMIT")
        assert runner.error is None
    assert re.fullmatch(
        rf"pid {pid} \(report, idle in transaction, SELECT, transaction open \d+ s\)", first
    )
    assert bench.value(VALID) is True


def named_while_waiting(bench: Bench) -> list[str]:
    return [
        name
        for event, facts in bench.heard
        if event == "step.waiting"
        for name in facts["blockers"]
    ]


def test_at_the_deadline_of_a_build_only_those_are_named_who_still_hold_it_up(bench: Bench) -> None:
    """A writer first, whom the build waits for before it begins to read; then a snapshot, before it
    ends.
    """
    make_unique(bench)
    migration = bench.migration(INDEX)
    snapshot = {"default_transaction_isolation": "repeatable read"}
    with (
        holding(bench, "SELECT count(*) FROM pg_class", "report", **snapshot) as report,
        holding(bench, "INSERT INTO old VALUES (0, 'zero', -1)", "checkout") as writer,
        beside(lambda: bench.up(migration, concurrently_deadline_s=8)) as runner,
    ):
        wait_for(
            lambda: [name for name in named_while_waiting(bench) if "(checkout," in name],
            "the writer named",
        )
        writer.execute("COMMIT")
        wait_for(
            lambda: [name for name in named_while_waiting(bench) if "(report," in name],
            "the report named",
        )
        runner.join(30)
        assert isinstance(runner.error, LockNotObtained)
        assert runner.error.found.startswith(f"pid {report.info.backend_pid} (report, ")
        assert "checkout" not in runner.error.found


def test_short_waits_are_not_told_and_long_ones_seldom() -> None:
    said: list[tuple[str, ...]] = []
    held = blockers._Held(lambda named: said.append(tuple(named)))
    for at, now in [
        (0.0, {1: "one"}),
        (0.9, {1: "one"}),
        (1.0, {}),
        (1.1, {1: "one"}),
        (2.0, {1: "one"}),
    ]:
        held.seen(now, at)
    assert said == [], "never a second without a break"
    for at in (2.2, 3.0, 5.0, 12.0, 12.3):
        held.seen({1: "one"}, at)
    assert said == [("one",)] * 2, "at 2.2, and again ten seconds later"
    held.seen({2: "two"}, 12.4)
    assert said[-1] == ("two",), "somebody else is news at once"


def test_a_build_that_somebody_cancels_says_so(bench: Bench) -> None:
    make_unique(bench)
    migration = bench.migration(INDEX)
    with (
        holding(bench, "INSERT INTO old VALUES (0, 'zero', -1)"),
        beside(lambda: bench.up(migration)) as runner,
    ):
        [(pid,)] = wait_for(
            lambda: bench.sql("SELECT pid FROM pg_stat_progress_create_index"), "the build"
        )
        bench.sql("SELECT pg_cancel_backend(%s)", pid)
    assert isinstance(runner.error, StepFailed)
    assert "canceling statement due to user request" in str(runner.error)


def test_a_build_that_loses_a_deadlock_starts_again(bench: Bench) -> None:
    """A writer of the table that asks for what the build holds: the build is the victim."""
    make_unique(bench)
    migration = bench.migration(INDEX)
    with holding(bench, "INSERT INTO old VALUES (0, 'zero', -1)", deadlock_timeout="30s") as writer:
        with beside(lambda: bench.up(migration, step_deadline_s=30)) as runner:
            wait_for(lambda: bench.sql("SELECT 1 FROM pg_stat_progress_create_index"), "the build")
            writer.execute("LOCK TABLE old IN SHARE UPDATE EXCLUSIVE MODE")
            writer.execute("COMMIT")
        assert runner.error is None
    assert bench.value(VALID) is True
    assert runner.result.steps[0].lock_waits == 1


# -- other statements outside a transaction, cut off: the catalogue decides ------------------------

PARTITIONED = """
CREATE TABLE log (id bigint, day date) PARTITION BY RANGE (day);
CREATE TABLE log_2024 PARTITION OF log FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE log_2025 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO log VALUES (1, '2024-05-05');
"""
DETACH = "ALTER TABLE log DETACH PARTITION log_2024 CONCURRENTLY"
ATTACHED = "SELECT count(*) FROM pg_inherits WHERE inhrelid = 'log_2024'::regclass"


def cut_off(bench: Bench, statement: str, *before: str, version: str = "001") -> Migration:
    """A migration of this one step, as a run leaves it that was cut off after its `started` row;
    `before` is what the server did meanwhile.
    """
    migration = bench.migration(f"-- step: only\n{statement};", version=version)
    with bench.connect() as connection:
        Ledger(connection).set(migration, "running")
        journal = StepJournal(connection, "run-0", "Ada")
        journal.write(version, "up", "begun")
        journal.write(
            version, "up", "started", "only", statement_sha256=migration.up.steps[0].sha256
        )
        for one in before:
            connection.execute(one)
    return migration


@pytest.mark.parametrize(
    ("before", "note"),
    [((), ""), (("DROP INDEX old_name_idx",), "found complete")],
    ids=["not begun", "done"],
)
def test_a_dropped_index_is_not_missed(bench: Bench, before: tuple[str, ...], note: str) -> None:
    bench.sql("CREATE INDEX old_name_idx ON old (name)")
    migration = cut_off(bench, "DROP INDEX CONCURRENTLY old_name_idx", *before)
    assert bench.up(migration).steps[0].note == note
    assert bench.there("old_name_idx") == [False]
    assert bench.status() == "completed"


def test_an_index_half_dropped_is_dropped(bench: Bench) -> None:
    bench.sql("CREATE INDEX old_name_idx ON old (name)")
    drop = "DROP INDEX CONCURRENTLY old_name_idx"
    with (
        holding(bench),
        bench.connect(statement_timeout="500ms") as other,
        pytest.raises(psycopg.errors.QueryCanceled),
    ):
        other.execute(drop)
    assert (
        bench.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'old_name_idx'::regclass")
        is False
    )
    bench.up(cut_off(bench, drop))
    assert bench.there("old_name_idx") == [False]


def test_an_index_that_never_was_there_is_no_finished_drop(bench: Bench) -> None:
    with pytest.raises(StepFailed, match='index "nowhere_idx" does not exist'):
        bench.up(bench.migration("-- step: drop\nDROP INDEX CONCURRENTLY nowhere_idx;"))


@pytest.mark.parametrize(
    ("before", "note"), [((), ""), ((DETACH,), "found complete")], ids=["not begun", "done"]
)
def test_a_detached_partition_is_not_missed(
    bench: Bench, before: tuple[str, ...], note: str
) -> None:
    bench.sql(PARTITIONED)
    assert bench.up(cut_off(bench, DETACH, *before)).steps[0].note == note
    assert bench.value(ATTACHED) == 0
    assert bench.value("SELECT count(*) FROM log_2024") == 1


def test_a_partition_half_detached_is_finished(bench: Bench) -> None:
    bench.sql(PARTITIONED)
    with holding(bench, "SELECT FROM log"), bench.connect(statement_timeout="500ms") as other:
        with pytest.raises(psycopg.errors.QueryCanceled):
            other.execute(DETACH)
    assert (
        bench.value(
            "SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = 'log_2024'::regclass"
        )
        is True
    )
    [step] = bench.up(cut_off(bench, DETACH)).steps
    assert step.note == "a half done detachment was finished"
    assert bench.value(ATTACHED) == 0


def test_nobody_queues_behind_a_detachment(bench: Bench) -> None:
    """It ends with an exclusive lock on the partition: a reader of the partition must not make
    others wait.
    """
    bench.sql(PARTITIONED)
    migration = bench.migration(f"-- step: detach\n{DETACH};")
    held_s, longest = 1.5, 0.0
    with holding(bench, "SELECT FROM log_2024") as reader, bench.connect() as other:
        with beside(lambda: bench.up(migration, step_deadline_s=30)) as runner:
            wait_for(
                lambda: [1 for event, _ in bench.heard if event == "step.waiting"],
                "the engine to wait",
            )
            began = time.monotonic()
            while time.monotonic() - began < held_s:
                asked = time.monotonic()
                other.execute("SELECT count(*) FROM log_2024")
                longest = max(longest, time.monotonic() - asked)
            reader.execute("COMMIT")
        assert runner.error is None
    assert longest < held_s / 2
    assert bench.value(ATTACHED) == 0


def test_copies_left_by_a_reindex_are_dropped(bench: Bench) -> None:
    make_unique(bench)
    reindex = "REINDEX INDEX CONCURRENTLY old_pkey"
    with (
        holding(bench, "INSERT INTO old VALUES (0, 'zero', -1)"),
        bench.connect(statement_timeout="500ms") as other,
    ):
        with pytest.raises(psycopg.errors.QueryCanceled):
            other.execute(reindex)
    assert bench.there("old_pkey_ccnew") == [True]
    [step] = bench.up(cut_off(bench, reindex)).steps
    assert step.note == "invalid copies of an earlier try were dropped"
    assert bench.there("old_pkey_ccnew", "old_pkey") == [False, True]


def test_what_may_simply_run_again_runs_again(bench: Bench) -> None:
    for number, statement in enumerate(
        ("VACUUM old", "VACUUM FULL old", "REINDEX SCHEMA public", "ALTER SYSTEM RESET work_mem")
    ):
        migration = cut_off(bench, statement, version=f"{number:03}")
        bench.up(migration)
        assert bench.status(migration.version) == "completed"


def test_a_statement_outside_a_transaction_gives_its_lock_up_too(bench: Bench) -> None:
    migration = bench.migration("-- step: full\nVACUUM FULL old;")
    with (
        holding(bench, name="dashboard"),
        pytest.raises(LockNotObtained, match=r"in the way: pid \d+ \(dashboard"),
    ):
        bench.up(migration)
    bench.up(migration)


def test_a_database_is_made_once(bench: Bench) -> None:
    name = f"{bench.target.parameters['dbname']}_more"
    try:
        [step] = bench.up(
            cut_off(bench, f"CREATE DATABASE {name}", f"CREATE DATABASE {name}")
        ).steps
        assert step.note == "found complete"
    finally:
        bench.sql(f"DROP DATABASE {name}")


def test_progress_of_a_build_is_told(bench: Bench) -> None:
    bench.sql("UPDATE old SET name = repeat('x', 1000)")
    bench.sql("VACUUM FULL ANALYZE old")
    bench.sql(
        "CREATE FUNCTION slow(n bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM"
        " pg_sleep(0.001); RETURN n; END'"
    )
    bench.up(
        bench.migration(
            "-- step: index\nCREATE INDEX CONCURRENTLY slow_idx ON old (public.slow(id));"
        )
    )
    told = [facts for event, facts in bench.heard if event == "step.progress"]
    assert told[0]["step"] == "index"
    assert 0 < told[-1]["rows"] <= told[-1]["of"] == 1000


def test_errors_name_what_was_found_and_what_to_do(bench: Bench) -> None:
    with pytest.raises(RunbookError) as caught:
        bench.up(bench.migration("-- step: nonsense\nSELECT nothing_like_that FROM old;"))
    assert caught.value.what and caught.value.found and caught.value.action


def test_a_step_for_each_row_runs_what_its_select_finds_and_goes_on_after_a_cut(
    bench: Bench,
) -> None:
    bench.sql("CREATE TABLE left_a (i integer); CREATE TABLE left_b (i integer)")
    up = (
        "-- step: indexes  for each row\nSELECT format('CREATE INDEX CONCURRENTLY %I ON %I (i)',"
        " relname || '_each', relname) FROM pg_class WHERE relname IN ('left_a', 'left_b') AND NOT"
        " EXISTS (SELECT FROM pg_index WHERE indrelid = pg_class.oid AND indisvalid) ORDER BY"
        " relname;"
    )
    migration = bench.migration(up)
    # As a build that was cut off leaves it: invalid, and under the name it shall have.
    bench.sql("CREATE INDEX left_b_each ON left_b (i)")
    bench.sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'left_b_each'::regclass")
    bench.up(migration)
    assert bench.sql(
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE"
        " indexrelid::regclass::text LIKE '%_each' ORDER BY 1"
    ) == [("left_a_each", True), ("left_b_each", True)]
    assert bench.status() == "completed"


def test_a_step_for_each_row_runs_nothing_but_indexes(bench: Bench) -> None:
    migration = bench.migration("-- step: all  for each row\nSELECT 'DROP TABLE old';")
    with pytest.raises(StepFailed, match="found what it may not run"):
        bench.up(migration)
    assert bench.sql("SELECT to_regclass('old') IS NOT NULL") == [(True,)]
