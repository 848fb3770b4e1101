"""Rows that are gone: deleted by the application, or lost."""

from __future__ import annotations

from typing import Any

import pytest
from project import Project, ask, execute
from workbench import wait_for

from mantis_runbook import notebook
from mantis_runbook.backup import missing_rows
from mantis_runbook.backup.missing_rows import Deletions, Loss
from mantis_runbook.postgres.connection import Connection, connect
from mantis_runbook.postgres.target import Target

BEFORE = Deletions({"t": 5}, None, 100, counts=True)


def after(deleted: int = 5, **changes: Any) -> Deletions:
    return Deletions(
        **({"by_table": {"t": deleted}, "reset": None, "commits": 200, "counts": True} | changes)
    )


@pytest.mark.parametrize(
    ("now", "before", "after", "expected"),
    [
        ({"t": 10}, BEFORE, after(), ()),
        ({"t": 12}, BEFORE, after(9), ()),
        ({"t": 7}, BEFORE, after(8), ()),
        ({"t": 7}, BEFORE, after(99), ()),  # rolled-back deletions count, too
        ({}, BEFORE, after(), ()),  # a table that is gone is told of elsewhere
        ({"t": 7}, BEFORE, after(5), (Loss("t", 3, 0),)),
        ({"t": 7}, BEFORE, after(6), (Loss("t", 3, 1),)),
        ({"t": 7}, None, after(99), (Loss("t", 3, None),)),
        ({"t": 7}, BEFORE, after(2), (Loss("t", 3, None),)),
        ({"t": 7}, BEFORE, after(99, reset="2026-11-22"), (Loss("t", 3, None),)),
        ({"t": 7}, BEFORE, after(99, commits=50), (Loss("t", 3, None),)),
        ({"t": 7}, BEFORE, after(99, counts=False), (Loss("t", 3, None),)),
    ],
)
def test_rows_that_became_fewer_are_set_against_the_deletions(
    now: dict[str, int], before: Deletions | None, after: Deletions, expected: tuple[Loss, ...]
) -> None:
    assert missing_rows.losses({"t": 10}, now, before, after) == expected


@pytest.mark.parametrize(("deleted", "word"), [(0, "failed"), (1, "warned"), (None, "warned")])
def test_what_nobody_deleted_is_lost_and_what_is_not_known_is_never_fine(
    deleted: int | None, word: str
) -> None:
    assert Loss("t", 3, deleted).word == word


def test_a_session_that_has_not_told_yet_what_it_deleted_is_waited_for(target: Target) -> None:
    with connect(target, "test") as reader, connect(target, "application") as application:
        application.execute("CREATE TABLE t AS SELECT generate_series(1, 10) AS n")
        before = missing_rows.deletions(reader)
        application.execute("DELETE FROM t WHERE n <= 3")
        assert missing_rows.found(reader, {"public.t": 10}, {"public.t": 7}, before) == ()


def test_partitions_count_with_their_root_and_a_table_that_becomes_one_is_still_the_same(
    target: Target,
) -> None:
    """As migration 007 does: the table takes another name and becomes a partition of its
    successor.
    """
    with connect(target, "test") as connection, connection.transaction():
        connection.execute("CREATE TABLE t AS SELECT generate_series(1, 10) AS n")
    with connect(target, "application") as application:
        application.execute("DELETE FROM t WHERE n <= 3")
    with connect(target, "test") as reader:
        before = counted(reader, 3)
        reader.execute("ALTER TABLE t RENAME TO history")
        reader.execute("CREATE TABLE t (n integer) PARTITION BY RANGE (n)")
        reader.execute("ALTER TABLE t ATTACH PARTITION history DEFAULT")
        assert missing_rows.deletions(reader).since(before, "public.t") == 0
        assert "public.history" not in missing_rows.deletions(reader).by_table


def counted(connection: Connection, deleted: int) -> Deletions:
    """The statistics, once the session that ended has told what it deleted."""
    wait_for(
        lambda: missing_rows.deletions(connection).by_table["public.t"] == deleted, "the statistics"
    )
    return missing_rows.deletions(connection)


@pytest.fixture
def target(empty_database: Target) -> Target:
    return empty_database


# -- in a phase ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "verdict", "said"),
    [
        (
            "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log LIMIT 3)",
            "passed",
            "no row that nobody deleted",
        ),
        ("TRUNCATE audit_log", "failed", "public.audit_log has"),
    ],
)
def test_after_a_migration_rows_that_nobody_deleted_fail_its_comparison(
    project: Project,
    prepared: Target,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    verdict: str,
    said: str,
) -> None:
    core = notebook.open("1", {"target": "TEST_DSN", "environment": "development"})
    for verb in ("precheck", "back_up", "prove", "rehearse", "approve", "migrate", "validate"):
        getattr(core, verb)()
    assert ask(prepared, "SELECT count(*) FROM audit_log") > 3
    execute(prepared, statement)
    monkeypatch.setattr(missing_rows, "PATIENCE_S", 2.0)
    found = core.compare()
    assert found.verdict == verdict
    assert said in found.summary
    rows = {row["table"]: row for row in found.tables[1].records}
    assert rows["public.audit_log"]["change"] < 0
    assert core.verdict.word == (
        "failed" if verdict == "failed" else "inconclusive"
    )  # not concluded yet
