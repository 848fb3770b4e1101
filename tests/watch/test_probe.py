"""The probe: an open loop that shows a stall as a stall, and writes that must still be there
afterwards.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from workbench import wait_for

from mantis_runbook import charts
from mantis_runbook.engine import ledger
from mantis_runbook.errors import ParameterError
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target
from mantis_runbook.watch import samples
from mantis_runbook.watch.probe import FILE, Probe, Verification, _problems
from mantis_runbook.watch.samples import (
    CACHED_PLAN,
    CLOCK,
    END,
    MARK,
    OK,
    Sample,
    curable,
    figures,
    longest_gaps,
)

TABLES = ("public.customer", "organization")

#: Of a probe of one table: it reads, writes, and writes rows of its own.
LANES = 3


@pytest.fixture
def target(database: Target) -> Target:
    """A baseline database with the runbook's own schema."""
    with connect(database, "test") as connection:
        ledger.install(connection)
    return database


@contextmanager
def locked(target: Target, statement: str, seconds: float) -> Iterator[None]:
    """Another session holds a lock for so long, from the beginning of the block."""
    with psycopg.connect(**target.parameters) as session:
        session.execute(statement)

        def end() -> None:
            time.sleep(seconds)
            session.commit()

        thread = threading.Thread(target=end)
        thread.start()
        yield
        thread.join()


def answered_after(probe: Probe, folder: Path, mark: str = "migration") -> None:
    """Set a mark, and wait until every lane has answered an instant that was due after it.

    What a lane meets from then on is counted as the mark's; an instant that was due before it, and
    is answered late, is not.
    """
    probe.mark(mark)

    def all_lanes() -> bool:
        seen = list(samples.read(folder / FILE))
        marked = [one.at_s for one in seen if (one.lane, one.outcome) == (MARK, mark)]
        answered = {
            one.lane
            for one in seen
            if marked and one.at_s > marked[0] and one.lane not in (CLOCK, MARK)
        }
        return len(answered) == LANES

    wait_for(all_lanes, f"answers after the mark {mark!r}", 60)


def closed_loop(target: Target, table: str, over: threading.Event, latencies: list[float]) -> None:
    """What a naive probe does: the next question after the last answer, each counted from when it
    was asked.
    """
    with psycopg.connect(**target.parameters, autocommit=True) as session:
        while not over.wait(0.002):
            began = time.monotonic()
            session.execute(f"SELECT FROM {table} LIMIT 1")
            latencies.append((time.monotonic() - began) * 1000)


# -- on a server -----------------------------------------------------------------------------------


def test_an_open_loop_shows_a_stall_that_a_closed_loop_hides(
    target: Target, tmp_path: Path
) -> None:
    over, naive = threading.Event(), list[float]()
    beside = threading.Thread(target=closed_loop, args=(target, "customer", over, naive))
    with Probe(target, TABLES, tmp_path, rate_hz=50) as probe:
        beside.start()
        time.sleep(2)
        probe.mark("migration")
        with locked(target, "LOCK TABLE customer", 1.0):
            pass
        time.sleep(1)
        over.set()
        beside.join()
    result = probe.result
    lanes = {lane.lane: lane for lane in result.lanes}
    assert set(lanes) == {
        "read public.customer", "write public.customer", "read organization", "write organization",
        "write canary",
    }  # fmt: skip
    for name in ("read public.customer", "write public.customer"):
        assert 950 < lanes[name].longest_gap.ms < 2500
        assert lanes[name].p99_ms > 900
        assert lanes[name].p50_ms < lanes[name].p99_ms
    # The stall fills about half of the time after the mark: so it does with the open loop's
    # samples, and only there.
    stalled = [ms for ms in naive if ms > 500]
    assert len(stalled) == 1
    assert sorted(naive)[int(len(naive) * 0.99)] < 500
    assert (
        lanes["read organization"].longest_gap.ms
        < 0.8 * lanes["read public.customer"].longest_gap.ms
    )
    assert result.noise_gap_ms is not None
    assert result.noise_gap_ms < 900
    assert result.longest_read_gap_ms == lanes["read public.customer"].longest_gap.ms
    assert result.longest_gap_ms >= result.longest_write_gap_ms
    assert result.errors == {}
    assert result.problems == ()


