"""The sandbox: started, found again, crashed, made anew; and the baseline that is loaded into
it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from mantis_runbook import sandbox, settings
from mantis_runbook.errors import Failed, ProgramError, Refused, TargetError
from mantis_runbook.postgres.connection import Connection, connect
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.server_account import private_folder, reachable
from mantis_runbook.postgres.target import Target, resolve
from mantis_runbook.sandbox import Sandbox, load_baseline

SCALE = 0.01

#: A baseline small enough to be made and broken within a test.
SMALL = {
    "01_auth.sql": "CREATE SCHEMA auth; CREATE TABLE auth.which AS SELECT 'supabase' AS kind;",
    "01_auth_extended.sql": (
        "CREATE SCHEMA auth; CREATE TABLE auth.which AS SELECT 'extended' AS kind;"
    ),
    "02_rows.sql": (
        "CREATE TABLE given AS SELECT current_setting('mantis.scale')::float8 AS scale,"
        " current_setting('mantis.seed')::int AS seed;"
    ),
    "force_rls.sql": "ALTER TABLE given ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;",
}


@pytest.fixture
def small_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home" / "sql" / "baseline"
    folder.mkdir(parents=True)
    for name, text in SMALL.items():
        (folder / name).write_text(text)
    monkeypatch.setenv("MANTIS_RUNBOOK_HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture
def folder(server_programs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a sandbox of the test's own, with the programs of the version under test."""
    place = private_folder("mantis-test-")
    place.chmod(0o755)
    yield from sandbox_in(place / "sandbox", server_programs, monkeypatch)
    shutil.rmtree(place)


