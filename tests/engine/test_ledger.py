"""The ledger: the strategy's table and its five states, beside older tooling's table where there is
one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from workbench import Bench, beside

from mantis_runbook import settings
from mantis_runbook.engine import ledger
from mantis_runbook.engine.ledger import TRANSITIONS, Ledger
from mantis_runbook.engine.step_journal import Pass, StepJournal
from mantis_runbook.errors import Refused, StepFailed
from mantis_runbook.postgres.target import Target

UP = "-- step: table\nCREATE TABLE fresh (id integer);"
STATES = ("pending", "running", "completed", "failed", "rolled_back")


def columns(bench: Bench, table: str) -> list[tuple[Any, ...]]:
    return bench.sql(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum", table
    )  # fmt: skip


def test_the_ledger_has_the_strategys_columns(bench: Bench) -> None:
    assert columns(bench, "mantis_runbook.schema_migrations") == [
        ("id", "uuid", True),
        ("version", "text", True),
        ("description", "text", True),
        ("applied_at", "timestamp with time zone", False),
        ("rollback_sql", "text", False),
        ("checksum", "text", False),
        ("status", "text", False),
    ]
    assert [name for name, _, _ in columns(bench, "mantis_runbook.migration_backups")] == [
        "id", "phase", "backup_location", "backup_size_bytes", "checksum", "created_at",
        "verified_at", "is_valid",
    ]  # fmt: skip


def test_states_follow_each_other_as_the_table_says(bench: Bench) -> None:
    migration = bench.migration(UP)
    with bench.connect() as connection:
        book = Ledger(connection)
        for before, after in itertools.product((None, *STATES), STATES):
            connection.execute("DELETE FROM mantis_runbook.schema_migrations")
            if before:
                insert = (
                    "INSERT INTO mantis_runbook.schema_migrations (version, description, status)"
                    " VALUES ('001', 'x', %s)"
                )
                connection.execute(insert, [before])
            if after in TRANSITIONS[before]:
                book.set(migration, after)
            else:
                found = f"migration 001 cannot become {after}: found status {before or 'none'}"
                with pytest.raises(Refused, match=found):
                    book.set(migration, after)
            assert bench.status() == (after if after in TRANSITIONS[before] else before)


def test_what_a_completed_row_holds(bench: Bench) -> None:
    migration = bench.migration(UP)
    bench.up(migration)
    [row] = bench.sql(
        "SELECT version, description, status, checksum, rollback_sql FROM"
        " mantis_runbook.schema_migrations"
    )
    assert row == ("001", "A sample", "completed", migration.checksum, migration.rollback.text)
    with bench.connect() as connection:
        assert Ledger(connection).completed() == ("001",)


def test_installing_again_changes_nothing(bench: Bench) -> None:
    bench.up(bench.migration(UP))
    before = (
        bench.sql("SELECT * FROM mantis_runbook.schema_migrations"),
        bench.sql("SELECT * FROM mantis_runbook.journal"),
    )
    with bench.connect() as connection:
        ledger.install(connection)
    assert (
        bench.sql("SELECT * FROM mantis_runbook.schema_migrations"),
        bench.sql("SELECT * FROM mantis_runbook.journal"),
    ) == before


def test_two_installations_at_once_make_one_ledger(empty_database: Target, tmp_path: Path) -> None:
    bench = Bench(empty_database, tmp_path / "migrations")

    def install() -> None:
        with bench.connect() as connection:
            ledger.install(connection)

    with beside(install) as first, beside(install) as second, beside(install) as third:
        pass
    assert (first.error, second.error, third.error) == (None, None, None)
    assert bench.status() is None


@pytest.mark.parametrize(
    ("file", "write", "rows"),
    [
        (
            "older_tooling_a",
            "INSERT INTO schema_migrations (migration_name) VALUES ('0006_next')",
            5,
        ),
        (
            "older_tooling_b",
            "INSERT INTO schema_migrations (id, name, filename) VALUES ('004', 'next', '004.sql')",
            4,
        ),
    ],
)
def test_a_ledger_of_older_tooling_stays_untouched_and_goes_on_being_written(
    empty_database: Target, tmp_path: Path, file: str, write: str, rows: int
) -> None:
    bench = Bench(empty_database, tmp_path / "migrations")
    bench.sql((settings.sql() / "baseline" / f"{file}.sql").read_text())
    before = (
        columns(bench, "public.schema_migrations"),
        bench.sql("SELECT * FROM public.schema_migrations ORDER BY 1"),
    )
    assert len(before[1]) == rows
    bench.prepare()
    migration = bench.migration(UP)
    bench.up(migration)
    after = (
        columns(bench, "public.schema_migrations"),
        bench.sql("SELECT * FROM public.schema_migrations ORDER BY 1"),
    )
    assert after == before
    with bench.connect() as connection:
        assert (ledger.shape(connection), Ledger(connection).schema) == (
            "foreign",
            "mantis_runbook",
        )
    bench.sql(write)
    assert bench.value("SELECT count(*) FROM public.schema_migrations") == rows + 1
    assert bench.sql("SELECT version, status FROM mantis_runbook.schema_migrations") == [
        ("001", "completed")
    ]
    assert bench.there("public.migration_backups", "mantis_runbook.migration_backups") == [
        False,
        True,
    ]
    bench.rollback(migration)
    assert bench.status() == "rolled_back"


def test_a_view_in_the_place_of_the_ledger_is_left_alone(
    empty_database: Target, tmp_path: Path
) -> None:
    bench = Bench(empty_database, tmp_path / "migrations")
    bench.sql("CREATE VIEW schema_migrations AS SELECT 1 AS id")
    bench.prepare().up(bench.migration(UP))
    assert bench.sql("SELECT * FROM public.schema_migrations") == [(1,)]
    assert bench.status() == "completed"


def test_a_strategys_ledger_that_is_there_is_used(empty_database: Target, tmp_path: Path) -> None:
    bench = Bench(empty_database, tmp_path / "migrations")
    bench.sql((settings.sql() / "ledger" / "010_ledger.sql").read_text())
    bench.sql(
        "INSERT INTO schema_migrations (version, description, status) VALUES ('000', 'by hand',"
        " 'completed')"
    )
    bench.prepare().up(bench.migration(UP))
    assert bench.sql("SELECT version FROM mantis_runbook.schema_migrations ORDER BY version") == [
        ("000",),
        ("001",),
    ]


def test_backups_are_recorded_and_proven(bench: Bench) -> None:
    with bench.connect() as connection:
        book = Ledger(connection)
        good, bad = (book.record_backup("1", f"/b/{n}", 10, "aa") for n in "xy")
        book.record_backup("1", "/b/z", 10, "aa")
        book.record_proof(good, is_valid=True)
        book.record_proof(bad, is_valid=False)
        assert [(row["backup_location"], row["is_valid"]) for row in book.backups()] == [
            ("/b/x", True),
            ("/b/y", False),
            ("/b/z", None),
        ]


Row = tuple[str, str, str | None]  # direction, state, step


PASSES: list[tuple[Sequence[Row], Pass | None]] = [
    ((), None),
    ((("up", "begun", None),), Pass("up")),
    ((("up", "begun", None), ("up", "done", "a")), Pass("up", frozenset("a"), {"a": "sha-a"})),
    (
        (("up", "begun", None), ("up", "started", "a"), ("up", "batch", "b")),
        Pass("up", frozenset(), {"b": "sha-b"}, frozenset("a"), {"b": "key"}),
    ),
    (
        (("up", "begun", None), ("up", "done", "a"), ("up", "ended", None)),
        Pass("up", frozenset("a"), {"a": "sha-a"}, is_open=False),
    ),
    ((("up", "begun", None), ("up", "done", "a"), ("rollback", "begun", None)), Pass("rollback")),
    (
        (
            ("up", "begun", None),
            ("up", "ended", None),
            ("rollback", "begun", None),
            ("rollback", "ended", None),
            ("up", "begun", None),
        ),
        Pass("up"),
    ),
]


def test_the_journal_tells_where_a_pass_stands(bench: Bench) -> None:
    with bench.connect() as connection:
        journal = StepJournal(connection, "run-1", "Ada")
        for number, (rows, expected) in enumerate(PASSES):
            for direction, state, step in rows:
                detail = {"last_key": "key"} if state == "batch" else {}
                done = f"sha-{step}" if step else None
                journal.write(
                    str(number), direction, state, step, statement_sha256=done, detail=detail
                )
            assert journal.last_pass(str(number)) == expected


def test_catalogues_are_kept_from_before_after_and_the_rollback(bench: Bench) -> None:
    migration = bench.migration(UP, "-- step: broken\nSELECT 1 / 0;")
    bench.up(migration)
    with bench.connect() as connection:
        journal = StepJournal(connection, "", "")
        assert "public.fresh" not in str(journal.catalog_before("001"))
        assert "public.fresh" in str(journal.catalog_after("001"))
        assert journal.catalog_at_rollback("001") is None
        with pytest.raises(StepFailed):
            bench.rollback(migration)
        assert "public.fresh" in str(journal.catalog_at_rollback("001"))
        bench.rollback(bench.migration(UP))
        assert journal.catalog_at_rollback("001") is None
        bench.sql(
            "INSERT INTO mantis_runbook.journal (run, version, direction, state, who) VALUES ('r',"
            " '001', 'up', 'begun', 'Ada')"
        )
        assert journal.catalog_after("001") is None, (
            "the end of an earlier pass is not the end of this one"
        )


def test_decisions_and_archives_are_kept(bench: Bench) -> None:
    with bench.connect() as connection:
        book = Ledger(connection)
        book.decide("currency", {"??": "ZAR"}, "Ada")
        book.decide("currency", {"??": "USD"}, "Bob")
        book.record_archive("run-1", "head-1", "passed")
        book.record_archive("run-1", "head-2", "passed")
        assert book.archived_head("run-1") == "head-2"
        assert book.archived_head("run-2") is None
    assert bench.sql("SELECT value, decided_by FROM mantis_runbook.decision") == [("USD", "Bob")]