def test_the_write_lane_waits_as_a_writer_does_and_changes_nothing(
    target: Target, tmp_path: Path
) -> None:
    with connect(target, "test") as connection:
        before = connection.execute(
            "SELECT sum(hashtextextended(c::text, 1)) FROM customer AS c"
        ).fetchone()
        audited = connection.execute("SELECT count(*) FROM audit_log").fetchone()
        with Probe(target, ("customer",), tmp_path, rate_hz=20) as probe:
            time.sleep(0.5)
            probe.mark()
            with locked(target, "LOCK TABLE customer IN SHARE MODE", 1.0):
                pass
            time.sleep(0.3)
        assert (
            connection.execute(
                "SELECT sum(hashtextextended(c::text, 1)) FROM customer AS c"
            ).fetchone()
            == before
        )
        assert connection.execute("SELECT count(*) FROM audit_log").fetchone() == audited
    lanes = {lane.lane: lane.longest_gap.ms for lane in probe.result.lanes}
    assert lanes["write customer"] > 950
    assert lanes["read customer"] < 0.8 * lanes["write customer"]


def test_a_statement_trigger_does_not_fire(target: Target, tmp_path: Path) -> None:
    with connect(target, "test") as connection:
        connection.execute("CREATE TABLE fired (at timestamptz DEFAULT now())")
        connection.execute(
            "CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO fired"
            " DEFAULT VALUES; RETURN NULL; END$$"
        )
        connection.execute(
            "CREATE TRIGGER fire AFTER UPDATE ON customer FOR EACH STATEMENT EXECUTE FUNCTION"
            " fire()"
        )
        with Probe(target, ("customer",), tmp_path, rate_hz=20) as probe:
            time.sleep(0.3)
            probe.mark()
            with locked(target, "LOCK TABLE customer IN SHARE MODE", 0.7):
                pass
        assert connection.execute("SELECT count(*) FROM fired").fetchone() == (0,)
    assert probe.result.longest_write_gap_ms > 650
    assert probe.result.errors == {}


def test_acknowledged_writes_are_looked_for_and_then_deleted(
    target: Target, tmp_path: Path
) -> None:
    with Probe(target, (), tmp_path, rate_hz=100) as probe:
        time.sleep(1)
    found = probe.result.verification
    assert found.acknowledged > 20
    assert found == Verification(found.acknowledged, found.acknowledged, ())
    with connect(target, "test") as connection:
        assert connection.execute("SELECT count(*) FROM mantis_runbook.canary").fetchone() == (0,)


def test_a_lost_write_is_found_and_the_others_are_kept(target: Target, tmp_path: Path) -> None:
    with Probe(target, (), tmp_path, rate_hz=100) as probe, connect(target, "test") as connection:
        time.sleep(1)
        connection.execute("DELETE FROM mantis_runbook.canary WHERE number IN (3, 7)")
    found = probe.result.verification
    assert (found.missing, found.lost) == ((3, 7), 2)
    assert probe.result.problems == (
        f"2 of {found.acknowledged} acknowledged writes are gone: 3, 7",
    )
    with connect(target, "test") as connection:
        assert (
            connection.execute("SELECT count(*) FROM mantis_runbook.canary").fetchone()[0]
            >= found.acknowledged - 2
        )


def test_a_stall_that_has_not_ended_counts_as_long_as_it_is(target: Target, tmp_path: Path) -> None:
    with psycopg.connect(**target.parameters) as blocker:
        with Probe(target, ("customer",), tmp_path, rate_hz=20) as probe:
            time.sleep(0.5)
            probe.mark()
            blocker.execute("LOCK TABLE customer")
            time.sleep(1.5)
            assert probe.live.longest_gap_ms > 900
            assert probe.live.lane.endswith("customer")
        blocker.rollback()
    lanes = {lane.lane: lane for lane in probe.result.lanes}
    assert lanes["read customer"].longest_gap.ms > 1300
    assert lanes["read customer"].errors["unanswered"] >= 20
    assert lanes["read customer"].p99_ms > 1000
    assert lanes["write canary"].longest_gap.ms < lanes["read customer"].longest_gap.ms
    assert probe.result.incurable == {"unanswered": probe.result.errors["unanswered"]}