def sandbox_in(
    folder: Path, server_programs: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    monkeypatch.setenv("MANTIS_RUNBOOK_SANDBOX", str(folder))
    monkeypatch.setenv("MANTIS_RUNBOOK_PG_BIN", str(server_programs))
    yield folder
    monkeypatch.setenv("MANTIS_RUNBOOK_SANDBOX", str(folder))
    sandbox.stop()


def value(parameters: dict[str, str], query: str) -> object:
    with psycopg.connect(**parameters, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_a_sandbox_holds_the_baseline_and_is_reached_every_way(folder: Path) -> None:
    started = sandbox.start(SCALE, 7)
    assert (started.scale, started.seed) == (SCALE, 7)
    assert value(
        started.parameters, "SELECT count(*) > 10 FROM pg_tables WHERE schemaname = 'public'"
    )
    with psycopg.connect(sandbox.uri()) as connection:
        assert connection.info.dbname == "mantis_db"
    with connect(resolve("sandbox"), "test") as connection:
        assert connection.info.user == "mantis"


def test_starting_a_running_sandbox_changes_nothing(folder: Path, small_baseline: Path) -> None:
    first = sandbox.start(SCALE, 7)
    assert sandbox.start(0.5, 8) == first == sandbox.status()
    assert json.loads((folder / "state.json").read_text()) == {
        "parameters": first.parameters,
        "pid": first.pid,
        "data": str(first.data),
        "scale": SCALE,
        "seed": 7,
        "version": first.version,
    }


def test_a_sandbox_is_as_durable_as_production(folder: Path, small_baseline: Path) -> None:
    parameters = sandbox.start(SCALE).parameters
    assert [
        value(parameters, f"SHOW {name}")
        for name in ("fsync", "synchronous_commit", "full_page_writes")
    ] == ["on"] * 3


def test_a_stopped_sandbox_keeps_its_data_and_its_address(
    folder: Path, small_baseline: Path
) -> None:
    first = sandbox.start(SCALE, 7)
    with psycopg.connect(**first.parameters) as connection:
        connection.execute("UPDATE given SET seed = 77")
    assert sandbox.stop()
    assert sandbox.status() is None
    assert not sandbox.stop()
    again = sandbox.start()
    assert (again.parameters, again.scale, again.seed) == (first.parameters, SCALE, 7)
    assert value(again.parameters, "SELECT seed FROM given") == 77


def test_a_sandbox_that_does_not_run_has_no_uri(folder: Path) -> None:
    with pytest.raises(TargetError, match="mantis-runbook sandbox start"):
        sandbox.uri()


def test_a_sandbox_whose_server_died_is_recognised_and_started_with_its_data(
    folder: Path, small_baseline: Path
) -> None:
    first = sandbox.start(SCALE, 7)
    with psycopg.connect(**first.parameters, autocommit=True) as connection:
        connection.execute("CREATE TABLE mine AS SELECT 42 AS answer")
    os.kill(first.pid, signal.SIGKILL)
    assert sandbox.status() is None
    again = sandbox.start()
    assert again.pid != first.pid
    assert value(again.parameters, "SELECT answer FROM mine") == 42


def test_a_sandbox_whose_socket_was_swept_away_is_started_again(
    folder: Path, small_baseline: Path
) -> None:
    first = sandbox.start(SCALE, 7)
    shutil.rmtree(first.parameters["host"])
    assert sandbox.status() is None
    again = sandbox.start()
    assert value(again.parameters, "SELECT seed FROM given") == 7
    assert again.parameters == first.parameters


def test_a_sandbox_is_found_again_under_another_tmpdir(
    folder: Path, small_baseline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sandbox.start(SCALE, 7)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert sandbox.status() == first
    assert sandbox.stop()
    assert sandbox.start().parameters == first.parameters


def test_a_state_file_cut_short_is_a_sandbox_that_does_not_run(
    folder: Path, small_baseline: Path
) -> None:
    first = sandbox.start(SCALE, 7)
    (folder / "state.json").write_text('{"parameters": {"ho')
    assert sandbox.status() is None
    assert sandbox.start().parameters == first.parameters


def test_a_load_that_failed_is_told_leaves_no_server_and_is_done_again(
    folder: Path, small_baseline: Path
) -> None:
    (small_baseline / "03_broken.sql").write_text("CREATE TABLE half (); SELECT 1 / 0;")
    with pytest.raises(
        Failed, match=r"baseline file 03_broken\.sql failed: found division by zero"
    ):
        sandbox.start(SCALE, 7)
    assert sandbox.status() is None
    assert Server(Path(), folder / "data", folder).pid() is None
    (small_baseline / "03_broken.sql").unlink()
    started = sandbox.start(SCALE, 8)
    assert started.seed == 8
    assert value(started.parameters, "SELECT seed FROM given") == 8


def test_a_reset_leaves_nothing_of_before(folder: Path, small_baseline: Path) -> None:
    first = sandbox.start(SCALE, 7)
    with psycopg.connect(**first.parameters, autocommit=True) as connection:
        connection.execute("CREATE DATABASE scratch")
        connection.execute("CREATE ROLE leftover")
        connection.execute("ALTER SYSTEM SET work_mem = '9MB'")
        connection.execute("CREATE TABLE mine ()")
        with connection.transaction():
            connection.execute("INSERT INTO given VALUES (1, 1)")
            connection.execute("PREPARE TRANSACTION 'held'")
    again = sandbox.reset(0.02, 8)
    assert (again.scale, again.seed, again.parameters) == (0.02, 8, first.parameters)
    left = (
        "SELECT (SELECT count(*) FROM pg_database WHERE datname = 'scratch')"
        " + (SELECT count(*) FROM pg_roles WHERE rolname = 'leftover')"
        " + (SELECT count(*) FROM pg_class WHERE relname = 'mine')"
        " + (SELECT count(*) FROM pg_prepared_xacts)"
    )
    assert value(again.parameters, left) == 0
    assert value(again.parameters, "SHOW work_mem") != "9MB"


def test_a_reset_of_a_sandbox_that_never_was_starts_one(folder: Path, small_baseline: Path) -> None:
    assert sandbox.reset(SCALE, 9).seed == 9


def test_two_starts_at_once_make_one_sandbox(folder: Path, small_baseline: Path) -> None:
    program = "from mantis_runbook import sandbox; print(sandbox.start(0.01, 7).pid)"
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
        for _ in range(3)
    ]
    pids = {process.communicate(timeout=120)[0].strip() for process in starts}
    running = sandbox.status()
    assert running is not None
    assert pids == {str(running.pid)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user run the server")
def test_a_sandbox_in_a_private_clone_puts_its_data_where_the_server_can_reach_it(
    server_programs: Path, small_baseline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for folder in sandbox_in(private / ".sandbox", server_programs, monkeypatch):
        started = sandbox.start(SCALE, 7)
        assert not reachable(folder)
        assert not started.data.is_relative_to(folder)
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert sandbox.stop()
        assert sandbox.start().data == started.data
    shutil.rmtree(started.data.parent)


def test_data_of_another_version_is_refused_and_not_touched(
    folder: Path, small_baseline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.start(SCALE, 7)
    sandbox.stop()
    (folder / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(
        Refused, match=r"expected 9; make it anew with `mantis-runbook sandbox reset`"
    ):
        sandbox.start()
    assert sandbox.reset(SCALE, 7).seed == 7


def test_a_folder_that_cannot_be_written_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANTIS_RUNBOOK_SANDBOX", "/proc/sandbox")
    with pytest.raises(Refused, match="set MANTIS_RUNBOOK_SANDBOX to a folder of your own"):
        sandbox.start()


def test_programs_that_are_not_there_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANTIS_RUNBOOK_SANDBOX", str(tmp_path / "sandbox"))
    monkeypatch.setenv("MANTIS_RUNBOOK_PG_BIN", str(tmp_path / "nowhere"))
    with pytest.raises(ProgramError, match=r"nowhere holds no postgres.*set MANTIS_RUNBOOK_PG_BIN"):
        sandbox.start()


def test_a_sandbox_shows_itself() -> None:
    parameters = {"host": "/tmp/a b", "port": "5432", "user": "mantis", "dbname": "mantis_db"}
    shown = Sandbox(parameters, 7, Path("/d"), 1.0, 2, "18.6")
    assert (
        str(shown) == "sandbox: PostgreSQL 18.6, pid 7, scale 1, seed 2\n"
        "  data  /d\n"
        "  uri   postgresql://mantis@/mantis_db?host=%2Ftmp%2Fa%20b&port=5432"
    )


@pytest.mark.parametrize("auth", ["supabase", "extended"])
def test_the_baseline_loads_with_either_schema_of_users(
    empty_database: Target, small_baseline: Path, auth: sandbox.Auth
) -> None:
    load_baseline(empty_database.parameters, scale=0.5, seed=3, auth=auth)
    assert value(empty_database.parameters, "SELECT kind FROM auth.which") == auth
    assert value(empty_database.parameters, "SELECT ARRAY[scale, seed] FROM given") == [0.5, 3.0]
    assert not value(
        empty_database.parameters,
        "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'given'",
    )


def test_the_baseline_can_put_owners_under_row_level_security(
    empty_database: Target, small_baseline: Path
) -> None:
    with connect(empty_database, "test") as connection:
        load_baseline(connection, scale=0.5, seed=3, force_rls=True)
    assert value(
        empty_database.parameters,
        "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'given'",
    )


def test_a_baseline_file_is_one_transaction(empty_database: Target, small_baseline: Path) -> None:
    (small_baseline / "02_rows.sql").write_text("CREATE TABLE half (); SELECT 1 / 0;")
    with pytest.raises(Failed, match=r"02_rows\.sql"):
        load_baseline(empty_database.parameters, scale=1, seed=1)
    assert value(empty_database.parameters, "SELECT to_regclass('auth.which') IS NOT NULL")
    assert value(empty_database.parameters, "SELECT to_regclass('half') IS NULL")


def test_every_numbered_file_of_the_baseline_is_loaded_in_order() -> None:
    numbered = sorted(path.name for path in (settings.sql() / "baseline").glob("[0-9]*.sql"))
    assert [path.name for path in sandbox._baseline_files("supabase")] == [
        n for n in numbered if "extended" not in n
    ]
    assert [path.name for path in sandbox._baseline_files("extended")] == [
        n for n in numbered if n != "01_auth.sql"
    ]


def test_the_real_baseline_loads_extended_and_under_forced_row_level_security(
    empty_database: Target,
) -> None:
    load_baseline(
        empty_database.parameters, scale=SCALE, seed=2026, auth="extended", force_rls=True
    )
    forced = (
        "SELECT count(*) FILTER (WHERE relforcerowsecurity) > 0 FROM pg_class WHERE relrowsecurity"
    )
    assert value(empty_database.parameters, forced)


def test_a_clone_is_a_database_of_its_own(server: Server, baseline: Connection) -> None:
    template = baseline.info.dbname
    baseline.close()
    copy = sandbox.clone(server, template, "copied")
    try:
        with psycopg.connect(**copy, autocommit=True) as connection:
            connection.execute("CREATE TABLE mine ()")
        assert value(copy | {"dbname": template}, "SELECT to_regclass('mine') IS NULL")
    finally:
        sandbox.drop(server, "copied")


def test_a_database_is_dropped_with_all_that_holds_on_to_it(server: Server) -> None:
    held = sandbox.clone(server, "template0", "held")
    with psycopg.connect(**held) as connection:
        connection.execute("CREATE TABLE t ()")
        connection.execute("PREPARE TRANSACTION 'it''s held'")
        sandbox.drop(server, "held")
    assert value(server.parameters, "SELECT count(*) FROM pg_database WHERE datname = 'held'") == 0
