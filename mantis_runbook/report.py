"""The report of a run: its overview, its notebooks as pages, its summary, and the list of all runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mantis_runbook import archive, manifest, notebook_page, summary
from mantis_runbook.display import COLOURS, FAMILY, badge, duration, escape, many
from mantis_runbook.journal import Journal, plain
from mantis_runbook.manifest import Problem, verify
from mantis_runbook.notebook_page import Notebook
from mantis_runbook.offline import page
from mantis_runbook.overview import INDEX, band, instant, linked, named, overview, sentence, short
from mantis_runbook.summary import Phase, Summary
from mantis_runbook.verdict import Verdict

__all__ = ["Problem", "as_dict", "build", "index", "verify"]


def build(folder: Path) -> Path:
    """Make a run's pages, its summary and its manifest from what lies in its folder; returns the overview's path.

    May be called for a run that is still going on, or was killed. What is sealed and whole is left as it is, whatever
    this version of the runbook would make of it: the next run's manifest holds its hash. Once the journal, a notebook
    or the evidence has changed, all is made anew; the same files give the same bytes.
    """
    if manifest.is_sealed(folder):
        return folder / INDEX
    Journal(folder).mend()
    told = summary.read(folder)
    notebooks = _notebooks(folder, told)
    _write_pages(folder, told, notebooks)
    _write(folder / "summary.json", json.dumps(as_dict(told), ensure_ascii=False, indent=1) + "\n")
    _write(folder / INDEX, overview(folder, told, notebooks))
    manifest.seal(folder)
    return folder / INDEX


def index(reports_folder: Path) -> Path:
    """Write `index.html` over all runs in that folder, newest first, the abandoned ones too. Returns its path."""
    runs = [summary.read(folder) for folder in reversed(archive.all_runs(reports_folder))]
    rows = "".join(_run_row(told, reports_folder) for told in runs)
    heads = ("verdict", "run", "target", "environment", "operator", "phases", "started (UTC)")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads) + '<th scope="col" class="number">duration</th>'
    count = many(len(runs), "run")
    body = (
        f'<h1>Migration runs</h1>\n<p class="soft">{count}, newest first. A run that was never closed shows what its '
        "journal says of it.</p>\n"
        f'<div class="scroll"><table class="wide"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
    _write(
        reports_folder / INDEX, page("Migration runs", body if runs else "<h1>Migration runs</h1><p>No runs yet.</p>")
    )
    return reports_folder / INDEX


def as_dict(told: Summary) -> dict[str, Any]:
    """The summary as `summary.json` has it: the verdict with its exit code first, then all the rest."""
    rest: dict[str, Any] = plain(asdict(told))
    rest.pop("verdict")
    for phase, record in zip(told.phases, rest["phases"], strict=True):
        record["verdict"], record["reason"] = phase.verdict.word, phase.verdict.reason
    judged = {"verdict": told.verdict.word, "reason": told.verdict.reason, "exit_code": told.verdict.exit_code}
    return {"run": told.run, **judged, "duration_ms": told.duration_ms, **rest}


# Notebooks


def _notebooks(folder: Path, told: Summary) -> dict[str, Notebook]:
    return {path.stem: _load(path, _phase_of(told, path.stem)) for path in sorted(folder.glob("*.ipynb"))}


def _load(path: Path, phase: Phase | None) -> Notebook:
    verbs = [verb.verb for verb in phase.verbs if verb.times] if phase else []
    return notebook_page.load(path, verbs=verbs, interrupted=phase is None or "interrupted" in phase.verdict.reason)


def _phase_of(told: Summary, name: str) -> Phase | None:
    return next((phase for phase in told.phases if name in (phase.notebook, phase.name)), None)


def _write_pages(folder: Path, told: Summary, notebooks: Mapping[str, Notebook]) -> None:
    pages = [INDEX, *(notebook.page for notebook in notebooks.values())]
    for notebook in notebooks.values():
        phase = _phase_of(told, notebook.name)
        title = notebook_page.title(notebook.cells, notebook.name)
        verdict = phase.verdict if phase else _unknown(notebook)
        trail = f'<nav class="trail"><a href="{INDEX}">Overview of run {escape(told.run)}</a></nav>'
        header = trail + band(verdict, notebook.name, small=True) + _broken(notebook)
        _write(folder / notebook.page, notebook_page.render(notebook.cells, folder, title, header, pages))


def _unknown(notebook: Notebook) -> Verdict:
    """What is said above a notebook that no phase of the journal ended with."""
    if notebook.earlier:
        return Verdict("inconclusive", f"an earlier try of {notebook.earlier}, kept as evidence; a later one followed")
    return Verdict("inconclusive", "the journal knows no phase of this notebook")


def _broken(notebook: Notebook) -> str:
    return f'<p class="failures">{escape(notebook.problem)}</p>' if notebook.problem else ""


# List of runs


def _run_row(told: Summary, reports: Path) -> str:
    address = f"{told.run}/{INDEX}" if (reports / told.run / INDEX).exists() else ""
    reason = f'<div class="soft">{escape(short(sentence(told.verdict.reason)))}</div>' if told.verdict.reason else ""
    cells = (
        f'<td class="result">{badge(told.verdict.word)}</td><td>{linked(told.run, address)}{reason}</td>',
        *(f"<td>{escape(text)}</td>" for text in (told.target, told.environment, told.operator)),
        f"<td>{_phase_marks(told)}</td>",
        f'<td class="nowrap">{escape(instant(told.started).removesuffix(" UTC"))}</td>',
        f'<td class="number">{duration(told.duration_ms)}</td>',
    )
    return f"<tr>{''.join(cells)}</tr>"


def _phase_marks(told: Summary) -> str:
    marks = (
        f'<span class="nowrap" title="{escape(phase.verdict)}">{COLOURS[FAMILY[phase.verdict.word]][0]} '
        f"{escape(named(phase.notebook))}</span>"
        for phase in told.phases
    )
    return "<br>".join(marks) or '<span class="soft">none</span>'


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
