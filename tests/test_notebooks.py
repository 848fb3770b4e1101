"""The notebooks as documents: how they open, how they read, what papermill can see of them."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import nbformat
import papermill
import pytest
from nbformat import NotebookNode
from project import REPOSITORY

from mantis_runbook.phases import definitions
from mantis_runbook.phases.parameters import (
    AdvancedParameters,
    MissionParameters,
    Parameters,
    RollbackParameters,
)

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
COMPARED = "nbval-check-output"

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def code(path: Path) -> list[NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_it_is_a_phase_the_rollback_or_mission_control(path: Path) -> None:
    assert path.stem in {
        one.name
        for one in (*definitions.present(), definitions.rollback(), definitions.mission_control())
    }


def test_it_opens_with_title_purpose_preconditions_and_parameters(path: Path) -> None:
    first, second, third = read(path).cells[:3]
    assert re.match(r"# \S", first.source)
    assert "**Purpose.**" in first.source
    if path.stem == "mission_control":
        assert "parameters" in tags(second)
        return
    assert "**Preconditions.**" in first.source
    assert "**What it touches.**" in first.source
    assert second.source.startswith("## Parameters")
    assert "parameters" in tags(third)


def test_it_ends_with_a_way_back_and_related_notebooks(path: Path) -> None:
    last = read(path).cells[-1].source
    assert "**Related.**" in last
    if path.stem[:2] in ("01", "02", "03", "04"):
        assert "**Rollback.**" in last


def test_papermill_can_inspect_every_parameter(path: Path) -> None:
    """papermill silently drops a line that it cannot read, such as one with a second `=`."""
    (cell,) = [cell for cell in code(path) if "parameters" in tags(cell)]
    lines = [line for line in cell.source.splitlines() if line.strip()]
    found = papermill.inspect_notebook(path)
    assert len(found) == len(lines)
    for name, one in found.items():
        assert one["inferred_type_name"] == "str", name
        assert len(one["help"].split()) >= 3, name


def test_its_parameters_are_those_that_the_package_checks(path: Path) -> None:
    kinds = {
        "04_advanced_features": AdvancedParameters,
        "90_rollback": RollbackParameters,
        "mission_control": MissionParameters,
    }
    kind = kinds.get(path.stem, Parameters)
    declared = papermill.inspect_notebook(path)
    assert set(declared) <= set(kind.model_fields)
    assert set(kind.model_fields) - set(declared) <= {
        "currency_map",
        "currency_add",
    }, "only phase 3 needs to know the currencies"
    for name, one in declared.items():
        assert one["default"].strip("\"'") == kind.model_fields[name].default, name


def test_its_cells_are_short_and_stand_between_sentences(path: Path) -> None:
    for cell in code(path):
        if "parameters" not in tags(cell):
            assert len(cell.source.splitlines()) <= 8, cell.source
    kinds = [
        (kind, len(list(cells)))
        for kind, cells in groupby(read(path).cells, lambda cell: cell.cell_type)
    ]
    assert [count for kind, count in kinds if kind == "code" and count > 2] == []
    assert kinds[0][0] == kinds[-1][0] == "markdown"


def test_it_runs_on_any_python_3_kernel(path: Path) -> None:
    assert read(path).metadata.kernelspec.name == "python3"


def test_it_keeps_no_output_but_that_of_cells_that_nbval_compares(path: Path) -> None:
    for cell in code(path):
        assert bool(cell.outputs) == (COMPARED in tags(cell)), cell.source
        assert (cell.execution_count is not None) == bool(cell.outputs), cell.source


def test_what_nbval_compares_changes_neither_with_the_day_nor_with_the_machine(path: Path) -> None:
    for cell in code(path):
        kept = "".join(str(output.get("data", output.get("text", ""))) for output in cell.outputs)
        shown = re.sub(r"<style.*?</style>|<[^>]+>", " ", kept, flags=re.DOTALL)
        assert not re.search(r"\d{8}T\d{6}Z|/tmp/|/home/|/root/|\b\d+(\.\d+)? (ms|MiB)\b", shown), (
            cell.source
        )


def test_its_links_lead_somewhere(path: Path) -> None:
    later = {
        f"{phase.name}.ipynb" for phase in definitions.present()
    }  # a next phase may not be written yet
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            for link in re.findall(r"\]\(([^)#]+)", cell.source):
                assert (
                    link.startswith("https://www.postgresql.org/docs/")
                    or (path.parent / link).exists()
                    or link in later
                )


def test_it_holds_no_absolute_path_and_no_secret(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"[\"' (](/work|/root|/home|/tmp|/Users|C:\\\\)", text)
    assert not re.search(
        r"postgres(ql)?://[^\s\"]*:[^\s\"]*@|(?i:password|passwd|secret)\s*=", text
    )
