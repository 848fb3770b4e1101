"""A watched migration: what is probed of it and what is not, and what the watch does not claim to
know.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from project import Project, ask
from workbench import Bench, limits

from mantis_runbook import application, notebook
from mantis_runbook.application import Application
from mantis_runbook.errors import Failed, Inconclusive
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs import archive, run
from mantis_runbook.runs.run import Run
from mantis_runbook.watch import watch
from mantis_runbook.watch.monitor import NO_FUNCTION, Monitor
from mantis_runbook.watch.probe import Probe


@pytest.fixture
def begun(bench: Bench, reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run on a database where two tables may be probed, watched without the wait for the
    machine's noise.
    """
    monkeypatch.setenv("MANTIS_RUNBOOK_BACKUPS", str(tmp_path / "backups"))
    monkeypatch.setattr(watch, "NOISE_S", 0.3)
    monkeypatch.setattr(application, "load", lambda: Application(name="bench"))
    return run.start(bench.target, limits(), "Ada", phases={})


def test_tables_beyond_the_last_lane_are_named(
    bench: Bench, begun: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MOST_TABLES", 2)
    bench.sql(
        "CREATE TABLE second (id integer); CREATE TABLE third (id integer); CREATE TABLE fourth (id"
        " integer)"
    )
    with watch.watching(begun, "1", ("old", "second", "third", "fourth")) as watched:
        pass
    assert watched.probed is not None
    assert {lane.lane for lane in watched.probed.lanes} == {
        "read old", "write old", "read second", "write second", "write canary",
    }  # fmt: skip
    assert watched.facts["not_probed"] == ["third", "fourth"]


def test_an_ordinary_watch_leaves_no_doubt(bench: Bench, begun: Run) -> None:
    """Nor does one of a step that takes no time, which breaks the plans that its table has."""
    bench.sql("ALTER TABLE old ALTER COLUMN name TYPE varchar(100)")
    with watch.watching(begun, "1", ("old",)) as watched:
        bench.sql("ALTER TABLE old ALTER COLUMN name TYPE text")
    watched.require()
    assert watched.notes == (NO_FUNCTION,), "this database has none"
    assert bench.value("SELECT count(*) FROM mantis_runbook.canary") == 0


def test_a_probe_that_is_killed_in_the_middle_leaves_the_gaps_unknown(
    begun: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "Probe", Mortal)
    with watch.watching(begun, "1", ("old",)) as watched:
        pass
    with pytest.raises(
        Inconclusive,
        match=r"ended before its time \(exit code -9\); .* its figures are a lower bound",
    ):
        watched.require()


class Mortal(Probe):
    """A probe whose process is killed as soon as the migration begins."""

    def mark(self, name: str = "migration") -> None:
        super().mark(name)
        if name == "migration" and self._process is not None:
            self._process.kill()
            self._process.wait()


def test_acknowledged_writes_that_nobody_can_look_for_are_not_taken_for_found(
    bench: Bench, begun: Run
) -> None:
    with watch.watching(begun, "1", ("old",)) as watched:
        bench.sql("ALTER TABLE mantis_runbook.canary RENAME TO canary_away")
    with pytest.raises(Inconclusive, match=r"nobody could look for \d+ acknowledged writes"):
        watched.require()


def test_acknowledged_writes_that_are_gone_are_worse_than_a_doubt(bench: Bench, begun: Run) -> None:
    with watch.watching(begun, "1", ("old",)) as watched:
        bench.sql("DELETE FROM mantis_runbook.canary")
    with pytest.raises(Failed, match="acknowledged writes are gone"):
        watched.require()


def test_a_migration_that_the_probe_did_not_see_is_inconclusive_however_often_its_cell_is_run(
    project: Project, prepared: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "Probe", Mortal)
    core = notebook.open("1", {"target": "TEST_DSN", "environment": "development"})
    for verb in ("precheck", "back_up", "prove", "rehearse", "approve"):
        getattr(core, verb)()
    for _ in range(3):
        with pytest.raises(Inconclusive, match="the probe did not see all of the migration"):
            core.migrate()
    assert (
        ask(prepared, "SELECT status FROM mantis_runbook.schema_migrations WHERE version = '001'")
        == "completed"
    )
    kept = archive.read_evidence(core.run.folder, "1", "migrate")
    assert kept is not None
    assert kept["verdict"] == "inconclusive"
    assert kept["facts"]["probe"]["lanes"]
    assert core.verdict.word == "inconclusive"


def test_what_the_monitor_could_not_see_is_a_warning_in_the_cell(
    project: Project, prepared: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Blind(Monitor):
        def __enter__(self) -> Monitor:
            self._note("this role does not see other roles' sessions")
            return super().__enter__()

    monkeypatch.setattr(watch, "Monitor", Blind)
    core = notebook.open("1", {"target": "TEST_DSN", "environment": "development"})
    for verb in ("precheck", "back_up", "prove", "rehearse", "approve"):
        getattr(core, verb)()
    shown = core.migrate()
    assert (shown.verdict, shown.advice) == (
        "warned",
        "this role does not see other roles' sessions",
    )
