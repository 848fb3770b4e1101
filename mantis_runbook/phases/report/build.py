"""The report of a run: its overview, its notebooks as pages, its summary, and the list of all
runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mantis_runbook.phases.report import notebook_page, pictures
from mantis_runbook.phases.report.notebook_page import Notebook
from mantis_runbook.phases.report.overview import INDEX, overview
from mantis_runbook.phases.report.pages import render
from mantis_runbook.runs import archive, manifest, summary
from mantis_runbook.runs.journal import Journal, plain
from mantis_runbook.runs.manifest import Problem, verify
from mantis_runbook.runs.summary import Phase, Summary
from mantis_runbook.runs.verdict import Verdict

__all__ = ["Problem", "as_dict", "build", "index", "verify"]


def build(folder: Path) -> Path:
    """Make a run's pages, pictures, summary and manifest from what lies in its folder; returns the
    overview's path.

    May be called for a run that is still going on, or was killed. What is sealed and whole is left
    as it is, whatever this version of the runbook would make of it: the next run's manifest holds
    its hash. Once the journal, a notebook or the evidence has changed, all is made anew; the same
    files give the same bytes.
    """
    if manifest.is_sealed(folder):
        return folder / INDEX
    Journal(folder).mend()
    told = summary.read(folder)
    pictures.draw(folder)
    notebooks = _notebooks(folder, told)
    _write_pages(folder, told, notebooks)
    _write(folder / "summary.json", json.dumps(as_dict(told), ensure_ascii=False, indent=1) + "\n")
    _write(folder / INDEX, overview(folder, told, notebooks))
    manifest.seal(folder)
    return folder / INDEX


def index(reports_folder: Path) -> Path:
    """Write `index.html` over all runs in that folder, newest first, the abandoned ones too.
    Returns its path.
    """
    runs = [summary.read(folder) for folder in reversed(archive.all_runs(reports_folder))]
    listed = [(told, _page_of(told, reports_folder)) for told in runs]
    _write(reports_folder / INDEX, render("runs", title="Migration runs", runs=listed))
    return reports_folder / INDEX


def as_dict(told: Summary) -> dict[str, Any]:
    """The summary as `summary.json` has it: the verdict with its exit code first, then all the
    rest.
    """
    rest: dict[str, Any] = plain(asdict(told))
    rest.pop("verdict")
    for phase, record in zip(told.phases, rest["phases"], strict=True):
        record["verdict"], record["reason"] = phase.verdict.word, phase.verdict.reason
    judged = {
        "verdict": told.verdict.word,
        "reason": told.verdict.reason,
        "exit_code": told.verdict.exit_code,
    }
    return {"run": told.run, **judged, "duration_ms": told.duration_ms, **rest}


# Notebooks


def _notebooks(folder: Path, told: Summary) -> dict[str, Notebook]:
    return {
        path.stem: _load(path, _phase_of(told, path.stem))
        for path in sorted(folder.glob("*.ipynb"))
    }


def _load(path: Path, phase: Phase | None) -> Notebook:
    verbs = [verb.verb for verb in phase.verbs if verb.times] if phase else []
    return notebook_page.load(
        path, verbs=verbs, interrupted=phase is None or "interrupted" in phase.verdict.reason
    )


def _phase_of(told: Summary, name: str) -> Phase | None:
    return next((phase for phase in told.phases if name in (phase.notebook, phase.name)), None)


def _write_pages(folder: Path, told: Summary, notebooks: Mapping[str, Notebook]) -> None:
    pages = [INDEX, *(notebook.page for notebook in notebooks.values())]
    for notebook in notebooks.values():
        phase = _phase_of(told, notebook.name)
        verdict = phase.verdict if phase else _unknown(notebook)
        text = notebook_page.render(
            notebook, folder, verdict, index=INDEX, run=told.run, pages=pages
        )
        _write(folder / notebook.page, text)


def _unknown(notebook: Notebook) -> Verdict:
    """What is said above a notebook that no phase of the journal ended with."""
    if notebook.earlier:
        return Verdict(
            "inconclusive",
            f"an earlier try of {notebook.earlier}, kept as evidence; a later one followed",
        )
    return Verdict("inconclusive", "the journal knows no phase of this notebook")


def _page_of(told: Summary, reports: Path) -> str:
    """Address of a run's page in the list of all runs; nothing for a run that has none."""
    return f"{told.run}/{INDEX}" if (reports / told.run / INDEX).exists() else ""


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
