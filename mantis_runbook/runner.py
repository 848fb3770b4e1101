"""Running the notebooks of a run unattended, by papermill, and telling the truth about how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import papermill

from mantis_runbook import manifest, report, settings, workload
from mantis_runbook.database import connect
from mantis_runbook.errors import RunbookError
from mantis_runbook.ledger import Ledger
from mantis_runbook.phases import PhaseDefinition
from mantis_runbook.run import Run
from mantis_runbook.verdict import Verdict, phase_verdict, run_verdict

__all__ = ["Finished", "archive_run", "execute"]


@dataclass(frozen=True)
class Finished:
    """A run that ended: its verdict from the journal, and its archived report."""

    verdict: Verdict
    report: Path


def execute(
    run: Run, phases: Sequence[PhaseDefinition], parameters: dict[str, str], approvals: dict[str, str]
) -> Finished:
    """Execute the phases' notebooks in order, under load where the environment says so; stop at the first not passed."""
    limits = run.environment
    with workload.running(
        run.target, clients=limits.load_clients, rate=limits.load_rate, scripts=workload.scenarios()
    ) as load:
        for phase in phases:
            given = parameters | {"run": run.name, "operator": run.operator, "approve": approvals.get(phase.number, "")}
            _execute(run, phase.notebook, given)
            if not phase_verdict(run.journal.entries(), phase.number, phase.verbs).passed:
                break
    if limits.load_clients and limits.load_rate:
        run.journal.append("load.finished", **vars(load.result))
    return archive_run(run)


def archive_run(run: Run) -> Finished:
    """Judge the run, build its report, and keep the head of its manifest in the database too."""
    verdict = run_verdict(run.journal.entries())
    run.journal.append("run.finished", verdict=verdict.word, reason=verdict.reason)
    built = report.build(run.folder)
    try:
        with connect(run.target, "archive") as connection:
            book = Ledger(connection)
            if book.exists:
                book.record_archive(run.name, manifest.head(run.folder), verdict.word)
    except RunbookError:
        pass  # the server may be what failed; the archive on disk stands for itself
    report.index(settings.reports())
    return Finished(verdict, built)


def _execute(run: Run, notebook: Path, parameters: dict[str, str]) -> None:
    """One notebook. However it ends, the verdict comes from the journal: papermill's metadata says `completed` of
    cells that never ran."""
    output = run.folder / notebook.name
    known = papermill.inspect_notebook(notebook)
    given = {name: value for name, value in parameters.items() if name in known}
    _keep_earlier(output)
    try:
        papermill.execute_notebook(
            notebook,
            output,
            parameters=given,
            kernel_name="python3",
            progress_bar=True,
            log_output=False,
            store_widget_state=False,
            cwd=str(notebook.parent),
            request_save_on_cell_execute=True,
        )
    except Exception as error:  # a failing cell, a dead kernel, a timeout: all are on record or tell by their absence
        run.journal.append("notebook.failed", notebook=notebook.name, error=_last_line(error))


def _keep_earlier(output: Path) -> None:
    """A notebook of an interrupted try is evidence too."""
    if output.exists():
        tries = len(list(output.parent.glob(f"{output.stem}.try*.ipynb")))
        output.rename(output.with_name(f"{output.stem}.try{tries + 1}.ipynb"))


def _last_line(error: Exception) -> str:
    lines: Iterable[str] = (line.strip() for line in reversed(str(error).splitlines()))
    return next((line for line in lines if line), type(error).__name__)
