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
    run_summary = summary.read(folder)
    pictures.draw(folder)
    notebooks = _notebooks(folder, run_summary)
    _write_pages(folder, run_summary, notebooks)
    _write(
        folder / "summary.json",
        json.dumps(as_dict(run_summary), ensure_ascii=False, indent=1) + "\n",
    )
    _write(folder / INDEX, overview(folder, run_summary, notebooks))
    manifest.seal(folder)
    return folder / INDEX


def index(reports_folder: Path) -> Path:
    """Write `index.html` over all runs in that folder, newest first, the abandoned ones too.
    Returns its path.
    """
    runs = [summary.read(folder) for folder in reversed(archive.all_runs(reports_folder))]
    listed = [(run_summary, _page_of(run_summary, reports_folder)) for run_summary in runs]
    _write(reports_folder / INDEX, render("runs", title="Migration runs", runs=listed))
    return reports_folder / INDEX


def as_dict(run_summary: Summary) -> dict[str, Any]:
    """The summary as `summary.json` has it: the verdict with its exit code first, then all the
    rest.
    """
    rest: dict[str, Any] = plain(asdict(run_summary))
    rest.pop("verdict")
    for phase, record in zip(run_summary.phases, rest["phases"], strict=True):
        record["verdict"], record["reason"] = phase.verdict.word, phase.verdict.reason
    judged = {
        "verdict": run_summary.verdict.word,
        "reason": run_summary.verdict.reason,
        "exit_code": run_summary.verdict.exit_code,
    }
    return {"run": run_summary.run, **judged, "duration_ms": run_summary.duration_ms, **rest}


# Notebooks


def _notebooks(folder: Path, run_summary: Summary) -> dict[str, Notebook]:
    return {
        path.stem: _load(path, _phase_of(run_summary, path.stem))
        for path in sorted(folder.glob("*.ipynb"))
    }


def _load(path: Path, phase: Phase | None) -> Notebook:
    verbs = [verb.verb for verb in phase.verbs if verb.times] if phase else []
    return notebook_page.load(
        path, verbs=verbs, interrupted=phase is None or "interrupted" in phase.verdict.reason
    )


def _phase_of(run_summary: Summary, name: str) -> Phase | None:
    return next(
        (phase for phase in run_summary.phases if name in (phase.notebook, phase.name)), None
    )


def _write_pages(folder: Path, run_summary: Summary, notebooks: Mapping[str, Notebook]) -> None:
    pages = [INDEX, *(notebook.page for notebook in notebooks.values())]
    for notebook in notebooks.values():
        phase = _phase_of(run_summary, notebook.name)
        verdict = phase.verdict if phase else _unknown(notebook)
        text = notebook_page.render(
            notebook, folder, verdict, index=INDEX, run=run_summary.run, pages=pages
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


def _page_of(run_summary: Summary, reports: Path) -> str:
    """Address of a run's page in the list of all runs; nothing for a run that has none."""
    return f"{run_summary.run}/{INDEX}" if (reports / run_summary.run / INDEX).exists() else ""


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
