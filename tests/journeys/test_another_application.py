"""The engine knows no application: a lending library of three migrations, in `tests/library/`, goes
through all of it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from project import REPOSITORY, Project, ask, execute

from mantis_runbook import notebook, sandbox, settings
from mantis_runbook.errors import Failed, ParameterError, Refused
from mantis_runbook.phases.definitions import present as known
from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.catalog import Catalog
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs import run

LIBRARY = Path(__file__).parent.parent / "library"
DEVELOPMENT = ("--target", "TEST_DSN", "--environment", "development")


@pytest.fixture
def library(
    empty_database: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """The application's folder, a copy, with the database that it migrates; the runbook is this
    clone.
    """
    home = tmp_path / "library"
    shutil.copytree(LIBRARY, home)
    limits = (REPOSITORY / "mantis_runbook" / "environments.toml").read_text()
    limits = re.sub(
        r"(?m)^counted = \d+",
        "counted = 2",
        re.sub(r"(?m)^load_rate = [\d.]+", "load_rate = 20.0", limits),
    )
    (home / "environments.toml").write_text(limits)
    monkeypatch.setenv("MANTIS_RUNBOOK_HOME", str(home))
    monkeypatch.setenv("MANTIS_RUNBOOK_ENVIRONMENTS", str(home / "environments.toml"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    for name in ("reports", "backups", "sandbox"):
        monkeypatch.delenv(f"MANTIS_RUNBOOK_{name.upper()}", raising=False)
    sandbox.load_baseline(empty_database.parameters, scale=1, seed=1)
    settings.environments.cache_clear()
    yield Project(home)
    settings.environments.cache_clear()


def cells(path: Path) -> list[tuple[str, str]]:
    """Kind and source of a notebook's cells: of prose the heading alone, of code with `core` for
    the phase's own name.
    """
    found = []
    for cell in nbformat.read(path, as_version=4).cells:
        code = re.sub(r"\b(core|reservations|fines)\b", "core", cell.source).replace(
            'open("2"', 'open("1"'
        )
        heading = re.findall(r"(?m)^##.*$", cell.source)
        found.append((cell.cell_type, code if cell.cell_type == "code" else "".join(heading)))
    return found


@pytest.mark.parametrize("name", ["01_reservations", "02_fines"])
def test_its_notebooks_follow_the_template_of_ours(name: str) -> None:
    ours = REPOSITORY / "notebooks" / "01_core_enhancements.ipynb"
    assert cells(LIBRARY / "notebooks" / f"{name}.ipynb") == cells(ours)


def catalogue(target: Target) -> Catalog:
    with connect(target, "test") as connection:
        return catalog.snapshot(connection)


def test_it_goes_there_and_back(library: Project, empty_database: Target) -> None:
    before = catalogue(empty_database)
    done = library.call("run", *DEVELOPMENT)
    assert done.exit_code == 0, done.output
    assert "verdict: passed" in done.output
    assert (
        ask(
            empty_database,
            "SELECT count(*) FROM loan WHERE fine_cents IS NULL AND returned_on IS NOT NULL",
        )
        == 0
    )
    assert ask(empty_database, "SELECT count(*) FROM reader_debt") == 300
    verified = library.call("verify", "--target", "TEST_DSN")
    assert "everything is as it was written" in verified.output
    ended = [(one["phase"], one["verb"], one["verdict"]) for one in library.events("verb.finished")]
    assert [(phase, verb) for phase, verb, _ in ended] == [
        (one.number, verb) for one in known() for verb in one.verbs
    ]
    assert {word for *_, word in ended} <= {"passed", "warned"}
    assert {one["scripts"][0] for one in library.events("load.workload")} == {"counter"}
    execute(
        empty_database, "INSERT INTO reservation (branch_id, reader_id, book_id) VALUES (1, 1, 1)"
    )

    back = library.call("rollback", "001", "--scope", "from", *DEVELOPMENT)
    assert back.exit_code == 0, back.output
    left = catalog.diff(before, catalogue(empty_database)).after_rollback
    assert {one.kind for one in left.changes} <= {"schemas"}, left
    assert [one["rows"] > 1 for one in library.events("salvage.finished")] == [True], (
        "the reservation, and the fines"
    )


def test_a_migration_that_loses_rows_is_refused_by_its_rehearsal(
    library: Project, empty_database: Target
) -> None:
    path = library.home / "sql" / "migrations" / "001_reservations.sql"
    lost = (
        "\n-- step: tidy up  batched over loan\nDELETE FROM loan WHERE id % 100 = 0 AND id > $1 AND"
        " id <= $2;\n"
    )
    path.write_text(path.read_text() + lost)
    library.limit("in_rehearsal", "false")
    settings.environments.cache_clear()
    begun = run.start(
        empty_database, settings.environment("development"), "Ada", phases={"0": [], "1": []}
    )
    given = {"target": "TEST_DSN", "environment": "development", "run": begun.name}
    preparation = notebook.open("0", given)
    for verb in ("precheck", "approve", "migrate", "back_up", "prove", "validate"):
        getattr(preparation, verb)()
    reservations = notebook.open("1", given)
    checked = [
        row["check"]
        for table in reservations.precheck().tables
        for row in table.records
        if "check" in row
    ]
    assert "Books that are lent to two readers at once" in checked
    assert "Tables and columns by which MantisNXT is known" not in checked
    per_branch = {
        row["organisation"]: row["rows"] for row in reservations.back_up().tables[1].records
    }
    assert per_branch == {"1": 2300, "2": 2300, "3": 2300}
    reservations.prove()
    with pytest.raises(
        Failed, match=r"loan has 5,940 rows, expected 6,000 \(organisation 1…: 20 fewer"
    ):
        reservations.rehearse()
    assert ask(empty_database, "SELECT count(*) FROM loan") == 6000
    assert ask(empty_database, "SELECT to_regclass('reservation') IS NULL")
    with pytest.raises(Refused, match="found rehearse, approve not passed"):
        reservations.migrate()


def test_a_sandbox_without_a_baseline_is_refused(library: Project, empty_database: Target) -> None:
    shutil.rmtree(library.home / "sql" / "baseline")
    with pytest.raises(ParameterError, match="the application has no baseline"):
        sandbox.load_baseline(empty_database.parameters, scale=1, seed=1)


def test_each_application_knows_its_own_database(
    library: Project, empty_database: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "001 reservations" in library.call("plan", *DEVELOPMENT).output
    path = library.home / "sql" / "migrations" / "003_debts.sql"
    path.write_text(path.read_text().replace("-- phase: 2", "-- phase: 9"))
    stray = library.call("plan", *DEVELOPMENT)
    assert (stray.exit_code, "migration 003 debts belongs to phase 9" in stray.stderr) == (
        2,
        True,
    ), stray.output
    monkeypatch.delenv("MANTIS_RUNBOOK_HOME")
    other = library.call("plan", *DEVELOPMENT)
    assert (other.exit_code, "this is no database of MantisNXT" in other.stderr) == (
        2,
        True,
    ), other.output
    execute(empty_database, "DROP TABLE loan, reader")
    monkeypatch.setenv("MANTIS_RUNBOOK_HOME", str(LIBRARY))
    gone = library.call("plan", *DEVELOPMENT)
    assert "this is no database of Lending Library: 2 of its 4 tables" in gone.stderr
