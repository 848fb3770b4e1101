"""The guard: each trigger trips for real, stops what runs, and ordinary load trips none."""

from __future__ import annotations

import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from mantis_runbook import sandbox, settings
from mantis_runbook.engine import ledger
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.errors import GuardTripped, ParameterError, Refused
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.server import SUPERUSER, Server
from mantis_runbook.postgres.server_account import as_account, private_folder
from mantis_runbook.postgres.target import Target
from mantis_runbook.settings import Environment, GuardLimits
from mantis_runbook.watch import guard as guards
from mantis_runbook.watch.application_load import running, scenarios
from mantis_runbook.watch.guard import Gauge, Guard, Trip, gauge, judge, unwatched
from mantis_runbook.watch.monitor import Monitor, Reading
from mantis_runbook.watch.probe import Live, Probe

#: What "within a second" may be on a machine that does much else.
SLACK_S = 3.0

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def target(database: Target) -> Target:
    """A baseline database with the runbook's own schema."""
    with connect(database, "test") as connection:
        ledger.install(connection)
    return database


def limited(**limits: float) -> Environment:
    return settings.environment("development").model_copy(update={"guard": GuardLimits(**limits)})


@contextmanager
def session(target: Target, name: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(**target.parameters | {"application_name": name}) as connection:
        yield connection
        connection.rollback()


def in_background(connection: psycopg.Connection, statement: str) -> threading.Thread:
    def work() -> None:
        try:
            connection.execute(statement)
            connection.commit()
        except psycopg.Error:
            connection.rollback()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@contextmanager
def watched(
    target: Target, folder: Path, environment: Environment, *tables: str
) -> Iterator[Guard]:
    """Probe, monitor and guard, as they run beside a migration."""
    with (
        Probe(target, tables, folder, rate_hz=20) as probe,
        Guard(target, environment, probe) as guard,
        Monitor(target, folder, interval_s=0.2, disk=folder, subscribers=[guard.take]) as monitor,
    ):
        guard.require(monitor.latest)
        probe.mark("migration")
        yield guard


def tripped(guard: Guard, limit: str, patience_s: float = 30) -> Trip:
    deadline = time.monotonic() + patience_s
    while guard.trip is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert guard.trip.limit == limit, guard.trip
    return guard.trip


# -- each trigger, for real ------------------------------------------------------------------------


def test_a_gap_trips_while_it_is_still_open(target: Target, tmp_path: Path) -> None:
    with (
        watched(target, tmp_path, limited(longest_gap_ms=1000), "customer") as guard,
        session(target, "any") as blocker,
    ):
        time.sleep(0.3)
        assert guard.trip is None
        blocker.execute("LOCK TABLE customer")
        trip = tripped(guard, "longest_gap_ms")
    assert trip.figure >= 1000
    assert trip.detail.endswith("customer")


def test_errors_of_the_application_trip(target: Target, tmp_path: Path) -> None:
    with (
        watched(target, tmp_path, limited(errors=5), "customer") as guard,
        session(target, "any") as other,
    ):
        time.sleep(0.3)
        assert guard.trip is None
        other.execute("ALTER TABLE customer RENAME TO client")
        other.commit()
        trip = tripped(guard, "errors")
    assert trip.figure >= 5


def test_a_deadlock_trips(target: Target, tmp_path: Path) -> None:
    with watched(target, tmp_path, limited(deadlocks=1)) as guard:
        time.sleep(0.3)
        assert guard.trip is None
        with session(target, "one") as one, session(target, "two") as two:
            one.execute("LOCK TABLE customer")
            two.execute("LOCK TABLE supplier")
            threads = [
                in_background(one, "SELECT FROM supplier"),
                in_background(two, "SELECT FROM customer"),
            ]
            for thread in threads:
                thread.join()
        trip = tripped(guard, "deadlocks")
    assert trip.figure == 1


@pytest.mark.parametrize("limit", ["blocked_sessions", "blocked_for_s"])
def test_those_who_queue_behind_the_migration_trip(
    target: Target, tmp_path: Path, limit: str
) -> None:
    with (
        watched(target, tmp_path, limited(**{limit: 2})) as guard,
        session(target, "mantis-runbook/migrate 009") as engine,
        session(target, "one") as one,
        session(target, "two") as two,
    ):
        engine.execute("LOCK TABLE customer")
        threads = [in_background(each, "SELECT FROM customer") for each in (one, two)]
        trip = tripped(guard, limit)
        engine.rollback()
        for thread in threads:
            thread.join()
    assert trip.figure >= 2
    assert "mantis-runbook/migrate 009" in trip.detail


def test_those_who_queue_behind_each_other_trip_nothing(target: Target, tmp_path: Path) -> None:
    with (
        watched(target, tmp_path, limited(blocked_sessions=1, blocked_for_s=1)) as guard,
        session(target, "app") as app,
        session(target, "one") as one,
    ):
        app.execute("LOCK TABLE customer")
        waiting = in_background(one, "SELECT FROM customer")
        time.sleep(2.5)
        assert guard.trip is None
        app.rollback()
        waiting.join()


def test_a_disk_that_fills_up_trips(target: Target, tmp_path: Path) -> None:
    with watched(target, tmp_path, limited(disk_left_mb=100_000_000)) as guard:
        trip = tripped(guard, "disk_left_mb")
    assert 0 < trip.figure < 100_000_000


@pytest.mark.parametrize("who", ["probe", "monitor"])
def test_a_watcher_that_fell_silent_trips(
    target: Target, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        live = Live(at=0.0)

    monkeypatch.setattr(guards, "SILENCE_S", 0.5)
    with Guard(target, limited(), Silent() if who == "probe" else None) as guard:
        if who == "monitor":
            guard.take(reading())
        trip = tripped(guard, "silence_s")
    assert trip.detail == f"the {who} has nothing to say"


# -- stopping --------------------------------------------------------------------------------------


@contextmanager
def standby_of(primary: Server) -> Iterator[Server]:
    """A streaming standby, by pg_basebackup."""
    folder = private_folder("mantis-standby-")
    command = [
        primary.bin / "pg_basebackup",
        "-D",
        folder / "data",
        "-R",
        "-c",
        "fast",
        "-X",
        "stream",
    ]
    place = [f"--host={primary.socket}", f"--port={primary.port}", f"--username={SUPERUSER}"]
    subprocess.run([*command, *place], check=True, **as_account())
    standby = Server(
        primary.bin, folder / "data", folder / "socket", settings=dict(primary.settings)
    )
    try:
        standby.start()
        yield standby
    finally:
        standby.stop("immediate")
        shutil.rmtree(folder)


def test_a_standby_that_falls_behind_trips(
    own_newest_server: Callable[..., Server], tmp_path: Path
) -> None:
    primary = own_newest_server()
    parameters = sandbox.clone(primary, "template0", "replicated")
    target = Target("TEST_DSN", "variable", parameters)
    with connect(target, "test") as connection:
        ledger.install(connection)
    guard = Guard(target, limited(replication_lag_mb=4))
    writes = (
        "CREATE TABLE behind AS SELECT repeat(md5(n::text), 10) FROM generate_series(1, 40000) AS n"
    )
    with (
        standby_of(primary) as standby,
        psycopg.connect(**standby.parameters, autocommit=True) as replaying,
        guard,
        Monitor(target, tmp_path, interval_s=0.2, subscribers=[guard.take]) as monitor,
    ):
        until = time.monotonic() + 30
        while monitor.latest is None or monitor.latest.lag_bytes is None:
            assert time.monotonic() < until, "the monitor never saw the standby"
            time.sleep(0.05)
        assert guard.trip is None
        replaying.execute("SELECT pg_wal_replay_pause()")
        with psycopg.connect(**parameters) as writer:
            writer.execute(writes)
        assert tripped(guard, "replication_lag_mb").figure > 4


def test_what_runs_is_cancelled_within_a_second_and_the_engine_is_told(target: Target) -> None:
    with (
        Guard(target, limited(disk_left_mb=10)) as guard,
        session(target, "mantis-runbook/migrate 009") as engine,
    ):
        time.sleep(0.5)
        guard.stop()  # nothing has tripped
        beginning = threading.Timer(0.3, lambda: guard.take(reading(disk_left_mb=5)))
        began = time.monotonic()
        beginning.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            engine.execute("SELECT pg_sleep(60)")
        assert time.monotonic() - began < 0.3 + SLACK_S
        engine.rollback()
        with pytest.raises(GuardTripped) as stopped:
            guard.stop()
        assert (
            str(stopped.value)
            == "the guard stopped the migration: found disk left 5 MB at 03:04:05 UTC, below the"
            " limit of 10 MB, expected every figure within the limits of the environment; find"
            " the cause first; what was done so far is in the journal, and can be resumed or"
            " rolled back"
        )
        assert stopped.value.exit_code == 1
        # The engine knows: what it does now, such as rolling back, is left alone.
        engine.execute("SELECT pg_sleep(1)")


def test_it_is_cancelled_again_until_the_engine_notices(target: Target) -> None:
    with (
        Guard(target, limited(disk_left_mb=10)) as guard,
        session(target, "mantis-runbook/migrate 009") as engine,
    ):
        guard.take(reading(disk_left_mb=5))
        for _ in range(3):
            with pytest.raises(psycopg.errors.QueryCanceled):
                engine.execute("SELECT pg_sleep(60)")
            engine.rollback()


def test_others_are_never_cancelled(target: Target) -> None:
    with ExitStack() as stack:
        guard = stack.enter_context(Guard(target, limited(disk_left_mb=10)))
        others = [
            stack.enter_context(session(target, name))
            for name in ("app", "mantis-runbook/monitor", "psql")
        ]
        guard.take(reading(disk_left_mb=5))
        for other in others:
            other.execute("SELECT pg_sleep(0.4)")
        assert guard.trip is not None


def test_the_engine_stops_in_the_middle_of_a_step(target: Target, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "009_slow.sql").write_text(
        "-- Migration 009: Slow\n-- phase: 1\n-- step: first\nCREATE TABLE slow (id integer PRIMARY"
        " KEY);\n-- step: slow\nCREATE TABLE slower (id integer PRIMARY KEY);\nSELECT"
        " pg_sleep(30);\n"
    )
    (folder / "009_slow_rollback.sql").write_text("-- step: back\nDROP TABLE IF EXISTS slow;\n")
    (folder / "009_slow_validate.sql").write_text("-- step: none\nSELECT 1 WHERE false;\n")
    (migration,) = migration_files.load(folder)
    environment = limited(blocked_for_s=1)
    with (
        hold(target, "run", "tester") as fence,
        watched(target, tmp_path, environment) as guard,
    ):
        engine = Engine(target, environment, "run", "tester", fence, stop=guard.stop)
        trip = threading.Timer(1.5, lambda: guard.take(reading(behind_us=(2.0,))))
        began = time.monotonic()
        trip.start()
        with pytest.raises(GuardTripped):
            engine.up(migration)
        assert time.monotonic() - began < 1.5 + SLACK_S
    with connect(target, "test") as connection:
        assert connection.execute(
            "SELECT to_regclass('slow') IS NOT NULL, to_regclass('slower') IS NULL"
        ).fetchone() == (True, True)
        assert connection.execute(
            "SELECT status FROM schema_migrations WHERE version = '009'"
        ).fetchone() == ("failed",)


# -- false alarms ----------------------------------------------------------------------------------


def test_an_hour_of_ordinary_load_trips_nothing(target: Target, tmp_path: Path) -> None:
    """Readings of a real load, drawn again and again until they make an hour, in every
    environment.
    """
    seen: list[Reading] = []
    gaps: list[Live] = []
    with (
        Probe(target, ("customer", "organization"), tmp_path, rate_hz=20) as probe,
        running(target, clients=2, rate=20.0, scripts=scenarios),
        Monitor(
            target,
            tmp_path,
            interval_s=0.1,
            subscribers=[seen.append, lambda _: gaps.append(probe.live)],
        ),
    ):
        time.sleep(4)
    assert len(seen) > 10
    assert max(one.active_connections for one in seen) > 0
    chance = random.Random(2026)
    for name in settings.environments():
        environment = settings.environment(name)
        guard = Guard(target, environment)
        for _ in range(3600):
            guard.take(replace(chance.choice(seen), disk_left_mb=None))
        assert guard.trip is None, guard.trip
    for one in gaps:
        ours = Gauge(AT, longest_gap_ms=one.longest_gap_ms, errors=one.error_count)
        assert judge(ours, settings.environment("development").guard) is None


def test_the_engines_own_tries_for_a_lock_trip_nothing(target: Target) -> None:
    """Sessions that wait 100 ms behind a try that gives way by itself, second after second."""
    guard = Guard(target, settings.environment("production"))
    for _ in range(3600):
        guard.take(reading(behind_us=(0.09,) * 50, waiting_queries=50))
    assert guard.trip is None


# -- pure ------------------------------------------------------------------------------------------


def reading(**figures: object) -> Reading:
    return replace(Reading(AT, 3, 0, 1.5, 99.0, 0.1), **figures)


CASES: dict[str, tuple[dict[str, float], dict[str, float], str | None]] = {
    "below every limit": ({"longest_gap_ms": 999.0, "errors": 4, "deadlocks": 0},
                          {"longest_gap_ms": 1000, "errors": 5, "deadlocks": 1}, None),
    "a gap": ({"longest_gap_ms": 1000.0}, {"longest_gap_ms": 1000}, "longest_gap_ms"),
    "errors": ({"errors": 5}, {"errors": 5}, "errors"),
    "deadlocks": ({"deadlocks": 1}, {"deadlocks": 1}, "deadlocks"),
    "blocked sessions": ({"blocked_sessions": 11}, {"blocked_sessions": 10}, "blocked_sessions"),
    "blocked for long": ({"blocked_for_s": 2.5}, {"blocked_for_s": 2}, "blocked_for_s"),
    "disk left": ({"disk_left_mb": 99.0}, {"disk_left_mb": 100}, "disk_left_mb"),
    "disk enough": ({"disk_left_mb": 101.0}, {"disk_left_mb": 100}, None),
    "off": ({"longest_gap_ms": 1e9, "errors": 10_000, "disk_left_mb": 0.0}, {}, None),
    "not known": ({}, {"longest_gap_ms": 1000, "errors": 1, "replication_lag_mb": 1,
                       "disk_left_mb": 1}, None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_figure_that_reaches_its_limit_trips(
    case: tuple[dict[str, float], dict[str, float], str | None],
) -> None:
    figures, limits, expected = case
    trip = judge(Gauge(AT, **figures), GuardLimits(**limits))
    assert (trip.limit if trip else None) == expected
    if trip:
        assert (trip.figure, trip.allowed, trip.at) == (figures[trip.limit], limits[trip.limit], AT)


def test_a_trip_is_a_sentence() -> None:
    trip = Trip("longest_gap_ms", 2310.4, 2000.0, AT, "write customer")
    assert (
        str(trip)
        == "longest time without a success 2,310.4 ms at 03:04:05 UTC (write customer), reached the"
        " limit of 2,000 ms"
    )
    assert trip.as_dict()["at"] == "2026-01-02T03:04:05.000+00:00"


def test_replication_lag_trips_only_when_it_lasts() -> None:
    limits = GuardLimits(replication_lag_mb=100)
    behind, near = Gauge(AT, replication_lag_mb=200.0), Gauge(AT, replication_lag_mb=1.0)
    assert judge(behind, limits) is None
    assert judge(behind, limits, [near, behind]) is None
    assert judge(behind, limits, [behind, near]) is None
    assert judge(behind, limits, [behind, behind]).limit == "replication_lag_mb"


def test_lag_reaches_the_guard_through_the_monitors_readings(target: Target) -> None:
    guard = Guard(target, limited(replication_lag_mb=100))
    for mb in (500, 500, 1, 500, 500):
        guard.take(reading(lag_bytes=mb * 2**20))
        assert guard.trip is None
    guard.take(reading(lag_bytes=500 * 2**20))
    assert guard.trip.figure == 500


def test_a_short_wait_is_a_try_and_a_long_one_is_a_queue() -> None:
    found = gauge(reading(behind_us=(0.1, 0.4, 0.6, 3.0)), patience_s=0.5)
    assert (found.blocked_sessions, found.blocked_for_s) == (2, 3.0)


def test_a_limit_that_nobody_can_watch_is_refused(target: Target) -> None:
    limits = GuardLimits(longest_gap_ms=1000, replication_lag_mb=10, disk_left_mb=10)
    assert unwatched(limits, reading(unseen_standbys=1), probed=False) == (
        "longest_gap_ms: no probe is running",
        "replication_lag_mb: this role does not see the standbys; GRANT pg_read_all_stats TO it",
        "disk_left_mb: no folder is watched",
    )
    assert unwatched(limits, reading(disk_left_mb=5.0), probed=True) == ()
    assert unwatched(GuardLimits(), None, probed=False) == ()
    with pytest.raises(
        Refused,
        match=r"the guard cannot watch every limit .* deadlocks: the monitor has no reading",
    ):
        Guard(target, limited(deadlocks=1)).require(None)


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "found", "expected"),
    [
        ("longest_gap_ms = -5", "-5", "0 (off), or 200 to 600,000"),
        ("longest_gap_ms = 20", "20", "0 (off), or 200 to 600,000"),
        ('longest_gap_ms = "1s"', "'1s'", "input should be a valid number"),
        ("longest_gap_ms = nan", "nan", "0 (off), or 200 to 600,000"),
        ("errors = 2.5", "2.5", "input should be a valid integer"),
        ("errors = true", "True", "input should be a valid integer"),
        ("deadlocks = -1", "-1", "0 (off), or 1 to 1,000,000"),
        ("blocked_for_s = 0.1", "0.1", "0 (off), or 0.5 to 3,600"),
        ("disk_left_mb = inf", "inf", "0 (off), or 1 to 100,000,000"),
        ("longest_gap = 5", "5", "extra inputs are not permitted"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(
    line: str, found: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path(settings.__file__).with_name("environments.toml").read_text()
    path = tmp_path / "environments.toml"
    start = original.index("[development.guard]")
    end = original.index("[staging]")
    path.write_text(original[:start] + f"[development.guard]\n{line}\n\n" + original[end:])
    monkeypatch.setenv("MANTIS_RUNBOOK_ENVIRONMENTS", str(path))
    settings.environments.cache_clear()
    try:
        with pytest.raises(ParameterError) as refused:
            settings.environments()
    finally:
        settings.environments.cache_clear()
    name = line.split(" = ")[0]
    assert (
        str(refused.value)
        == f"environments.toml: setting guard.{name}: found {found}, expected {expected}; correct"
        " the file and run again"
    )


def test_an_environment_without_limits_watches_nothing() -> None:
    assert set(GuardLimits().model_dump().values()) == {0}
