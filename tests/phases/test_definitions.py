"""Phases are what notebooks declare: their order and names, and what is said to one that declares
nothing, or twice.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mantis_runbook import settings
from mantis_runbook.errors import ParameterError
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases import definitions

DATA = Path(__file__).parent.parent / "data" / "migrations"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an application without a notebook."""
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("MANTIS_RUNBOOK_HOME", str(tmp_path))
    return tmp_path


def write(home: Path, name: str, first_cell: str) -> None:
    book = new_notebook(cells=[new_markdown_cell(first_cell), new_code_cell("1")])
    nbformat.write(book, home / "notebooks" / f"{name}.ipynb")


def test_our_own_notebooks_declare_the_phases_of_the_strategy() -> None:
    assert [(one.number, one.name, one.title, one.kind) for one in definitions.present()] == [
        ("0", "00_preparation", "Preparation", "preparation"),
        ("1", "01_core_enhancements", "Core enhancements", "migration"),
        ("2", "02_crm_sales", "CRM and sales", "migration"),
        ("3", "03_financial_management", "Financial management", "finance"),
        ("4", "04_advanced_features", "Advanced features", "advanced"),
        ("5", "05_final_validation", "Final validation", "final"),
    ]
    assert definitions.rollback().name == "90_rollback"
    assert definitions.mission_control().name == "mission_control"
    assert {one.phase for one in migration_files.load()} <= {
        one.number for one in definitions.present()
    }


def test_an_application_needs_notebooks_for_its_migrations_alone(home: Path) -> None:
    write(home, "loans", "# Phase 10 · Loans\n\n**Kind.** Migration.")
    write(
        home,
        "readers",
        "# Phase 2 · Readers and their cards\n\n**Kind.** Migration.\n\n**Purpose.** Cards.",
    )
    assert [(one.number, one.title) for one in definitions.present()] == [
        ("0", "Preparation"), ("2", "Readers and their cards"), ("10", "Loans"),
    ]  # fmt: skip
    assert (
        definitions.find("0").notebook.parent
        == definitions.rollback().notebook.parent
        == settings.own_notebooks()
    )
    assert definitions.find("10").notebook == home / "notebooks" / "loans.ipynb"
    assert [one.number for one in definitions.select("2-10")] == ["2", "10"]
    assert [one.number for one in definitions.select("10,0")] == ["0", "10"]


def test_an_application_may_bring_its_own_preparation(home: Path) -> None:
    write(home, "before", "# Phase 0 · Before anything\n\n**Kind.** Preparation.")
    assert [one.title for one in definitions.present()] == ["Before anything"]


@pytest.mark.parametrize(
    ("first_cell", "message"),
    [
        (
            "Nothing of the kind.",
            "does not say which phase it is: found neither a title nor a kind, expected `# Phase 1",
        ),
        (
            "# Phase 1 · Loans",
            r"does not say which phase it is: found # Phase 1 · Loans, expected .*\*\*Kind",
        ),
        ("**Kind.** Migration.", r"does not say which phase it is: found \*\*Kind"),
        (
            "# Phase 1 · A\n\n# Phase 2 · B\n\n**Kind.** Migration.",
            "found # Phase 1 · A; # Phase 2 · B",
        ),
        (
            "# Phase 1 · A\n\n**Kind.** Migration.\n\n**Kind.** Final.",
            "Kind.*Migration.; .*Kind.*Final",
        ),
        (
            "# Phase 1 · A\n\n**Kind.** Magic.",
            "found kind magic, expected one of preparation, migration",
        ),
        (
            "# Loans\n\n**Kind.** Migration.",
            "found '# Loans' for the kind migration, expected a number",
        ),
        ("# Phase one · Loans\n\n**Kind.** Migration.", "expected a number"),
        ("# Phase 01 · Loans\n\n**Kind.** Migration.", "expected a number"),
        ("# Phase 7 · Back\n\n**Kind.** Rollback.", "expected `# Rollback`, without a number"),
        (
            "# Phase 3 · Early\n\n**Kind.** Preparation.",
            "expected phase 0 for the kind preparation",
        ),
        ("# Phase 0 · Loans\n\n**Kind.** Migration.", "expected phase 0 for the kind preparation"),
    ],
)
def test_a_notebook_that_declares_nothing_or_twice_is_refused(
    home: Path, first_cell: str, message: str
) -> None:
    write(home, "loans", first_cell)
    with pytest.raises(ParameterError, match=message) as refused:
        definitions.present()
    assert "notebooks/loans.ipynb" in str(refused.value)


@pytest.mark.parametrize("kind", ["Migration", "Rollback"])
def test_two_notebooks_of_one_phase_are_refused(home: Path, kind: str) -> None:
    title = "Phase 1 · Loans" if kind == "Migration" else "Back"
    for name in ("first", "second"):
        write(home, name, f"# {title}\n\n**Kind.** {kind}.")
    with pytest.raises(
        ParameterError,
        match=r"declared twice: found notebooks/first.ipynb and notebooks/second.ipynb",
    ):
        (definitions.present if kind == "Migration" else definitions.rollback)()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"cells": 1}', '{"cells": [1]}'])
def test_what_is_no_notebook_is_refused(home: Path, content: str) -> None:
    (home / "notebooks" / "loans.ipynb").write_text(content)
    with pytest.raises(ParameterError, match=r"loans\.ipynb cannot be read: found no notebook"):
        definitions.present()


def test_a_migration_of_a_phase_without_a_notebook_is_refused(home: Path) -> None:
    write(home, "later", "# Phase 7 · Later\n\n**Kind.** Migration.")
    with pytest.raises(
        ParameterError,
        match="001 ratings belongs to phase 1: found no notebook .*expected one of 0, 7",
    ):
        definitions.refuse_unreached(migration_files.load(DATA))
    write(home, "ratings", "# Phase 1 · Ratings\n\n**Kind.** Migration.")
    write(home, "reviews", "# Phase 2 · Reviews\n\n**Kind.** Migration.")
    definitions.refuse_unreached(migration_files.load(DATA))
