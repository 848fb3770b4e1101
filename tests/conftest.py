"""Servers, databases and folders for the tests: every PostgreSQL of this machine, each test its own
database.

A server starts when the first test asks for it, its baseline is loaded when the first test asks for
that. `MANTIS_TEST_PG=18` restricts a run to one version.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from project import Project, copy_project
from psycopg.conninfo import make_conninfo
from workbench import Bench

from mantis_runbook import sandbox, settings
from mantis_runbook.engine import ledger
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases import plan as plans
from mantis_runbook.postgres import installations
from mantis_runbook.postgres.connection import Connection, connect
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.server_account import private_folder, reachable_programs
from mantis_runbook.postgres.target import Target

SCALE, SEED = 0.02, 2026

#: What tests can do without: they crash servers, not machines; and an autovacuum would hold up
#: whatever it happened to meet.
FAST = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB", "autovacuum": "off"}

#: Bytes that the servers of one test process may come to need.
ROOM = 4 * 2**30

_numbers = itertools.count(1)


def chosen() -> dict[int, Path]:
    """The installations under test, newest first."""
    found = dict(sorted(installations.by_version().items(), reverse=True))
    if only := os.environ.get("MANTIS_TEST_PG"):
        found = {major: folder for major, folder in found.items() if str(major) == only}
        if not found:
            raise pytest.UsageError(
                f"MANTIS_TEST_PG={only}: no PostgreSQL of that version on this machine"
            )
    return found


def pytest_report_header() -> str:
    return "PostgreSQL under test: " + (
        ", ".join(_version(folder) for folder in chosen().values()) or "none found"
    )


def _version(folder: Path) -> str:
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True).stdout
    return f"{said.removeprefix('postgres (PostgreSQL)').split()[0]} ({folder})"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that uses a server, by whatever way, runs on every version."""
    if "server_programs" in metafunc.fixturenames:
        found = chosen()
        metafunc.parametrize(
            "server_programs",
            list(found.values()),
            ids=[f"pg{major}" for major in found],
            scope="session",
        )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which tests run one after the other when several processes share the work: those of one
    server, or of one file.
    """
    for item in items:
        parameters = (
            item.callspec.params
            if isinstance(item, pytest.Function) and hasattr(item, "callspec")
            else {}
        )
        programs = parameters.get("server_programs")
        item.add_marker(pytest.mark.xdist_group(str(programs or item.path.name)))


def in_memory() -> Path | None:
    """A file system in memory with room for the servers of a test run, where there is one:
    databases are copied ten times faster.
    """
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > ROOM
    return shared if roomy else None


@contextmanager
def made_server(
    folder: Path, *, listen: str = "", port: int = 5432, **settings: str
) -> Iterator[Server]:
    """A server that is made, but not started; gone afterwards."""
    place = private_folder("mantis-test-", within=in_memory())
    server = Server(
        reachable_programs(folder), place / "data", place / "socket", port, listen, FAST | settings
    )
    try:
        server.initdb()
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(place)


@pytest.fixture(scope="session")
def server(server_programs: Path) -> Iterator[Server]:
    """A running server, shared by all tests of one version; who breaks it makes a server of his
    own.
    """
    with made_server(server_programs) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def baseline_template(server: Server) -> str:
    """The name of a database that holds the baseline, to be cloned; nobody can connect to it."""
    name = "baseline"
    with psycopg.connect(**server.parameters, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        sandbox.load_baseline(server.parameters | {"dbname": name}, scale=SCALE, seed=SEED)
        connection.execute(f"ALTER DATABASE {name} IS_TEMPLATE true ALLOW_CONNECTIONS false")
    return name


@contextmanager
def fresh_database(server: Server, template: str) -> Iterator[dict[str, str]]:
    """Parameters of a database that exists for the length of the block, whatever is left in it."""
    name = f"test_{next(_numbers)}"
    try:
        yield sandbox.clone(server, template, name)
    finally:
        if not server.is_running():
            server.stop("immediate")
            server.start()
        sandbox.drop(server, name)


@pytest.fixture
def baseline(server: Server, baseline_template: str) -> Iterator[Connection]:
    """An autocommit superuser connection to a baseline database of the test's own."""
    with (
        fresh_database(server, baseline_template) as parameters,
        psycopg.connect(**parameters, autocommit=True) as connection,
    ):
        yield connection


@pytest.fixture
def database(
    server: Server, baseline_template: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Target]:
    """A target: a baseline database of the test's own. The variable TEST_DSN names it for child
    processes.
    """
    with fresh_database(server, baseline_template) as parameters:
        monkeypatch.setenv("TEST_DSN", make_conninfo(**parameters))
        yield Target("TEST_DSN", "variable", parameters)