@pytest.mark.parametrize(
    ("change", "errors"),
    [
        ("ALTER TABLE customer ADD COLUMN more text", set()),
        ("ALTER TABLE customer ALTER COLUMN name TYPE varchar(300)", {CACHED_PLAN}),
        ("ALTER TABLE customer DROP COLUMN tags CASCADE", {"42703"}),
        ("ALTER TABLE customer RENAME TO client", {"42P01"}),
    ],
)
def test_errors_are_named_as_what_they_are(
    target: Target, tmp_path: Path, change: str, errors: set[str]
) -> None:
    with connect(target, "test", lock_timeout="10s") as connection:
        connection.execute("DROP VIEW IF EXISTS v_customer_ops_overview CASCADE")
        connection.execute("ALTER TABLE customer DROP CONSTRAINT IF EXISTS customer_name_length")
        views = connection.execute(
            "SELECT DISTINCT c.oid::regclass::text FROM pg_depend d JOIN pg_rewrite r ON r.oid ="
            " d.objid JOIN pg_class c ON c.oid = r.ev_class WHERE d.refobjid = 'customer'::regclass"
            " AND c.relkind IN ('v', 'm')"
        ).fetchall()
        for (view,) in views:
            connection.execute(f"DROP VIEW {view} CASCADE")
        connection.execute("CREATE INDEX IF NOT EXISTS customer_email_test ON customer (email)")
        with Probe(target, ("customer",), tmp_path, rate_hz=10) as probe:
            answered_after(probe, tmp_path)
            connection.execute(change)
            answered_after(probe, tmp_path, "changed")
    assert set(probe.result.errors) == errors
    assert set(probe.result.incurable) == errors - {CACHED_PLAN}
    if errors == {CACHED_PLAN}:
        assert probe.result.errors[CACHED_PLAN] == 1  # one plan, prepared anew after it
    lanes = {lane.lane: lane for lane in probe.result.lanes}
    assert lanes["read customer"].errors.keys() == errors


def test_a_table_that_is_not_there_is_a_finding(target: Target, tmp_path: Path) -> None:
    with Probe(target, ("nowhere",), tmp_path, rate_hz=20) as probe:
        time.sleep(0.5)
    assert set(probe.result.errors) == {"42P01"}
    assert probe.result.problems == ("nothing was answered in read nowhere, write nowhere",)


def test_without_the_runbooks_table_the_probe_says_what_it_did_not_look_for(
    database: Target, tmp_path: Path
) -> None:
    with Probe(database, ("customer",), tmp_path) as probe:
        time.sleep(0.3)
    assert {lane.lane for lane in probe.result.lanes} == {"read customer", "write customer"}
    assert probe.result.verification == Verification(0, 0, ())
    assert probe.result.problems == (
        (
            "acknowledged writes were not looked for: there is no table mantis_runbook.canary"
            " (phase 0)"
        ),
    )


def test_a_server_that_cannot_be_reached_is_a_finding_and_not_a_crash(tmp_path: Path) -> None:
    nobody = Target(
        "NOBODY", "variable", {"host": str(tmp_path), "port": "1", "dbname": "x", "user": "x"}
    )
    with Probe(nobody, ("customer",), tmp_path, rate_hz=20) as probe:
        time.sleep(1)
        assert probe.live.error_count > 0
    assert set(probe.result.errors) == {"08001"}
    assert probe.result.incurable == {}
    assert probe.result.longest_gap_ms > 900
    assert (
        "nothing was answered in read customer, write canary, write customer"
        in probe.result.problems
    )


def test_a_crash_of_the_server_is_a_gap_and_the_lanes_come_back(  # type: ignore[no-untyped-def]
    own_server, tmp_path: Path
) -> None:
    server: Server = own_server()
    target = Target("OWN", "variable", server.parameters)
    with connect(target, "test") as connection:
        ledger.install(connection)
        connection.execute("CREATE TABLE thing (id integer PRIMARY KEY, name text)")
    with Probe(target, ("thing",), tmp_path, rate_hz=50) as probe:
        time.sleep(0.5)
        probe.mark()
        server.stop("immediate")
        time.sleep(0.5)
        server.start()
        time.sleep(1.5)
    lanes = {lane.lane: lane for lane in probe.result.lanes}
    assert lanes["read thing"].longest_gap.ms > 500
    assert probe.result.errors.keys() & {"08001", "08006", "57P01", "57P02", "57P03"}
    assert probe.result.incurable == {}
    last = max(
        one.at_s
        for one in samples.read(tmp_path / "probe.csv")
        if one.outcome == "ok" and one.lane == "read thing"
    )
    end = next(one.at_s for one in samples.read(tmp_path / "probe.csv") if one.lane == END)
    assert end - last < 1
    assert probe.result.verification.lost == 0
    assert probe.result.verification.acknowledged > 0


