"""A project folder of a test's own with migration 001 alone, and the doors into it: command line,
papermill, kernels.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papermill
import psycopg
from click.testing import CliRunner, Result
from psycopg import sql

from mantis_runbook import cli
from mantis_runbook.engine import interruption
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.catalog import Catalog
from mantis_runbook.postgres.connection import connect, rows
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs.journal import Journal

REPOSITORY = Path(__file__).resolve().parent.parent
COMMAND = Path(sys.executable).with_name("mantis-runbook")

TABLES = (
    "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'r' AND relnamespace ="
    " 'public'::regnamespace"
)
SCRATCH = (
    "SELECT datname FROM pg_database WHERE datname LIKE 'mantis\\_scratch\\_%' ORDER BY datname"
)


def copy_project(home: Path) -> None:
    """SQL and notebooks of the repository, with migration 001 alone; limits as they are, without
    load and performance gate.
    """
    shutil.copytree(REPOSITORY / "sql", home / "sql")
    for path in (home / "sql" / "migrations").iterdir():
        if not path.name.startswith("001_"):
            path.unlink()
    (home / "notebooks").mkdir()
    for name in ("00_preparation", "01_core_enhancements", "90_rollback", "mission_control"):
        shutil.copy(REPOSITORY / "notebooks" / f"{name}.ipynb", home / "notebooks")
    limits = (REPOSITORY / "mantis_runbook" / "environments.toml").read_text()
    limits = re.sub(r"(?m)^load_rate = [\d.]+", "load_rate = 0.0", limits)
    (home / "environments.toml").write_text(
        limits.replace("in_rehearsal = true", "in_rehearsal = false")
    )


@dataclass(frozen=True)
class Project:
    """What a clone is to its user. `variables` are in the environment already; a child process
    inherits them.
    """

    home: Path

    @property
    def reports(self) -> Path:
        return self.home / "reports"

    @property
    def migration(self) -> Path:
        return self.home / "sql" / "migrations" / "001_core_enhancements.sql"

    def call(self, *words: str, answer: str = "") -> Result:
        """The command line in this process; an unforeseen exception is raised."""
        result = CliRunner().invoke(cli.main, words, input=answer)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The command line as a process group of its own."""
        return subprocess.Popen(
            [COMMAND, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )

    def papermill(self, notebook: str, **options: Any) -> Any:
        """A notebook executed as a user of papermill would; returns it as it ended, raises what
        papermill raises.
        """
        path = self.home / "notebooks" / f"{notebook}.ipynb"
        return papermill.execute_notebook(
            path, self.home / f"{notebook}.out.ipynb", progress_bar=False, kernel_name="python3",
            extra_arguments=["--log-level=ERROR"], **options,
        )  # fmt: skip

    def limit(self, name: str, value: str) -> None:
        """Another limit, in all environments."""
        path = self.home / "environments.toml"
        text, count = re.subn(rf"(?m)^{name} = [^#\n]+", f"{name} = {value} ", path.read_text())
        assert count, name
        path.write_text(text)

    def edit(self, old: str, new: str, *, role: str = "") -> None:
        """Change a file of migration 001."""
        path = self.migration.with_name(f"001_core_enhancements{role}.sql")
        text = path.read_text()
        assert old in text, (path, old)
        path.write_text(text.replace(old, new, 1))

    def runs(self) -> list[Path]:
        return sorted(path.parent for path in self.reports.glob("*/journal.jsonl"))

    def run(self) -> Path:
        """The only run's folder."""
        (found,) = self.runs()
        return found

    def events(self, event: str) -> list[dict[str, Any]]:
        """Facts of all entries of that event, over all runs."""
        return [
            {"event": entry.event, **entry.facts}
            for folder in self.runs()
            for entry in Journal(folder).entries()
            if entry.event == event
        ]

    def summary(self) -> dict[str, Any]:
        return dict(json.loads((self.runs()[-1] / "summary.json").read_text()))

    def verbs(self, phase: str) -> dict[str, str]:
        """Verb → result of a phase in the newest run."""
        return {
            verb["verb"]: verb["result"]
            for one in self.summary()["phases"]
            if one["name"] == phase
            for verb in one["verbs"]
        }


def state(target: Target) -> tuple[Catalog, dict[str, int]]:
    """The catalogue, and every table's number of rows."""
    with connect(target, "test") as connection:
        counted = {
            row["name"]: rows(
                connection, sql.SQL("SELECT count(*) AS n FROM {}").format(sql.SQL(row["name"]))
            )[0]["n"]
            for row in rows(connection, TABLES)
        }
        return catalog.snapshot(connection), counted


def scratch_databases(target: Target) -> list[dict[str, Any]]:
    """Restored backups on the target's server."""
    with connect(target, "test") as connection:
        return rows(connection, SCRATCH)


@contextmanager
def nothing_changes(target: Target) -> Iterator[None]:
    """Afterwards catalogue and row counts are as before, no scratch database is left, and no run
    blocks the next.
    """
    before, counted = state(target)
    copies = scratch_databases(target)
    yield
    after, counted_after = state(target)
    assert str(catalog.diff(before, after)) == str(catalog.diff(before, before))
    assert counted_after == counted
    assert scratch_databases(target) == copies
    assert interruption.find(target, migration_files.load()) is None


def execute(target: Target, *statements: str) -> None:
    """As a superuser, with triggers and foreign keys at rest where a statement asks for it."""
    with psycopg.connect(**target.parameters, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def ask(target: Target, query: str) -> Any:
    """The single value of a query."""
    with psycopg.connect(**target.parameters, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None


def without(name: str) -> dict[str, str]:
    """The environment without a variable."""
    return {key: value for key, value in os.environ.items() if key != name}
