"""Migrations of the tests' own, a database to try them on, and sessions that stand in their way."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from mantis_runbook import settings
from mantis_runbook.engine import ledger
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.engine.results import Applied
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.files import Migration
from mantis_runbook.postgres.connection import GIVING_WAY, Connection, settle
from mantis_runbook.postgres.target import Target
from mantis_runbook.settings import Environment

ROLLBACK = "-- step: gone\nDROP TABLE IF EXISTS fresh;"
VALIDATE = "-- step: there\nSELECT 'no table' WHERE to_regclass('fresh') IS NULL;"

#: What two generations of a table hold before any migration of a test.
TABLES = """
CREATE TABLE old (id bigint PRIMARY KEY, name text, touched integer NOT NULL DEFAULT 0);
INSERT INTO old SELECT n, 'name ' || n FROM generate_series(1, 1000) AS n;
ANALYZE old;
"""


def limits(**changes: Any) -> Environment:
    """Development, with deadlines that a test can wait for."""
    quick = {
        "retry_pause_ms": 50,
        "step_deadline_s": 1,
        "statement_timeout_s": 30,
        "concurrently_deadline_s": 30,
    }
    return settings.environment("development").model_copy(update=quick | changes)


def write(
    folder: Path,
    up: str,
    rollback: str = ROLLBACK,
    *,
    version: str = "001",
    name: str = "sample",
    requires: str = "",
    validate: str = VALIDATE,
) -> None:
    """The three files of a migration; `up` begins with its first step."""
    header = f"-- Migration {version}: A sample\n-- phase: 1\n" + (
        f"-- requires: {requires}\n" if requires else ""
    )
    for role, text in (("", up), ("_rollback", rollback), ("_validate", validate)):
        (folder / f"{version}_{name}{role}.sql").write_text(header + text + "\n")


@dataclass
class Bench:
    """A small database with a ledger, and a folder of migrations."""

    target: Target
    folder: Path
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)

    def connect(self, name: str = "application", **session: str) -> Connection:
        """A session of somebody else's."""
        connection = psycopg.connect(
            make_conninfo("", **self.target.parameters, application_name=name), autocommit=True
        )
        for key, value in session.items():
            connection.execute("SELECT set_config(%s, %s, false)", (key, value))
        return connection

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, *parameters: Any) -> Any:
        return self.sql(statement, *parameters)[0][0]

    def prepare(self) -> Bench:
        with self.connect() as connection:
            ledger.install(connection)
            connection.execute(TABLES)
        return self

    def migration(
        self, up: str, rollback: str = ROLLBACK, *, version: str = "001", requires: str = ""
    ) -> Migration:
        write(self.folder, up, rollback, version=version, requires=requires)
        return migration_files.find(migration_files.load(self.folder), version)

    @contextmanager
    def engine(self, run: str = "run-1", who: str = "Ada", **changes: Any) -> Iterator[Engine]:
        environment = limits(**changes)
        with hold(self.target, run, who, patience_s=30) as fence:
            yield Engine(self.target, environment, run, who, fence, self._hear)

    def up(self, migration: Migration, run: str = "run-1", **changes: Any) -> Applied:
        with self.engine(run, **changes) as engine:
            return engine.up(migration)

    def rollback(self, migration: Migration, run: str = "run-1", **changes: Any) -> Applied:
        with self.engine(run, **changes) as engine:
            return engine.rollback(migration)

    def _hear(self, event: str, **facts: Any) -> None:
        self.heard.append((event, facts))

    def status(self, version: str = "001") -> str | None:
        with self.connect() as connection:
            row = Ledger(connection).all().get(version)
        return row.status if row else None

    def journal(self, state: str = "done", direction: str = "up") -> list[str]:
        """Steps with a row of that state, in order."""
        found = self.sql(
            "SELECT step FROM mantis_runbook.journal WHERE state = %s AND direction = %s ORDER"
            " BY id",
            state,
            direction,
        )
        return [step for (step,) in found]

    def there(self, *relations: str) -> list[bool]:
        return [self.value("SELECT to_regclass(%s) IS NOT NULL", name) for name in relations]

    def runner(
        self, direction: str = "up", run: str = "run-1", version: str = "001", **changes: Any
    ) -> Runner:
        """A process of its own that carries a migration out; TEST_DSN names its database."""
        return Runner([direction, run, version, str(self.folder), repr(changes)])


RUNNER = """
import ast, os, sys
from pathlib import Path
from mantis_runbook.engine import nontransactional_step
from mantis_runbook.migrations import files as migrations
from mantis_runbook.postgres import target
from workbench import Bench
direction, run, version, folder, changes = sys.argv[1:]
nontransactional_step.OLD_SNAPSHOT_S = float(os.environ.get("TEST_OLD_SNAPSHOT_S", "5"))
bench = Bench(target.resolve("TEST_DSN"), Path(folder))
with bench.engine(run, **ast.literal_eval(changes)) as engine:
    print("holding", flush=True)
    getattr(engine, direction)(migrations.find(migrations.load(Path(folder)), version))
print("finished", flush=True)
"""


class Runner:
    """A runner in a process of its own, to be killed."""

    def __init__(self, arguments: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, *arguments],
            cwd=Path(__file__).parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def kill(self) -> None:
        """As the kernel's out-of-memory killer would."""
        self.process.kill()
        self.process.wait()

    def end(self, timeout: float = 60) -> tuple[int, str]:
        """Exit code, and what it said on both channels."""
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out + err


def wait_for(condition: Callable[[], Any], what: str, timeout: float = 30) -> Any:
    """The first true value of the condition."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {timeout} s for {what}"
        time.sleep(0.01)
    return found


def waits(connection: Connection, pid: int) -> None:
    """Return once that backend waits for a lock."""
    waiting = "SELECT 1 WHERE cardinality(pg_blocking_pids(%s)) > 0"
    wait_for(
        lambda: connection.execute(waiting, (pid,)).fetchone(), f"session {pid} to wait for a lock"
    )


def prepared(connection: Connection) -> Connection:
    """As the engine's sessions are."""
    settle(connection, **GIVING_WAY)
    return connection


@contextmanager
def beside(work: Callable[[], Any]) -> Iterator[Beside]:
    """Work that goes on in a thread while the block runs, and is waited for at its end."""
    thread = Beside(work)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(60)
        assert not thread.is_alive()


class Beside(threading.Thread):
    """A thread that keeps its result or its error."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._work, self.result, self.error = work, None, None

    def run(self) -> None:
        try:
            self.result = self._work()
        except BaseException as error:
            self.error = error
