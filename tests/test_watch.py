"""A watched migration: what is probed of it and what is not, and what the watch does not claim to know."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbench import Bench, limits

from mantis_runbook import run, watch
from mantis_runbook.run import Run


@pytest.fixture
def begun(bench: Bench, reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run on a database where two tables may be probed, watched without the wait for the machine's noise."""
    monkeypatch.setenv("MANTIS_RUNBOOK_BACKUPS", str(tmp_path / "backups"))
    monkeypatch.setattr(watch, "NOISE_S", 0.3)
    monkeypatch.setattr(watch, "CENTRAL", ())
    return run.start(bench.target, limits(), "Ada", phases={})


def test_tables_beyond_the_last_lane_are_named(bench: Bench, begun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST_TABLES", 2)
    bench.sql("CREATE TABLE second (id integer); CREATE TABLE third (id integer); CREATE TABLE fourth (id integer)")
    with watch.watching(begun, "1", ("old", "second", "third", "fourth")) as watched:
        pass
    assert watched.probed is not None
    assert {lane.lane for lane in watched.probed.lanes} == {
        "read old", "write old", "read second", "write second", "write canary",
    }  # fmt: skip
    assert watched.facts["not_probed"] == ["third", "fourth"]
