"""The load beside a run: as long as the work and no longer, with the scenarios there are, and its
figures told.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from workbench import Bench, wait_for

from mantis_runbook import settings
from mantis_runbook.phases import runner
from mantis_runbook.runs.journal import Journal
from mantis_runbook.runs.load_figures import LoadResult
from mantis_runbook.runs.summary import read
from mantis_runbook.watch import application_load
from mantis_runbook.watch.application_load import Load


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
    return application_load.running(
        bench.target, **({"clients": 2, "rate": 50.0, "scripts": lambda: scripts} | options)
    )


def played(bench: Bench) -> int:
    return bench.value("SELECT count(*) FROM played")


def test_staging_has_the_load_of_the_strategy() -> None:
    """pgbench -c 50 -j 4 -T 300 -P 30, with its three scenarios."""
    staging = settings.environment("staging")
    assert (
        staging.load_clients,
        staging.load_threads,
        staging.load_s,
        application_load.SPELL_S,
    ) == (50, 4, 300, 30)
    assert [path.stem for path in application_load.scenarios()] == [
        "analytics_queries",
        "customer_crud",
        "order_processing",
    ]


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
    monkeypatch.setattr(application_load, "SPELL_S", 1)
    there = [script("old")]
    with running(bench, scripts=lambda: there):
        wait_for(lambda: played(bench), "the old one")
        there = [script("new")]
        wait_for(
            lambda: bench.value("SELECT count(*) FROM played WHERE name = 'new'"), "the new one"
        )


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


def test_a_load_that_may_not_begin_is_not_waited_for(
    bench: Bench, script: Callable[[str], Path]
) -> None:
    with running(bench, script("one"), may_begin=lambda: False) as load:
        load.least_s = 600
    assert (load.spells, played(bench)) == ([], 0)


def test_figures_that_nobody_can_keep_end_the_load_and_are_not_passed_over(
    bench: Bench, script: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application_load, "SPELL_S", 1)

    def full(_: LoadResult) -> None:
        raise OSError("no space left on device")

    began = time.monotonic()
    with (
        pytest.raises(OSError, match="no space left"),
        running(bench, script("one"), told=full) as load,
    ):
        load.least_s = 600
    assert time.monotonic() - began < 300


@pytest.mark.parametrize(
    ("earlier", "now", "least_s"), [(False, True, 300), (True, True, 0), (False, False, 0)]
)
def test_only_a_run_that_executed_a_phase_and_passed_waits_for_the_load(
    monkeypatch: pytest.MonkeyPatch,
    earlier: bool,
    now: bool,
    least_s: float,
) -> None:
    """`earlier` is whether the phase had passed before, `now` whether it passes when it is
    executed.
    """
    load, executed = application_load.Load(), []
    monkeypatch.setattr(runner, "working", lambda run: nullcontext())
    monkeypatch.setattr(application_load, "running", lambda *_, **__: nullcontext(load))
    monkeypatch.setattr(runner, "archive_run", lambda run: None)
    monkeypatch.setattr(runner, "_execute", lambda *_: executed.append(1))
    monkeypatch.setattr(runner, "_drop_scratch", lambda *_: None)
    monkeypatch.setattr(runner, "_passed", lambda *_: now if executed else earlier)
    run = SimpleNamespace(
        environment=settings.environment("staging"), target=None, name="", operator="", journal=None
    )
    runner.execute(run, [SimpleNamespace(number="1", notebook=Path())], {}, {})
    assert load.least_s == least_s


def test_statements_that_fail_are_told_with_their_error(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "broken.sql").write_text("SELECT * FROM gone;\n")
    with running(bench, tmp_path / "broken.sql") as load:
        wait_for(lambda: load.spells, "the first spell")
    assert load.result.processed == 0
    assert load.result.failed == 2 * len(load.spells), (
        "pgbench itself counts no client that gave up"
    )
    assert load.result.errors == ('relation "gone" does not exist',)


def test_a_load_that_fails_at_once_is_not_begun_again_at_once(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application_load, "AFTER_ERRORS_S", 600)
    (tmp_path / "broken.sql").write_text("SELECT * FROM gone;\n")
    with running(bench, tmp_path / "broken.sql") as load:
        wait_for(lambda: load.spells, "the first spell")
        time.sleep(1)
    assert len(load.spells) == 1


def test_a_transaction_that_was_retried_until_it_succeeded_did_not_fail(
    bench: Bench, tmp_path: Path
) -> None:
    script = tmp_path / "serial.sql"
    script.write_text(
        "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT count(*) FROM old;\n\\sleep 2 ms\n"
        "UPDATE old SET touched = touched + 1 WHERE id = 1;\nCOMMIT;\n"
    )
    with running(bench, script, rate=100.0) as load:
        wait_for(
            lambda: bench.value("SELECT touched FROM old WHERE id = 1") > 100, "some transactions"
        )
    assert (load.result.failed, load.result.errors) == (0, ())
    rollbacks = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    wait_for(lambda: bench.value(rollbacks), "some of them to have been retried")


def test_clients_whose_server_is_gone_failed(bench: Bench, script: Callable[[str], Path]) -> None:
    with running(bench, script("one")) as load:
        wait_for(lambda: played(bench) > 2, "some transactions")
        bench.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ="
            " 'pgbench'"
        )
        wait_for(lambda: load.spells, "the spell to end")
    assert load.spells[0].failed == 2
    assert load.spells[0].errors


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


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (LoadResult(1000, 0, 10, 2.0), []),
        (LoadResult(980, 0, 20, 2.0),
         ["20 of 1,000 transactions of the load were due and could not be begun in time"]),
        (LoadResult(996, 4, 0, 2.0, ("no table", "no column")),
         ["4 of 1,000 transactions of the load failed: no table; no column"]),
        (LoadResult(0, 8, 0, 0.0, ("no table",)),
         ["8 of 8 transactions of the load failed, more than 10 % (load_failures_share):"
          " no table"]),
        (LoadResult(0, 0, 0, 0.0), []),
    ],
)  # fmt: skip
def test_what_failed_of_a_load_is_the_first_deviation(
    tmp_path: Path, result: LoadResult, said: list[str]
) -> None:
    journal = Journal(tmp_path)
    journal.append("run.started", limits=settings.environment("development").model_dump())
    journal.append("load.progress", **vars(result))
    found = [one for one in read(tmp_path).deviations if "interrupted" not in one.what]
    assert [one.what for one in found] == said
    assert read(tmp_path).deviations[: len(said)] == tuple(found)
    assert {one.grade for one in found} <= {"inconclusive" if result.processed == 0 else "warned"}


def test_development_bears_more_failures_than_the_others() -> None:
    shares = {name: one.load_failures_share for name, one in settings.environments().items()}
    assert shares == {"development": 0.1, "staging": 0.01, "production": 0.01}