@pytest.fixture
def empty_database(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A target: an empty database of the test's own, under the same name as `database`."""
    with fresh_database(server, "template0") as parameters:
        monkeypatch.setenv("TEST_DSN", make_conninfo(**parameters))
        yield Target("TEST_DSN", "variable", parameters)


@pytest.fixture
def own_server(server_programs: Path) -> Iterator[Callable[..., Server]]:
    """Makes running servers for tests that stop, kill or reconfigure them."""
    with ExitStack() as servers:

        def make(**options: str | int) -> Server:
            server: Server = servers.enter_context(
                made_server(server_programs, **options)  # type: ignore[arg-type]
            )
            server.start()
            return server

        yield make


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that runs are archived in."""
    folder = tmp_path / "reports"
    folder.mkdir()
    monkeypatch.setenv("MANTIS_RUNBOOK_REPORTS", str(folder))
    return folder


# The whole project, through its doors. What does not depend on the server's version runs on the
# newest alone.


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project folder with migration 001 alone; reports, backups and sandbox are of the test's
    own.
    """
    home = tmp_path / "project"
    copy_project(home)
    monkeypatch.setenv("MANTIS_RUNBOOK_HOME", str(home))
    for name in ("reports", "backups", "sandbox"):
        monkeypatch.setenv(f"MANTIS_RUNBOOK_{name.upper()}", str(home / name))
    monkeypatch.setenv("MANTIS_RUNBOOK_ENVIRONMENTS", str(home / "environments.toml"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    settings.environments.cache_clear()
    yield Project(home)
    settings.environments.cache_clear()


@pytest.fixture(scope="session")
def newest_server() -> Iterator[Server]:
    with made_server(next(iter(chosen().values()))) as server:
        server.start()
        yield server


@pytest.fixture
def own_newest_server() -> Iterator[Callable[..., Server]]:
    """As `own_server`, on the newest version alone."""
    with ExitStack() as servers:

        def make(**options: str | int) -> Server:
            server = servers.enter_context(
                made_server(next(iter(chosen().values())), **options)  # type: ignore[arg-type]
            )
            server.start()
            return server

        yield make


@pytest.fixture(scope="session")
def newest_baseline(newest_server: Server) -> str:
    with psycopg.connect(**newest_server.parameters, autocommit=True) as connection:
        connection.execute("CREATE DATABASE baseline TEMPLATE template0")
    sandbox.load_baseline(newest_server.parameters | {"dbname": "baseline"}, scale=SCALE, seed=SEED)
    return "baseline"


@pytest.fixture(scope="session")
def prepared_template(newest_server: Server, newest_baseline: str) -> str:
    """The baseline with what phase 0 installs."""
    place = Target(
        "template", "variable", sandbox.clone(newest_server, newest_baseline, "prepared")
    )
    with connect(place, "test") as connection:
        ledger.install(connection)
        for path in plans.preparation_files():
            if path.parent.name == "monitoring":
                connection.execute(path.read_text())
    return "prepared"


@pytest.fixture(scope="session")
def migrated_template(
    newest_server: Server, prepared_template: str, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The same after migration 001."""
    place = Target(
        "template", "variable", sandbox.clone(newest_server, prepared_template, "migrated")
    )
    home = tmp_path_factory.mktemp("home")
    copy_project(home / "project")
    with hold(place, "template", "test") as fence:
        engine = Engine(place, settings.environment("development"), "template", "test", fence)
        for one in migration_files.load(home / "project" / "sql" / "migrations"):
            engine.up(one)
    return "migrated"


@contextmanager
def _named(server: Server, template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A database that the variable TEST_DSN names, for us and for child processes."""
    with fresh_database(server, template) as parameters:
        monkeypatch.setenv("TEST_DSN", make_conninfo(**parameters))
        yield Target("TEST_DSN", "variable", parameters)


@pytest.fixture
def unprepared(
    newest_server: Server, newest_baseline: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Target]:
    """A MantisNXT database that the runbook never saw."""
    with _named(newest_server, newest_baseline, monkeypatch) as target:
        yield target


@pytest.fixture
def prepared(
    newest_server: Server, prepared_template: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Target]:
    """A MantisNXT database after phase 0."""
    with _named(newest_server, prepared_template, monkeypatch) as target:
        yield target


@pytest.fixture
def migrated(
    newest_server: Server, migrated_template: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Target]:
    """A MantisNXT database after phase 1."""
    with _named(newest_server, migrated_template, monkeypatch) as target:
        yield target


@pytest.fixture(scope="session")
def bench_template(server: Server) -> str:
    """The name of a small database with ledger and journal, to be cloned."""
    Bench(
        Target("template", "variable", sandbox.clone(server, "template0", "bench")), Path()
    ).prepare()
    return "bench"


@pytest.fixture
def bench(
    server: Server, bench_template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """A small database of the test's own with ledger and journal, for migrations of the test's
    own.
    """
    with fresh_database(server, bench_template) as parameters:
        monkeypatch.setenv("TEST_DSN", make_conninfo(**parameters))
        yield Bench(Target("TEST_DSN", "variable", parameters), tmp_path / "migrations")
