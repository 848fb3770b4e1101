"""What is on record of a phase in its run: each verb once, journalled before and after, its
evidence kept for the next.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from mantis_runbook import display
from mantis_runbook.errors import ApprovalMissing, Inconclusive, Refused, RunbookError
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases.definitions import PhaseDefinition
from mantis_runbook.phases.parameters import Parameters
from mantis_runbook.phases.progress import Progress, live
from mantis_runbook.runs import archive
from mantis_runbook.runs.alerts import Alert, Alerts
from mantis_runbook.runs.evidence import Evidence
from mantis_runbook.runs.journal import Entry
from mantis_runbook.runs.run import Run
from mantis_runbook.runs.verdict import UNDO

__all__ = ["PhaseRecord", "ask", "evidence_of_error", "show"]

WORDS = {Refused: "refused", Inconclusive: "inconclusive"}

#: Parameters that the run itself keeps.
OF_THE_RUN = ("run", "operator")

#: The verb by which a phase takes itself back, and those that it makes undone.
UNDONE = ("migrate", "validate", "compare")


class PhaseRecord:
    """One phase of one run: what its verbs are given, and what they leave."""

    def __init__(self, run: Run, definition: PhaseDefinition, parameters: Parameters) -> None:
        self.run, self.definition, self.parameters = run, definition, parameters
        self.migrations = migration_files.order_for(migration_files.load(), definition.number)
        self.alerts = Alerts(run.environment.alerts, run.journal)
        self._red: Evidence | None = None
        self._is_awaited = False

    @property
    def number(self) -> str:
        """The phase's number."""
        return self.definition.number

    @property
    def entries(self) -> list[Entry]:
        """What the run's journal has about this phase."""
        return [
            entry for entry in self.run.journal.entries() if entry.facts.get("phase") == self.number
        ]

    def begin(self) -> None:
        """Record that the phase was begun, and by which verbs it will be judged; once a run. The
        parameters it is given are recorded then, and again whenever they are others.
        """
        ours = self.entries
        given = {
            name: value
            for name, value in self.parameters.model_dump().items()
            if value and name not in OF_THE_RUN
        }
        if not any(entry.event == "phase.started" for entry in ours):
            self.run.journal.append(
                "phase.started",
                phase=self.number,
                notebook=self.definition.name,
                verbs=list(self.definition.verbs),
                operator=self.run.operator,
                parameters=given,
            )
        elif given != next(
            (e.facts["parameters"] for e in reversed(ours) if "parameters" in e.facts), {}
        ):
            self.run.journal.append("phase.parameters", phase=self.number, parameters=given)

    # -- a verb ------------------------------------------------------------------------------------

    def once(
        self,
        name: str,
        work: Callable[[], Evidence],
        after_failure: Callable[[Exception], None] | None = None,
    ) -> Evidence:
        """Do the work once: journalled before and after, its evidence kept; a second call reads
        what is kept.

        `after_failure` is called once the failure is on record.
        """
        if name in self.passed():
            return self.kept(name)
        self._require_verbs_before(name)
        self._red, self._is_awaited = None, False
        self.run.journal.append("verb.started", phase=self.number, verb=name)
        began = time.monotonic()
        try:
            evidence = work()
        except Exception as error:
            self._finish(evidence_of_error(self.number, name, error, self._red), began)
            if isinstance(error, ApprovalMissing):
                self._await_approval(error.expected)
            if after_failure:
                after_failure(error)
            self.alerts.settle()
            raise
        self._finish(evidence, began)
        return evidence

    def _finish(self, evidence: Evidence, began: float) -> None:
        path = archive.write_evidence(
            self.run.folder, self.number, evidence.verb, evidence.as_dict()
        )
        self.run.journal.append(
            "verb.finished",
            phase=self.number,
            verb=evidence.verb,
            verdict=evidence.verdict,
            duration_ms=round((time.monotonic() - began) * 1000, 1),
            summary=evidence.summary,
            evidence=path.name,
        )

    def _require_verbs_before(self, name: str) -> None:
        verbs, passed = self.definition.verbs, self.passed()
        missing = [verb for verb in verbs[: verbs.index(name)] if verb not in passed]
        if missing:
            raise Refused(
                f"{name} cannot run yet",
                found=f"{', '.join(missing)} not passed in run {self.run.name}",
                expected="every step before it passed",
                action=f"run the cell of {missing[0]!r} first",
            )

    # -- what verbs left ---------------------------------------------------------------------------

    def passed(self) -> set[str]:
        """Verbs whose last word was good. A rollback undoes the migration and all that came after
        it.
        """
        last: dict[str, str] = {}
        for entry in self.entries:
            if entry.event in ("verb.started", "verb.finished"):
                last[entry.facts["verb"]] = entry.facts.get("verdict", "")
                if entry.facts["verb"] == UNDO:
                    last = {verb: word for verb, word in last.items() if verb not in UNDONE}
        return {verb for verb, verdict in last.items() if verdict in ("passed", "warned")}

    def kept(self, verb: str) -> Evidence:
        """What the verb found when it was carried out. Raises `Inconclusive` when its evidence is
        gone.
        """
        kept = archive.read_evidence(self.run.folder, self.number, verb)
        if kept is None:
            raise Inconclusive(
                f"the evidence of {verb} is gone from run {self.run.name}",
                expected=str(archive.evidence_path(self.run.folder, self.number, verb)),
                action="begin a new run",
            )
        return Evidence.from_dict(kept)

    def facts(self, verb: str) -> dict[str, Any]:
        """Facts that an earlier verb of this run left; none where it left no evidence."""
        kept = archive.read_evidence(self.run.folder, self.number, verb)
        return dict(kept["facts"]) if kept else {}

    def was_cut(self, verb: str) -> bool:
        """Whether the verb was started before in this run, and did not pass."""
        started = [
            e for e in self.entries if e.event == "verb.started" and e.facts.get("verb") == verb
        ]
        return len(started) > 1

    # -- while a verb is at work -------------------------------------------------------------------

    def show_red(self, evidence: Evidence) -> None:
        """Show a red result before its error is raised, and keep its tables as the verb's
        evidence.
        """
        self._red = evidence
        show(evidence)

    def ask(self, question: str, wanted: str) -> str:
        """An answer typed by a person, who is alerted first that one is waited for. `wanted` is
        what would approve.
        """
        self._await_approval(wanted)
        return ask(question)

    def _await_approval(self, wanted: str) -> None:
        """Tell that an approval is missing; once a verb."""
        if not self._is_awaited:
            self._is_awaited = True
            where = f"run {self.run.name}, phase {self.number} ({self.definition.title})"
            self.alerts.send(
                Alert(
                    "approval waiting",
                    f"Mantis Runbook: approval waiting on {self.run.target.name}",
                    f"{where} in {self.run.environment.name} waits for an approval: {wanted}",
                    "warning",
                )
            )

    @contextmanager
    def proving(self) -> Iterator[Callable[[str], None]]:
        """A line that says what is tried now."""
        with live() as update:
            yield lambda name: update(display.callout("info", f"trying {name}"))

    def progress(self, what: str, *, journalled: bool = True) -> Progress:
        """A bar over the steps of the phase's migrations."""
        return Progress(
            what, self.run.journal if journalled else None, self.number, self.migrations
        )


def evidence_of_error(
    phase: str, verb: str, error: Exception, shown: Evidence | None = None
) -> Evidence:
    """The evidence of a verb that raised: its message, and the tables of what it showed before.
    Pure.
    """
    word = next((word for kind, word in WORDS.items() if isinstance(error, kind)), "failed")
    text = str(error) if isinstance(error, RunbookError) else f"{type(error).__name__}: {error}"
    return replace(shown or Evidence(phase, verb, word, text), verdict=word, summary=text)


def ask(question: str) -> str:
    """An answer typed by a person; empty where nobody is there to type (papermill, nbval): the gate
    stays closed.
    """
    try:
        return input(question) if _may_be_asked() else ""
    except Exception:  # a kernel without stdin raises an error of its own
        return ""


def _may_be_asked() -> bool:
    return "IPython" in sys.modules or sys.stdin.isatty()


def show(evidence: Evidence) -> None:
    """Show a red result before the error is raised, in a notebook."""
    if "IPython" in sys.modules:
        from IPython.display import display as show_in_cell

        show_in_cell(evidence)
