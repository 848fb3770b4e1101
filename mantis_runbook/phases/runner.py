"""Running a run's notebooks unattended by papermill, and recording how it really ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papermill
import psycopg

from mantis_runbook import application, settings
from mantis_runbook.backup import scratch as scratch_databases
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.errors import ParameterError, RunbookError
from mantis_runbook.phases.definitions import PhaseDefinition
from mantis_runbook.phases.report import build as report
from mantis_runbook.postgres import target as targets
from mantis_runbook.postgres.connection import connect
from mantis_runbook.rehearsal.performance import repertoire
from mantis_runbook.rehearsal.performance.repertoire import Repertoire
from mantis_runbook.runs import manifest
from mantis_runbook.runs.alerts import Alert, Alerts
from mantis_runbook.runs.run import Run, working
from mantis_runbook.runs.verdict import GOOD, Verdict, phase_verdict, run_verdict
from mantis_runbook.watch import application_load

__all__ = ["Finished", "archive_run", "execute", "refuse_unknown"]


@dataclass(frozen=True)
class Finished:
    """A run that ended: its verdict from the journal, and its archived report."""

    verdict: Verdict
    report: Path


def refuse_unknown(phases: Sequence[PhaseDefinition], parameters: dict[str, str]) -> None:
    """Raise `ParameterError` for a value that none of these notebooks would read: it must not be
    lost in silence.
    """
    known = {name for phase in phases for name in papermill.inspect_notebook(phase.notebook)}
    for name in (name for name, value in parameters.items() if value and name not in known):
        raise ParameterError(
            f"parameter {name}",
            found="a value that none of these notebooks reads: "
            + ", ".join(phase.name for phase in phases),
            expected="one of " + ", ".join(sorted(known)),
            action="leave it out, or choose the phase that needs it",
        )


def execute(
    run: Run,
    phases: Sequence[PhaseDefinition],
    parameters: dict[str, str],
    approvals: dict[str, str],
) -> Finished:
    """Execute the phases' notebooks in order, under load where the environment says so; stop at the
    first not passed.

    What passed in an earlier try of this run is not executed again.
    """
    limits = run.environment
    with (
        working(run),
        application_load.running(
            run.target,
            clients=limits.load_clients,
            rate=limits.load_rate,
            threads=limits.load_threads,
            scripts=_Programme(run).scripts,
            may_begin=lambda: _is_prechecked(run),
            told=lambda result: run.journal.append("load.progress", **vars(result)),
        ) as load,
    ):
        for phase in phases:
            given = parameters | {
                "run": run.name,
                "operator": run.operator,
                "approve": approvals.get(phase.number, ""),
            }
            if not _passed(run, phase):
                _execute(run, phase.notebook, given)
                load.least_s = limits.load_s
            _drop_scratch(run, phase, parameters.get("scratch", ""))
            if not _passed(run, phase):
                load.least_s = 0
                break
    return archive_run(run)


def archive_run(run: Run) -> Finished:
    """Judge the run, build its report, and keep the head of its manifest in the database too."""
    verdict = run_verdict(run.journal.entries())
    run.journal.append("run.finished", verdict=verdict.word, reason=verdict.reason)
    _tell(run, verdict)
    built = report.build(run.folder)
    # The server may be what failed; the archive on disk stands for itself.
    with suppress(RunbookError, psycopg.Error), connect(run.target, "archive") as connection:
        book = Ledger(connection)
        if book.exists:
            book.record_archive(run.name, manifest.head(run.folder), verdict.word)
    report.index(settings.reports())
    return Finished(verdict, built)


def _tell(run: Run, verdict: Verdict) -> None:
    """The verdict, to the team. Waited for, since the report that is made next says whom it did not
    reach.
    """
    alerts = Alerts(run.environment.alerts, run.journal)
    alerts.send(
        Alert(
            "verdict",
            f"Mantis Runbook: {verdict.word} on {run.target.name} ({run.environment.name})",
            f"run {run.name} by {run.operator}: {verdict}; report: {run.folder / 'index.html'}",
            (
                "success"
                if verdict.passed
                else "warning"
                if verdict.word == "inconclusive"
                else "failure"
            ),
        )
    )
    alerts.settle()


def _passed(run: Run, phase: PhaseDefinition) -> bool:
    return phase_verdict(run.journal.entries(), phase.number, phase.verbs).passed


def _scenarios(run: Run) -> tuple[Path, ...]:
    """The old application's, and beside them the new one's as soon as a phase began that stands on
    its tables.
    """
    later = application.load().later_workload
    begun = [
        entry.facts["phase"] for entry in run.journal.entries() if entry.event == "phase.started"
    ]
    new = (
        application_load.scenarios(later.folder)
        if later and begun and begun[-1] in later.phases
        else ()
    )
    return (*application_load.scenarios(), *new)


@dataclass
class _Programme:
    """What the load of a run plays: of the scenarios that there are by then those that the target
    can play.

    Each is tried once, so that one which runs no more later is the load's failure, and not left
    out.
    """

    run: Run
    wanted: tuple[Path, ...] = ()
    playing: Repertoire | None = None

    def scripts(self) -> tuple[Path, ...]:
        """Those to play now; on record whenever they become others. None while the target cannot be
        asked.
        """
        wanted = _scenarios(self.run)
        grown = (
            self.playing is not None
            and self.playing.source == "ours"
            and wanted[: len(self.wanted)] == self.wanted
        )
        try:
            if self.playing is None:
                self._play(
                    repertoire.for_the_load(
                        self.run.target, self.run.environment, self._folder, wanted
                    )
                )
            elif grown and wanted != self.wanted:
                more = wanted[len(self.wanted) :]
                self._play(
                    self.playing.with_more(
                        repertoire.ours_for_the_load(self.run.target, self.run.environment, more)
                    )
                )
            self.wanted = wanted
        except (
            RunbookError,
            psycopg.OperationalError,
        ):  # pgbench would meet the same, and the precheck tells why
            return ()
        return self.playing.scripts if self.playing else ()

    @property
    def _folder(self) -> Path:
        return self.run.folder / "workload" / "load"

    def _play(self, workload: Repertoire) -> None:
        self.playing = workload
        self.run.journal.append(
            "load.workload",
            workload=str(workload),
            scripts=[path.stem for path in workload.scripts],
            left_out=dict(workload.left_out),
        )


def _is_prechecked(run: Run) -> bool:
    """Whether a precheck of this run found nothing that speaks against working on the target."""
    return any(
        entry.event == "verb.finished"
        and entry.facts["verb"] == "precheck"
        and entry.facts["verdict"] in GOOD
        for entry in run.journal.entries()
    )


def _drop_scratch(run: Run, phase: PhaseDefinition, scratch: str) -> None:
    """The restored copy of a phase that stopped half way; one that concluded has dropped it
    itself.
    """
    server = targets.resolve(scratch) if scratch else run.target
    if scratch or run.environment.scratch == "beside":
        with suppress(RunbookError, psycopg.Error):
            scratch_databases.drop_scratch(server, scratch_databases.name_for(run, phase.number))


def _execute(run: Run, notebook: Path, parameters: dict[str, str]) -> None:
    """One notebook. However it ends, the verdict comes from the journal: papermill's metadata says
    `completed` of cells that never ran.
    """
    output = run.folder / notebook.name
    known = papermill.inspect_notebook(notebook)
    given: dict[str, Any] = {name: value for name, value in parameters.items() if name in known}
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
            extra_arguments=["--log-level=ERROR"],
        )
    except Exception as error:
        # A failing cell, a dead kernel, a timeout: the journal records each of them, or shows it by
        # what is missing.
        run.journal.append("notebook.failed", notebook=notebook.name, error=_last_line(error))


def _keep_earlier(output: Path) -> None:
    """A notebook of an interrupted try is evidence too."""
    if output.exists():
        tries = len(list(output.parent.glob(f"{output.stem}.try*.ipynb")))
        output.rename(output.with_name(f"{output.stem}.try{tries + 1}.ipynb"))


def _last_line(error: Exception) -> str:
    lines: Iterable[str] = (line.strip() for line in reversed(str(error).splitlines()))
    return next((line for line in lines if line), type(error).__name__)
