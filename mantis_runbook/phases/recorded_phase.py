"""A phase as its notebook sees it, as far as it is on record: who and where, and how it ended."""

from __future__ import annotations

from mantis_runbook import display
from mantis_runbook.phases.definitions import PhaseDefinition
from mantis_runbook.phases.parameters import Parameters
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.runs.evidence import Evidence, Table
from mantis_runbook.runs.journal import Entry
from mantis_runbook.runs.run import Run
from mantis_runbook.runs.verdict import Verdict, phase_verdict

__all__ = ["RecordedPhase"]


class RecordedPhase:
    """A phase of one run. Its verbs are for the classes made from it."""

    parameters: Parameters

    def __init__(self, run: Run, definition: PhaseDefinition, parameters: Parameters) -> None:
        self.run, self.definition, self.parameters = run, definition, parameters
        self.record = PhaseRecord(run, definition, parameters)

    @property
    def number(self) -> str:
        """The phase's number."""
        return self.definition.number

    def begin(self) -> None:
        """Record that the phase was begun; once a run."""
        self.record.begin()

    def _repr_html_(self) -> str:
        environment, identity = self.run.environment.name, self.run.identity
        return display.facts(
            {
                "phase": f"{self.number}: {self.definition.title}",
                "target": f"{self.run.target.name} ({environment})",
                "database": (
                    f"{identity.database} on PostgreSQL {identity.version_text}, as {identity.role}"
                ),
                "run": self.run.name,
                "operator": self.run.operator,
                "migrations": (
                    ", ".join(one.label for one in self.record.migrations)
                    or "ledger, journal, monitoring functions"
                ),
            }
        )

    def conclude(self) -> Evidence:
        """The phase's verdict, from the journal alone."""
        entries = self.record.entries
        ended = Entry(0, "", "phase.finished", {"phase": self.number, "verdict": "passed"})
        verdict = phase_verdict([*entries, ended], self.number, self.definition.verbs)
        if entries[-1].event != "phase.finished":
            self.run.journal.append(
                "phase.finished", phase=self.number, verdict=verdict.word, reason=verdict.reason
            )
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
            self.number,
            "conclude",
            verdict.word,
            verdict.reason or "every verb was carried out and passed",
            (table,),
        )

    @property
    def verdict(self) -> Verdict:
        """The verdict so far. Never better than what the journal has."""
        return phase_verdict(self.run.journal.entries(), self.number, self.definition.verbs)
