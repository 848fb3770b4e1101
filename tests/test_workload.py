"""The load beside a run: as long as the work and no longer, with the scenarios there are, and its figures told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from workbench import Bench, wait_for

from mantis_runbook import runner, settings, workload
from mantis_runbook.journal import Journal
from mantis_runbook.summary import read
from mantis_runbook.workload import Load, LoadResult


@pytest.fixture
def script(tmp_path: Path, bench: Bench) -> Callable[[str], Path]:
    """A pgbench script that writes its name into table `played`."""
    bench.sql("CREATE TABLE played (name text)")

    def make(name: str) -> Path:
        path = tmp_path / f"{name}.sql"
        path.write_text(f"INSERT INTO played VALUES ('{name}');\n")
        return path

    return make


def running(bench: Bench, *scripts: Path, **options: object):
    return workload.running(bench.target, **({"clients": 2, "rate": 50.0, "scripts": lambda: scripts} | options))


def played(bench: Bench) -> int:
    return bench.value("SELECT count(*) FROM played")


def test_staging_has_the_load_of_the_strategy() -> None:
    """pgbench -c 50 -j 4 -T 300 -P 30, with its three scenarios."""
    staging = settings.environment("staging")
    assert (staging.load_clients, staging.load_threads, staging.load_s, workload.SPELL_S) == (50, 4, 300, 30)
    assert [path.stem for path in workload.scenarios()] == ["analytics_queries", "customer_crud", "order_processing"]


def test_a_load_that_is_ended_in_the_middle_of_a_spell_tells_all_it_did(
    bench: Bench, script: Callable[[str], Path]
) -> None:
    told: list[LoadResult] = []
    with running(bench, script("one"), told=told.append) as load:
        wait_for(lambda: played(bench) > 10, "some transactions")
        assert told == [], "the spell is not over"
    assert [one.processed for one in told] == [load.result.processed] == [played(bench)]
    assert load.result.failed == 0
    assert load.result.errors == ()


def test_a_spell_plays_what_scripts_there_are_by_then(
    bench: Bench, script: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workload, "SPELL_S", 1)
    there = [script("old")]
    with running(bench, scripts=lambda: there):
        wait_for(lambda: played(bench), "the old one")
        there = [script("new")]
        wait_for(lambda: bench.value("SELECT count(*) FROM played WHERE name = 'new'"), "the new one")


def test_a_load_lasts_as_long_as_it_is_asked_to_unless_the_work_failed(
    bench: Bench, script: Callable[[str], Path]
) -> None:
    began = time.monotonic()
    with running(bench, script("one")) as load:
        load.least_s = 3
        wait_for(lambda: played(bench), "the load to begin")
    assert time.monotonic() - began >= 3
    assert load.result.processed == played(bench)

    began = time.monotonic()
    with pytest.raises(ZeroDivisionError), running(bench, script("two")) as load:
        load.least_s = 600
        _ = 1 / 0
    assert time.monotonic() - began < 300


def test_a_load_that_may_not_begin_is_not_waited_for(bench: Bench, script: Callable[[str], Path]) -> None:
    with running(bench, script("one"), may_begin=lambda: False) as load:
        load.least_s = 600
    assert (load.spells, played(bench)) == ([], 0)


def test_figures_that_nobody_can_keep_end_the_load_and_are_not_passed_over(
    bench: Bench, script: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workload, "SPELL_S", 1)

    def full(_: LoadResult) -> None:
        raise OSError("no space left on device")

    began = time.monotonic()
    with pytest.raises(OSError, match="no space left"), running(bench, script("one"), told=full) as load:
        load.least_s = 600
    assert time.monotonic() - began < 300


@pytest.mark.parametrize(("earlier", "now", "least_s"), [(False, True, 300), (True, True, 0), (False, False, 0)])
def test_only_a_run_that_executed_a_phase_and_passed_waits_for_the_load(
    monkeypatch: pytest.MonkeyPatch,
    earlier: bool,
    now: bool,
    least_s: float,
) -> None:
    """`earlier` is whether the phase had passed before, `now` whether it passes when it is executed."""
    load, executed = workload.Load(), []
    monkeypatch.setattr(runner, "working", lambda run: nullcontext())
    monkeypatch.setattr(workload, "running", lambda *_, **__: nullcontext(load))
    monkeypatch.setattr(runner, "archive_run", lambda run: None)
    monkeypatch.setattr(runner, "_execute", lambda *_: executed.append(1))
    monkeypatch.setattr(runner, "_drop_scratch", lambda *_: None)
    monkeypatch.setattr(runner, "_passed", lambda *_: now if executed else earlier)
    run = SimpleNamespace(environment=settings.environment("staging"), target=None, name="", operator="", journal=None)
    runner.execute(run, [SimpleNamespace(number="1", notebook=Path())], {}, {})
    assert load.least_s == least_s


def test_statements_that_fail_are_told_with_their_error(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "broken.sql").write_text("SELECT * FROM gone;\n")
    with running(bench, tmp_path / "broken.sql") as load:
        wait_for(lambda: load.spells, "the first spell")
    assert load.result.processed == 0
    assert any("gone" in error for error in load.result.errors)


@pytest.mark.parametrize(("phases", "stems"), [(("1", "2"), 3), (("1", "2", "3"), 6), ((), 3)])
def test_scenarios_of_the_new_tables_join_once_a_phase_stands_on_them(
    tmp_path: Path, phases: tuple[str, ...], stems: int
) -> None:
    journal = Journal(tmp_path)
    for phase in phases:
        journal.append("phase.started", phase=phase)
    assert len(runner._scenarios(SimpleNamespace(journal=journal))) == stems


def test_the_summary_adds_the_spells_up(tmp_path: Path) -> None:
    folder = tmp_path / "20261122T120000Z-sandbox"
    folder.mkdir()
    for result in (LoadResult(90, 0, 0, 2.0), LoadResult(10, 1, 2, 12.0)):
        Journal(folder).append("load.progress", **vars(result))
    assert read(folder).load == {"transactions": 100, "failed": 3, "latency_ms": 3.0}
    assert json.dumps(read(folder).load)
    assert Load().result == LoadResult(0, 0, 0, 0.0)