def test_a_probe_that_was_killed_does_not_look_complete(target: Target, tmp_path: Path) -> None:
    with Probe(target, ("customer",), tmp_path) as probe:
        time.sleep(0.6)
        probe._process.kill()
        time.sleep(0.2)
    assert probe.result.problems[:2] == (
        "the probe's process ended before its time (exit code -9)",
        "the probe did not come to its end: its figures are a lower bound",
    )


def test_a_probe_does_not_outlive_its_owner(target: Target, tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, time\n"
        "from pathlib import Path\n"
        "from mantis_runbook.watch.probe import Probe\n"
        "from mantis_runbook.postgres.target import resolve\n"
        "with Probe(resolve('TEST_DSN'), ('customer',), Path(sys.argv[1])) as probe:\n"
        "    print(probe._process.pid, flush=True)\n"
        "    time.sleep(0.5)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    owner = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True
    )
    arguments = Path(f"/proc/{int(owner.stdout)}/cmdline")
    deadline = time.monotonic() + 15
    while (
        arguments.exists() and arguments.read_bytes()
    ):  # a process that ended and was not reaped has none
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert any(one.lane == END for one in samples.read(tmp_path / "probe.csv"))


def test_no_secret_is_among_the_arguments_or_the_samples(target: Target, tmp_path: Path) -> None:
    secret = "hunter2-hunter2"
    guarded = Target("SECRET", "variable", target.parameters | {"password": secret})
    with Probe(guarded, ("customer",), tmp_path) as probe:
        time.sleep(0.3)
        arguments = subprocess.run(
            ["ps", "-ww", "-o", "args=", "-p", str(probe._process.pid)],
            capture_output=True,
            text=True,
        )
    assert "mantis_runbook.watch.probe_process" in arguments.stdout
    assert secret not in arguments.stdout
    assert secret not in (tmp_path / "probe.csv").read_text()
    assert secret not in repr(probe.result)


def test_the_result_is_shown_kept_and_drawn(target: Target, tmp_path: Path) -> None:
    with Probe(target, ("customer",), tmp_path) as probe:
        time.sleep(0.5)
        probe.mark()
        time.sleep(0.5)
        probe.mark("migrated")
    records = probe.result.records
    assert [record["lane"] for record in records] == [
        "read customer",
        "write canary",
        "write customer",
    ]
    assert all(lane.p50_ms <= lane.p99_ms <= lane.p999_ms for lane in probe.result.lanes)
    assert {record["p99_ms"] for record in records} == {None}, (
        "about ten samples: their p99 is their maximum"
    )
    assert {record["errors"] for record in records} == {"0"}
    assert probe.result.as_dict()["longest_gap_ms"] == probe.result.longest_gap_ms
    assert set(probe.result.frame.columns) == {"at", "lane", "latency_ms", "ok", "outcome"}
    assert "no error" in charts.latency(probe.result.frame).finding


def test_a_rate_that_makes_no_sense_is_refused(database: Target, tmp_path: Path) -> None:
    with pytest.raises(
        ParameterError, match=r"rate of the probe: found 0 Hz, expected 0.1 to 1000 Hz a lane"
    ):
        Probe(database, (), tmp_path, rate_hz=0)


# -- pure ------------------------------------------------------------------------------------------


def lane(*answers: tuple[float, float, str], name: str = "read t") -> list[Sample]:
    return [
        Sample(at, name, number, ms, outcome) for number, (at, ms, outcome) in enumerate(answers)
    ]


TEN = [(second / 10, 1.0, "ok") for second in range(10)]

