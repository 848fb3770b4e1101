"""Locks of each statement, on real servers: which table, how strong, with a rewrite or a scan."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path

import psycopg
import pytest

from mantis_runbook import settings
from mantis_runbook.engine import ledger
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.files import Step, parse_statements
from mantis_runbook.postgres.connection import Connection, connect
from mantis_runbook.postgres.target import Target
from mantis_runbook.rehearsal.lock_recorder import MODES, Recorder, StatementLocks, strongest
from mantis_runbook.rehearsal.lock_verdict import judge
from mantis_runbook.settings import GuardLimits

SHARE_UPDATE, SHARE, SHARE_ROW, ALL = (
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "AccessExclusiveLock",
)


@pytest.fixture
def target(empty_database: Target) -> Target:
    """Two small tables with rows, and a partitioned one."""
    with connect(empty_database, "test") as connection:
        connection.execute("CREATE TABLE owner (id integer PRIMARY KEY, name text)")
        connection.execute(
            "CREATE TABLE thing (id integer PRIMARY KEY, owner_id integer, name text, size integer,"
            " note text)"
        )
        connection.execute(
            "ALTER TABLE thing ADD CONSTRAINT size_known CHECK (size IS NOT NULL) NOT VALID"
        )
        connection.execute("INSERT INTO owner SELECT n, 'o' || n FROM generate_series(1, 100) AS n")
        connection.execute(
            "INSERT INTO thing SELECT n, n % 100 + 1, 't' || n, n FROM generate_series(1, 5000)"
            " AS n"
        )
        connection.execute("CREATE TABLE log (at date NOT NULL, text text) PARTITION BY RANGE (at)")
        connection.execute(
            "CREATE TABLE log_2026 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO"
            " ('2027-01-01')"
        )
        connection.execute("CREATE INDEX thing_name_idx ON thing (name)")
        connection.execute("CREATE VIEW things AS SELECT id, name FROM thing")
        connection.execute("ANALYZE")
    return empty_database


def carried_out(target: Target, *texts: str, before: str = "") -> tuple[StatementLocks, ...]:
    """What the recorder sees of the statements of one step."""
    statements = parse_statements(";\n".join(texts))
    step = Step("step", 1, statements)
    with connect(target, "engine", lock_timeout="10s") as connection, Recorder(target) as recorder:
        if before:
            connection.execute(before)
        with connection.transaction() if step.transactional else nullcontext():
            for statement in statements:
                with recorder.observe(connection, "001", "up", step, statement):
                    connection.execute(statement.text)
        return recorder.locks


#: Statement; then table: mode, rewritten, scanned.
STATEMENTS: dict[str, tuple[str, dict[str, tuple[str, bool, bool]]]] = {
    "a column": ("ALTER TABLE thing ADD COLUMN more text", {"thing": (ALL, False, False)}),
    "a column with a constant": (
        "ALTER TABLE thing ADD COLUMN more integer NOT NULL DEFAULT 0",
        {"thing": (ALL, False, False)},
    ),
    "a column with a volatile default": (
        "ALTER TABLE thing ADD COLUMN more uuid DEFAULT gen_random_uuid()",
        {"thing": (ALL, True, True)},
    ),
    "another type": (
        "ALTER TABLE thing ALTER COLUMN size TYPE bigint",
        {"thing": (ALL, True, True)},
    ),
    "a wider text": (
        "ALTER TABLE thing ALTER COLUMN note TYPE varchar",
        {"thing": (ALL, False, False)},
    ),
    "not null": (
        "ALTER TABLE thing ALTER COLUMN owner_id SET NOT NULL",
        {"thing": (ALL, False, True)},
    ),
    "a check": (
        "ALTER TABLE thing ADD CONSTRAINT positive CHECK (size > 0)",
        {"thing": (ALL, False, True)},
    ),
    "a check, not valid": (
        "ALTER TABLE thing ADD CONSTRAINT positive CHECK (size > 0) NOT VALID",
        {"thing": (ALL, False, False)},
    ),
    "its validation": (
        "ALTER TABLE thing VALIDATE CONSTRAINT size_known",
        {"thing": (SHARE_UPDATE, False, True)},
    ),
    "a foreign key": (
        "ALTER TABLE thing ADD FOREIGN KEY (owner_id) REFERENCES owner",
        {"thing": (SHARE_ROW, False, True), "owner": (SHARE_ROW, False, True)},
    ),
    "a foreign key, not valid": (
        "ALTER TABLE thing ADD FOREIGN KEY (owner_id) REFERENCES owner NOT VALID",
        {"thing": (SHARE_ROW, False, False), "owner": (SHARE_ROW, False, False)},
    ),
    "a new table that refers to one": (
        "CREATE TABLE part (id integer PRIMARY KEY, thing_id integer REFERENCES thing)",
        {"thing": (SHARE_ROW, False, False)},
    ),
    "an index": ("CREATE INDEX thing_size_idx ON thing (size)", {"thing": (SHARE, False, True)}),
    "an index, gone": ("DROP INDEX thing_name_idx", {"thing": (ALL, False, False)}),
    "a trigger": (
        "CREATE TRIGGER same BEFORE UPDATE ON thing FOR EACH ROW EXECUTE FUNCTION"
        " suppress_redundant_updates_trigger()",
        {"thing": (SHARE_ROW, False, False)},
    ),
    "a policy": ("CREATE POLICY mine ON thing USING (true)", {"thing": (ALL, False, False)}),
    "a comment": ("COMMENT ON TABLE thing IS 'x'", {"thing": (SHARE_UPDATE, False, False)}),
    "a truncation": ("TRUNCATE thing", {"thing": (ALL, True, True)}),
    "a view, replaced": (
        "CREATE OR REPLACE VIEW things AS SELECT id, name, size FROM thing",
        {"things": (ALL, False, False), "thing": ("AccessShareLock", False, False)},
    ),
    "an update": (
        "UPDATE thing SET size = size WHERE id = 7",
        {"thing": ("RowExclusiveLock", False, False)},
    ),
    "a read": (
        "DO $$ BEGIN PERFORM count(*) FROM owner; END $$",
        {"owner": ("AccessShareLock", False, True)},
    ),
    "a partition": (
        "CREATE TABLE log_2027 PARTITION OF log FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
        {"log": (ALL, False, False)},
    ),
    "a table of its own": ("CREATE TABLE part (id integer PRIMARY KEY)", {}),
    "a type": ("CREATE TYPE mood AS ENUM ('good')", {}),
    "an index, concurrently": (
        "CREATE INDEX CONCURRENTLY thing_size_idx ON thing (size)",
        {"thing": (SHARE_UPDATE, False, True)},
    ),
    "an index, gone concurrently": (
        "DROP INDEX CONCURRENTLY thing_name_idx",
        {"thing": (SHARE_UPDATE, False, False)},
    ),
    "an index, anew concurrently": (
        "REINDEX INDEX CONCURRENTLY thing_name_idx",
        {"thing": (SHARE_UPDATE, False, True)},
    ),
}


@pytest.mark.parametrize("case", STATEMENTS.values(), ids=STATEMENTS)
def test_a_statements_locks_are_seen(
    target: Target, case: tuple[str, dict[str, tuple[str, bool, bool]]]
) -> None:
    text, expected = case
    found = carried_out(target, text)
    assert {
        one.table: (one.mode, one.rewrote, one.scanned) for one in found if one.table
    } == expected
    assert found
    assert all(one.duration_ms > 0 for one in found)
    if not expected:
        assert [(one.table, one.mode) for one in found] == [("", "")]


@pytest.mark.parametrize("case", STATEMENTS.values(), ids=STATEMENTS)
def test_what_is_said_to_block_does_block(
    target: Target, case: tuple[str, dict[str, tuple[str, bool, bool]]]
) -> None:
    """The modes' meaning, tried with a reader and a writer during the statement's transaction."""
    text, expected = case
    if "CONCURRENTLY" in text:
        pytest.skip("not inside a transaction")
    with (
        connect(target, "engine") as connection,
        connect(target, "app", lock_timeout="100ms") as app,
        connection.transaction(force_rollback=True),
    ):
        connection.execute(text)
        for table, (mode, rewrote, scanned) in expected.items():
            one = StatementLocks("001", "up", "s", "x", table, mode, rewrote, scanned)
            assert waits(app, f"SELECT FROM {table} LIMIT 1") is one.blocks_reads
            if table in ("thing", "owner"):
                assert waits(app, f"UPDATE {table} SET id = id WHERE false") is one.blocks_writes


def waits(connection: Connection, statement: str) -> bool:
    try:
        connection.execute(statement)
    except psycopg.errors.LockNotAvailable:
        return True
    return False


def test_a_lock_is_the_statements_that_took_it_and_lasts_until_the_last_one(target: Target) -> None:
    first, second, third = carried_out(
        target,
        "ALTER TABLE thing ADD COLUMN more text",
        "ALTER TABLE thing ADD CONSTRAINT positive CHECK (size > 0)",
        "DO $$ BEGIN PERFORM pg_sleep(0.2); END $$",
    )
    assert (first.table, first.mode, first.scanned) == ("thing", ALL, False)
    assert (second.table, second.mode, second.scanned) == ("thing", ALL, True)
    assert (third.table, third.mode) == ("", "")
    assert third.duration_ms >= 200
    assert first.held_ms == pytest.approx(
        first.duration_ms + second.duration_ms + third.duration_ms
    )


def test_scans_of_transactions_before_are_not_this_statements(target: Target) -> None:
    (found,) = carried_out(
        target, "ALTER TABLE thing ADD COLUMN more text", before="SELECT count(*) FROM thing"
    )
    assert not found.scanned


def test_a_statement_that_fails_leaves_no_record(target: Target) -> None:
    (statement,) = parse_statements("ALTER TABLE thing ADD COLUMN name text")
    step = Step("step", 1, (statement,))
    with connect(target, "engine") as connection, Recorder(target) as recorder:
        with (
            pytest.raises(psycopg.errors.DuplicateColumn),
            connection.transaction(),
            recorder.observe(connection, "001", "up", step, statement),
        ):
            connection.execute(statement.text)
        assert recorder.locks == ()


def test_a_statement_that_ran_twice_shows_its_worst(target: Target) -> None:
    (statement,) = parse_statements("CREATE INDEX IF NOT EXISTS thing_size_idx ON thing (size)")
    step = Step("step", 1, (statement,))
    with connect(target, "engine") as connection, Recorder(target) as recorder:
        for _ in range(2):
            with (
                connection.transaction(),
                recorder.observe(connection, "001", "up", step, statement),
            ):
                connection.execute(statement.text)
        (found,) = recorder.locks
    assert (found.table, found.mode, found.scanned) == ("thing", SHARE, True)


def test_a_concurrent_build_that_waits_is_seen_from_beside(target: Target) -> None:
    with psycopg.connect(**target.parameters) as old:
        old.execute("SELECT count(*) FROM owner")
        old.execute("SELECT pg_export_snapshot()")
        ended = threading.Timer(0.7, old.rollback)
        ended.start()
        (found,) = carried_out(
            target, "CREATE UNIQUE INDEX CONCURRENTLY thing_size_idx ON thing (size)"
        )
        ended.join()
    assert (found.table, found.mode, found.blocks_writes) == ("thing", SHARE_UPDATE, False)
    assert found.duration_ms >= 600


def test_a_migrations_statements_are_recorded_where_the_engine_lets_itself_be_observed(
    target: Target, tmp_path: Path
) -> None:
    if "observe" not in Engine.__dataclass_fields__:
        pytest.skip("the engine has no hook for it")
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "001_more.sql").write_text(
        "-- Migration 001: More\n-- phase: 1\n-- step: column\nALTER TABLE thing ADD COLUMN more"
        " text;\n-- step: fill   batched over thing\nUPDATE thing SET more = name WHERE id > $1 AND"
        " id <= $2;\n-- step: index\nCREATE INDEX CONCURRENTLY thing_more_idx ON thing (more);\n"
    )
    (folder / "001_more_rollback.sql").write_text(
        "-- step: back\nALTER TABLE thing DROP COLUMN more;\n"
    )
    (folder / "001_more_validate.sql").write_text("-- step: none\nSELECT 1 WHERE false;\n")
    (migration,) = migration_files.load(folder)
    with connect(target, "test") as connection:
        ledger.install(connection)
    with hold(target, "run", "tester") as fence, Recorder(target) as recorder:
        engine = Engine(
            target,
            settings.environment("development"),
            "run",
            "tester",
            fence,
            observe=recorder.observe,
        )
        engine.up(migration)
        engine.rollback(migration)
    seen = [(one.direction, one.step, one.table, one.mode) for one in recorder.locks]
    assert seen == [
        ("up", "column", "thing", ALL),
        ("up", "fill", "thing", "RowExclusiveLock"),
        ("up", "index", "thing", SHARE_UPDATE),
        ("rollback", "back", "thing", ALL),
    ]
    assert recorder.touched == ("thing",)


def test_tables_to_probe_are_those_that_are_locked(target: Target) -> None:
    texts = [
        "ALTER TABLE thing ADD COLUMN more text",
        "CREATE OR REPLACE VIEW things AS SELECT id, name, size FROM thing",
    ]
    statements = parse_statements(";\n".join(texts))
    with connect(target, "engine") as connection, Recorder(target) as recorder:
        for direction, statement in zip(("rollback", "up"), statements, strict=True):
            step = Step(direction, 1, (statement,))
            with (
                connection.transaction(),
                recorder.observe(connection, "001", direction, step, statement),
            ):
                connection.execute(statement.text)
        assert recorder.touched == ()
        step = Step("again", 1, (parse_statements("ALTER TABLE thing DROP COLUMN more")[0],))
        with (
            connection.transaction(),
            recorder.observe(connection, "001", "up", step, step.statements[0]),
        ):
            connection.execute(step.statements[0].text)
        assert recorder.touched == ("thing",)


def test_tables_to_probe_begin_with_the_strongest_and_longest_lock(target: Target) -> None:
    """In the order of the statements the table that is swapped would come last, and be the one
    without a lane.
    """
    texts = (
        "COMMENT ON TABLE log IS 'x'",
        "CREATE TABLE part (id integer PRIMARY KEY, owner_id integer REFERENCES owner)",
        "ALTER TABLE extra ADD COLUMN more text; SELECT pg_sleep(0.01)",
        "ALTER TABLE thing ADD COLUMN more text; SELECT pg_sleep(0.3)",
    )
    with connect(target, "test") as connection:
        connection.execute("CREATE TABLE extra (id integer)")
    with connect(target, "engine") as connection, Recorder(target) as recorder:
        for text in texts:
            step = Step(text, 1, parse_statements(text))
            with connection.transaction():
                for statement in step.statements:
                    with recorder.observe(connection, "001", "up", step, statement):
                        connection.execute(statement.text)
    assert recorder.touched == ("thing", "extra", "owner", "log")


# -- pure ------------------------------------------------------------------------------------------


def seen(
    mode: str,
    *,
    rewrote: bool = False,
    scanned: bool = False,
    held_ms: float = 1.0,
    mb: float = 100.0,
) -> StatementLocks:
    return StatementLocks(
        "001", "up", "s", "x", "thing", mode, rewrote, scanned, 1.0, held_ms, int(mb * 2**20)
    )


ENVIRONMENT = settings.environment("development").model_copy(
    update={
        "locked_table_mb": 8.0,
        "lock_timeout_ms": 100,
        "guard": GuardLimits(longest_gap_ms=2000),
    }
)


@pytest.mark.parametrize(
    ("locks", "verdict", "reason"),
    [
        (seen(ALL), "pass", ""),
        (
            seen(ALL, rewrote=True),
            "fail",
            "readers and writers wait while 100 MB are rewritten, more than 8 MB",
        ),
        (
            seen(SHARE, scanned=True),
            "fail",
            "writers wait while 100 MB are scanned, more than 8 MB",
        ),
        (seen(ALL, rewrote=True, mb=7.9), "pass", ""),
        (seen(SHARE_UPDATE, scanned=True), "pass", ""),
        (seen(SHARE_UPDATE, scanned=True, held_ms=1e6), "pass", ""),
        (seen("RowExclusiveLock", scanned=True), "pass", ""),
        (seen(ALL, held_ms=101), "warn", "readers and writers wait 101 ms"),
        (
            seen(SHARE_ROW, held_ms=2500),
            "fail",
            "writers wait 2,500 ms, and the guard stops at 2,000 ms",
        ),
        (seen(""), "pass", ""),
    ],
)
def test_what_an_environment_cannot_bear_is_red(
    locks: StatementLocks, verdict: str, reason: str
) -> None:
    judged = judge(locks, ENVIRONMENT)
    assert (judged.verdict, judged.reason) == (verdict, reason)


def test_a_record_reads_as_the_notebook_shows_it() -> None:
    record = judge(seen(ALL, rewrote=True), ENVIRONMENT).record
    assert record["strongest_lock"] == "AccessExclusive"
    assert (record["blocks_reads"], record["blocks_writes"], record["rewrite"]) == (
        True,
        True,
        True,
    )
    assert seen("").record["strongest_lock"] == "none"


def test_the_modes_are_in_order_of_their_strength() -> None:
    assert strongest(["RowShareLock", "ShareLock", "AccessShareLock"]) == "ShareLock"
    assert strongest([]) == ""
    assert len(MODES) == 8
