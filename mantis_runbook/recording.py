"""Recording: a verb is carried out once, journalled before and after, and its evidence kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from mantis_runbook import archive, display, migrations
from mantis_runbook.alerts import Alert, Alerts
from mantis_runbook.errors import ApprovalMissing, Inconclusive, Refused, RunbookError
from mantis_runbook.evidence import Evidence, Table
from mantis_runbook.journal import Entry
from mantis_runbook.parameters import Parameters
from mantis_runbook.phases import PhaseDefinition
from mantis_runbook.progress import Progress, live
from mantis_runbook.run import Run
from mantis_runbook.verdict import UNDO, Verdict, phase_verdict

__all__ = ["UNDO", "Recording", "ask", "show"]

WORDS = {Refused: "refused", Inconclusive: "inconclusive"}

#: Parameters that the run itself keeps.
OF_THE_RUN = ("run", "operator")

#: The verb by which a phase takes itself back, and those that it makes undone.
UNDONE = ("migrate", "validate", "compare")


class Recording:
    """A phase of one run, as far as it is on record. What the verbs do is for the classes made from it."""

    parameters: Parameters

    def __init__(self, run: Run, definition: PhaseDefinition, parameters: Parameters) -> None:
        self.run, self.definition, self.parameters = run, definition, parameters
        self.migrations = migrations.order_for(migrations.load(), definition.number)
        self.alerts = Alerts(run.environment.alerts, run.journal)
        self._red: Evidence | None = None
        self._is_awaited = False

    @property
    def number(self) -> str:
        return self.definition.number

    def begin(self) -> None:
        """Record that the phase was begun, and by which verbs it will be judged; once a run. The parameters it is given
        are recorded then, and again whenever they are others."""
        ours = [entry for entry in self.run.journal.entries() if entry.facts.get("phase") == self.number]
        given = {
            name: value for name, value in self.parameters.model_dump().items() if value and name not in OF_THE_RUN
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
        elif given != next((e.facts["parameters"] for e in reversed(ours) if "parameters" in e.facts), {}):
            self.run.journal.append("phase.parameters", phase=self.number, parameters=given)

    def _repr_html_(self) -> str:
        environment, identity = self.run.environment.name, self.run.identity
        return display.facts(
            {
                "phase": f"{self.number}: {self.definition.title}",
                "target": f"{self.run.target.name} ({environment})",
                "database": f"{identity.database} on PostgreSQL {identity.version_text}, as {identity.role}",
                "run": self.run.name,
                "operator": self.run.operator,
                "migrations": ", ".join(one.label for one in self.migrations)
                or "ledger, journal, monitoring functions",
            }
        )

    def conclude(self) -> Evidence:
        """The phase's verdict, from the journal alone; what the phase needed for itself is tidied up."""
        entries = [entry for entry in self.run.journal.entries() if entry.facts.get("phase") == self.number]
        ended = Entry(0, "", "phase.finished", {"phase": self.number, "verdict": "passed"})
        verdict = phase_verdict([*entries, ended], self.number, self.definition.verbs)
        if entries[-1].event != "phase.finished":
            self.run.journal.append("phase.finished", phase=self.number, verdict=verdict.word, reason=verdict.reason)
            self._finished()
        finished = {e.facts["verb"]: e.facts for e in entries if e.event == "verb.finished"}
        records = [
            {
                "verb": verb,
                "result": finished.get(verb, {}).get("verdict", "not run"),
            }
            for verb in self.definition.verbs
        ]
        table = Table(f"phase {self.number}", records, "result")
        return Evidence(
            self.number, "conclude", verdict.word, verdict.reason or "every verb was carried out and passed", (table,)
        )

    @property
    def verdict(self) -> Verdict:
        """The verdict so far. Never better than what the journal has."""
        return phase_verdict(self.run.journal.entries(), self.number, self.definition.verbs)

    def _finished(self) -> None:
        """What a phase tidies up once it is judged."""

    # -- recording -----------------------------------------------------------------------------------------------

    def _verb(self, name: str, work: Callable[[], Evidence]) -> Evidence:
        """Do the work once: journalled before and after, its evidence kept; a second call reads what is kept."""
        if name in self._passed():
            return self._kept(name)
        self._require_verbs_before(name)
        self._red, self._is_awaited = None, False
        self.run.journal.append("verb.started", phase=self.number, verb=name)
        began = time.monotonic()
        try:
            evidence = work()
        except Exception as error:
            self._finish(self._of_error(name, error), began)
            if isinstance(error, ApprovalMissing):
                self._await_approval(error.expected)
            self._after_failure(name, error)
            self.alerts.settle()
            raise
        self._finish(evidence, began)
        return evidence

    def _kept(self, name: str) -> Evidence:
        """What the verb found when it was carried out."""
        kept = archive.read_evidence(self.run.folder, self.number, name)
        if kept is None:
            raise Inconclusive(
                f"the evidence of {name} is gone from run {self.run.name}",
                expected=str(archive.evidence_path(self.run.folder, self.number, name)),
                action="begin a new run",
            )
        return Evidence.from_dict(kept)

    def _of_error(self, name: str, error: Exception) -> Evidence:
        """The evidence of a verb that raised: its message, and the tables it showed before."""
        word = next((word for kind, word in WORDS.items() if isinstance(error, kind)), "failed")
        said = str(error) if isinstance(error, RunbookError) else f"{type(error).__name__}: {error}"
        return replace(self._red or Evidence(self.number, name, word, said), verdict=word, summary=said)

    def _ask(self, question: str, wanted: str) -> str:
        """An answer typed by a person, who is told first that one is waited for. `wanted` is what would approve."""
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

    def _show_red(self, evidence: Evidence) -> None:
        """Show a red result before its error is raised, and keep its tables as the verb's evidence."""
        self._red = evidence
        show(evidence)

    def _after_failure(self, verb: str, error: Exception) -> None:
        """What is done once the failure is on record."""

    def _finish(self, evidence: Evidence, began: float) -> None:
        path = archive.write_evidence(self.run.folder, self.number, evidence.verb, evidence.as_dict())
        self.run.journal.append(
            "verb.finished",
            phase=self.number,
            verb=evidence.verb,
            verdict=evidence.verdict,
            duration_ms=round((time.monotonic() - began) * 1000, 1),
            summary=evidence.summary,
            evidence=path.name,
        )

    def _passed(self) -> set[str]:
        """Verbs whose last word was good. A rollback undoes the migration and all that came after it."""
        last: dict[str, str] = {}
        for entry in self.run.journal.entries():
            if entry.facts.get("phase") == self.number and entry.event in ("verb.started", "verb.finished"):
                last[entry.facts["verb"]] = entry.facts.get("verdict", "")
                if entry.facts["verb"] == UNDO:
                    last = {verb: word for verb, word in last.items() if verb not in UNDONE}
        return {verb for verb, verdict in last.items() if verdict in ("passed", "warned")}

    def _require_verbs_before(self, name: str) -> None:
        verbs, passed = self.definition.verbs, self._passed()
        missing = [verb for verb in verbs[: verbs.index(name)] if verb not in passed]
        if missing:
            raise Refused(
                f"{name} cannot run yet",
                found=f"{', '.join(missing)} not passed in run {self.run.name}",
                expected="every step before it passed",
                action=f"run the cell of {missing[0]!r} first",
            )

    def _facts(self, verb: str) -> dict[str, Any]:
        """Facts that an earlier verb of this run left."""
        kept = archive.read_evidence(self.run.folder, self.number, verb)
        return dict(kept["facts"]) if kept else {}

    def _was_cut(self, verb: str) -> bool:
        """Whether the verb was started before in this run, and did not pass."""
        events = [
            e for e in self.run.journal.entries() if e.facts.get("phase") == self.number and e.facts.get("verb") == verb
        ]
        return sum(e.event == "verb.started" for e in events) > 1

    @contextmanager
    def _proving(self) -> Iterator[Callable[[str], None]]:
        """A line that says what is tried now."""
        with live() as update:
            yield lambda name: update(display.callout("info", f"trying {name}"))

    def _progress(self, what: str, *, journalled: bool = True) -> Progress:
        return Progress(what, self.run.journal if journalled else None, self.number, self.migrations)


def ask(question: str) -> str:
    """An answer typed by a person; empty where nobody is there to type (papermill, nbval): the gate stays closed."""
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
