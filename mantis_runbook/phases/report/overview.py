"""The first page of a run's report: the verdict, where to look first, the facts, what deviated, the
steps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mantis_runbook.phases.report.notebook_page import Notebook
from mantis_runbook.phases.report.offline_html import data_uri
from mantis_runbook.phases.report.pages import render
from mantis_runbook.phases.report.pictures import CHARTS
from mantis_runbook.runs import archive, manifest
from mantis_runbook.runs.summary import Deviation, Phase, Summary

__all__ = ["INDEX", "overview"]

INDEX = "index.html"

BAD = ("failed", "rolled back", "refused", "inconclusive", "interrupted")


@dataclass(frozen=True)
class Pointer:
    """Something to look at: its verdict word, what it is, where it happened, and the address that
    leads there.
    """

    what: str
    grade: str = ""
    where: str = ""
    address: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture of the archive; `title` is the one that its file carries."""

    name: str
    title: str
    data: str


def overview(folder: Path, run_summary: Summary, notebooks: Mapping[str, Notebook]) -> str:
    """The page `index.html` of a run; `notebooks` by the names of their files, without suffix."""
    return render(
        "overview",
        title=f"{run_summary.verdict.word}: run {run_summary.run}",
        told=run_summary,
        folder=folder,
        failures=[*_failures(run_summary, notebooks)],
        identity=_shown(_identity(run_summary.identity)),
        parameters=_shown(run_summary.parameters or _parameters(notebooks)),
        versions=_shown(run_summary.versions),
        limits=_shown(run_summary.limits),
        deviations=[_pointer(item, notebooks) for item in run_summary.deviations],
        phases=[
            (phase, notebooks.get(phase.notebook), _begun(phase)) for phase in run_summary.phases
        ],
        longest=_longest(run_summary),
        pictures=_pictures(folder),
        files=_files(folder, notebooks),
    )


def _failures(run_summary: Summary, notebooks: Mapping[str, Notebook]) -> Iterator[Pointer]:
    """What to look at first, each with the address of its cell; empty when the run passed."""
    bad = [item for item in run_summary.deviations if item.grade in BAD]
    yield from (_pointer(item, notebooks) for item in bad)
    known = " ".join(item.what for item in bad)
    for notebook in notebooks.values():
        for cell in notebook.cells:
            if cell.state == "failed" and not notebook.earlier and cell.error not in known:
                yield Pointer(cell.error, "failed", notebook.name, f"{notebook.page}#{cell.anchor}")
    yield from (Pointer(notebook.problem) for notebook in notebooks.values() if notebook.problem)


def _pointer(item: Deviation, notebooks: Mapping[str, Notebook]) -> Pointer:
    return Pointer(item.what, item.grade, item.where, _address(item, notebooks))


def _address(item: Deviation, notebooks: Mapping[str, Notebook]) -> str:
    notebook = notebooks.get(item.where)
    if notebook is None:
        return ""
    halted = next(
        (cell for cell in notebook.cells if cell.state in ("failed", "interrupted")), None
    )
    if halted and (item.grade == "interrupted" or (item.grade == "failed" and not item.verb)):
        return f"{notebook.page}#{halted.anchor}"
    return notebook.anchor(item.verb) if item.verb else notebook.page


def _parameters(notebooks: Mapping[str, Notebook]) -> dict[str, Any]:
    """The parameters that papermill gave the notebooks, where the journal has none."""
    return {
        name: value
        for notebook in notebooks.values()
        for name, value in notebook.parameters.items()
    }


def _shown(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: _value(value) for name, value in values.items()}


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value)) or "–"
    if value in (None, ""):
        return "–"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (bool, dict)) else str(value)


def _identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    rest = dict(identity)
    version = rest.pop("server_version", None)
    shown = {"database": rest.pop("database", None), "role": rest.pop("role", None)}
    if isinstance(version, int):
        shown["PostgreSQL"] = f"{version // 10_000}.{version % 10_000}"
    return {name: value for name, value in (shown | rest).items() if value is not None}


def _begun(phase: Phase) -> bool:
    return any(verb.times for verb in phase.verbs)


def _longest(run_summary: Summary) -> float:
    """The longest duration of the page, in milliseconds: its bar is the full width."""
    took = [verb.duration_ms for phase in run_summary.phases for verb in phase.verbs]
    took += [step.duration_ms for phase in run_summary.phases for step in phase.steps]
    return max((milliseconds for milliseconds in took if milliseconds), default=0.0)


def _pictures(folder: Path) -> list[Picture]:
    paths = sorted((folder / CHARTS).glob("*.png"))
    return [
        Picture(path.stem.replace("_", " "), _picture_title(path), data_uri(path)) for path in paths
    ]


def _picture_title(path: Path) -> str:
    """The title that a picture of ours carries in its file."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return " ".join(str(image.info.get("Title", "")).split())
    except OSError:
        return ""


def _files(folder: Path, notebooks: Mapping[str, Notebook]) -> list[str]:
    evidence = sorted((folder / archive.EVIDENCE).glob("*.json"))
    return [
        *(notebook.page for notebook in notebooks.values()),
        *(notebook.path.name for notebook in notebooks.values()),
        *(f"{archive.EVIDENCE}/{path.name}" for path in evidence),
        *(f"{CHARTS}/{path.name}" for path in sorted((folder / CHARTS).glob("*.png"))),
        *(name for name in ("journal.jsonl",) if (folder / name).exists()),
        "summary.json", manifest.MANIFEST, manifest.HEAD,
    ]  # fmt: skip
