"""The engine knows no application: a lending library of three migrations, in `tests/library/`, goes through all of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from project import REPOSITORY, Project, ask, execute

from mantis_runbook import catalog, settings
from mantis_runbook.catalog import Catalog
from mantis_runbook.database import connect
from mantis_runbook.target import Target

LIBRARY = Path(__file__).with_name("library")
DEVELOPMENT = ("--target", "TEST_DSN", "--environment", "development")


@pytest.fixture
def library(empty_database: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The application's folder, a copy, with the database that it migrates; the runbook is this clone."""
    home = tmp_path / "library"
    shutil.copytree(LIBRARY, home)
    limits = (REPOSITORY / "mantis_runbook" / "environments.toml").read_text()
    limits = re.sub(
        r"(?m)^counted = \d+", "counted = 2", re.sub(r"(?m)^load_rate = [\d.]+", "load_rate = 20.0", limits)
    )
    (home / "environments.toml").write_text(limits)
    monkeypatch.setenv("MANTIS_RUNBOOK_HOME", str(home))
    monkeypatch.setenv("MANTIS_RUNBOOK_ENVIRONMENTS", str(home / "environments.toml"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    for name in ("reports", "backups", "sandbox"):
        monkeypatch.delenv(f"MANTIS_RUNBOOK_{name.upper()}", raising=False)
    with psycopg.connect(**empty_database.parameters, autocommit=True) as connection:
        connection.execute((home / "baseline.sql").read_text())
    settings.environments.cache_clear()
    yield Project(home)
    settings.environments.cache_clear()


def catalogue(target: Target) -> Catalog:
    with connect(target, "test") as connection:
        return catalog.snapshot(connection)


def test_it_goes_there_and_back(library: Project, empty_database: Target) -> None:
    before = catalogue(empty_database)
    done = library.call("run", *DEVELOPMENT)
    assert done.exit_code == 0, done.output
    assert "verdict: passed" in done.output
    assert ask(empty_database, "SELECT count(*) FROM loan WHERE fine_cents IS NULL AND returned_on IS NOT NULL") == 0
    assert ask(empty_database, "SELECT count(*) FROM reader_debt") == 300
    execute(empty_database, "INSERT INTO reservation (branch_id, reader_id, book_id) VALUES (1, 1, 1)")

    back = library.call("rollback", "001", "--scope", "from", *DEVELOPMENT)
    assert back.exit_code == 0, back.output
    left = catalog.diff(before, catalogue(empty_database)).after_rollback
    assert {one.kind for one in left.changes} <= {"schemas"}, left