CASES = {
    "steady": (TEN, [], 1.0, 100.0, None, 1.0, {}),
    "a stall in the middle": ([*TEN[:4], (0.4, 450.0, "ok"), (0.5, 360.0, "ok"), *TEN[9:]], [], 1.0,
                              549.0, None, 450.0, {}),
    "nothing until late": ([(0.8, 1.0, "ok")], [], 1.0, 801.0, None, 1.0, {}),
    "nothing after an early end": (TEN[:3], [], 1.0, 799.0, None, 1.0, {}),
    "never an answer": ([(0.0, 900.0, "unanswered")], [], 1.0, 1000.0, None, 900.0,
                        {"unanswered": 1}),
    "errors are no success": ([(at, ms, "40P01" if 0.2 < at < 0.7 else "ok") for at, ms, _ in TEN],
                              [], 1.0, 500.0, None, 1.0, {"40P01": 4}),
    "noise is what was before": ([*TEN[:2], (0.2, 250.0, "ok"), *TEN[5:]], [("migration", 0.55)],
                                 1.0, 100.0, 349.0, 1.0, {}),
    "a stall across the mark is the migration's": ([*TEN[:3], (0.3, 450.0, "ok"), *TEN[8:]],
        [("migration", 0.5)], 1.0, 549.0, 100.0, 1.0, {}),
    "errors before it are not": ([(0.0, 1.0, "08006"), *TEN[1:]], [("migration", 0.5)], 1.0, 100.0,
                                 101.0, 1.0, {}),
    "what comes after it is not": ([*TEN[:7], (0.7, 200.0, "57P01")],
        [("migration", 0.15), ("migrated", 0.6)], 1.0, 100.0, 100.0, 1.0, {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_figures_follow_from_the_samples(case) -> None:  # type: ignore[no-untyped-def]
    answers, marks, end, gap, noise, p99, errors = case
    events = [Sample(at, MARK, 0, 0.0, name) for name, at in marks]
    found = figures([*lane(*answers), *events, Sample(end, END, 0, 0.0, "")])
    (one,) = found.lanes
    assert one.longest_gap.ms == pytest.approx(gap)
    assert one.noise_gap_ms == (pytest.approx(noise) if noise is not None else None)
    assert one.p99_ms == p99
    assert one.errors == errors
    assert found.complete


def test_figures_without_an_end_are_not_complete() -> None:
    clock = Sample(0.0, CLOCK, 0, 0.0, "2026-01-02T03:04:05.000+00:00")
    found = figures([clock, *lane(*TEN[:3])])
    assert not found.complete
    assert found.instant(1.5).isoformat() == "2026-01-02T03:04:06.500000+00:00"


@pytest.mark.parametrize(
    ("until_s", "problems"), [(0.2, []), (0.9, ["nothing was answered in read t"])]
)
def test_a_single_error_in_a_short_migration_is_no_silence(
    until_s: float, problems: list[str]
) -> None:
    answers = lane((0.1, 1, OK), (0.15, 1, CACHED_PLAN), (until_s, 1, OK))
    marks = [Sample(at, MARK, 0, 0, name) for at, name in ((0.14, "migration"), (0.16, "migrated"))]
    found = figures([*answers, *marks, Sample(1.0, END, 0, 0, "")])
    assert _problems(found, Verification()) == problems


def test_acknowledged_writes_are_ranges_of_numbers() -> None:
    made = lane(
        *[(0.0, 1.0, "ok" if number not in (3, 4) else "08006") for number in range(8)],
        name="write canary",
    )
    assert samples.acknowledged(made) == [(0, 2), (5, 7)]
    assert samples.acknowledged(lane(*TEN)) == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("40001", True), ("40P01", True), ("55P03", True), ("08006", True), ("57P01", True),
        (CACHED_PLAN, True),
        ("42703", False), ("42P01", False), ("23505", False), ("57014", False),
        ("unanswered", False), ("0A000", False),
    ],
)  # fmt: skip
def test_some_errors_are_cured_by_a_retry(kind: str, expected: bool) -> None:
    assert curable(kind) is expected


def test_a_line_that_was_cut_off_ends_the_samples(tmp_path: Path) -> None:
    path = tmp_path / "probe.csv"
    path.write_text("at_s,lane,number,latency_ms,outcome\n0.1,read t,0,1.5,ok\n0.2,read t,1,")
    assert list(samples.read(path)) == [Sample(0.1, "read t", 0, 1.5, "ok")]


def test_the_longest_gap_of_each_step_is_that_of_any_lane_that_touches_it() -> None:
    began = datetime(2026, 11, 22, tzinfo=UTC)

    def at(first: float, last: float) -> tuple[datetime, datetime]:
        return began + timedelta(seconds=first), began + timedelta(seconds=last)

    answers = {"read a": (0.5, 1.0, 1.5, 2.0, 2.5), "write a": (0.5, 1.0, 1.9, 2.0, 2.5)}
    written = [Sample(0, CLOCK, 0, 0, began.isoformat())]
    written += [Sample(end, lane, 0, 0, OK) for lane, ends in answers.items() for end in ends]
    written.append(Sample(1.2, "write a", 0, 0, "deadlock detected"))
    spans = {"early": at(0.6, 0.9), "slow": at(1.1, 1.2), "late": at(2.1, 2.2), "never": at(9, 10)}
    assert longest_gaps(written, spans) == {
        "early": 500.0,
        "slow": 900.0,
        "late": 500.0,
        "never": 0.0,
    }
    assert longest_gaps(written[1:], spans) == {}
