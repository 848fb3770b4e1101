"""Databases after phase 2, phase 3 on them in runs of its own, and a migration 003 that is not as
it should be.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import fresh_database
from project import REPOSITORY
from psycopg.conninfo import make_conninfo

from mantis_runbook import notebook, settings
from mantis_runbook.engine import ledger
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs import run

NAMES = {"target": "TEST_DSN", "environment": "development", "operator": "Ada"}


def up(target: Target, *versions: str) -> None:
    with hold(target, "test", "test") as fence:
        engine = Engine(target, settings.environment("development"), "test", "test", fence)
        for one in migration_files.load():
            if one.version in versions:
                engine.up(one)


@contextmanager
def sales(server: Server, baseline_template: str) -> Iterator[Target]:
    """A database after phase 2."""
    with fresh_database(server, baseline_template) as parameters:
        target = Target("TEST_DSN", "variable", parameters)
        with connect(target, "test") as connection:
            ledger.install(connection)
        up(target, "001", "002")
        yield target


@contextmanager
def for_runs(target: Target, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs of the runbook find the target, and limits of development without load, gate and
    judgement of this machine.
    """
    limits = Path(settings.__file__).with_name("environments.toml").read_text()
    limits = re.sub(r"(?m)^load_rate = [\d.]+", "load_rate = 0.0", limits)
    path = folder / "environments.toml"
    path.write_text(limits.replace("in_rehearsal = true", "in_rehearsal = false"))
    monkeypatch.setenv("MANTIS_RUNBOOK_ENVIRONMENTS", str(path))
    monkeypatch.setenv("MANTIS_RUNBOOK_BACKUPS", str(folder / "backups"))
    monkeypatch.setenv("TEST_DSN", make_conninfo(**target.parameters))
    settings.environments.cache_clear()
    yield
    settings.environments.cache_clear()


def opened(target: Target, **parameters: str) -> Any:
    """Phase 3 in a run of its own: what passed in an earlier one is not shown again."""
    begun = run.start(target, settings.environment("development"), "Ada", phases={"3": []})
    return notebook.open("3", NAMES | {"run": begun.name} | parameters)


def sabotage(old: str, new: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on migration 003 says something else, once."""
    shutil.copytree(REPOSITORY / "sql", folder / "sql")
    (folder / "notebooks").symlink_to(REPOSITORY / "notebooks")
    path = folder / "sql" / "migrations" / "003_financial_management.sql"
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))
    monkeypatch.setenv("MANTIS_RUNBOOK_HOME", str(folder))
