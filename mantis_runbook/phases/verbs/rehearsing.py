"""Rehearse: the migrations applied, rolled back and applied again on the copy, and their cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mantis_runbook import display
from mantis_runbook.checks import promises
from mantis_runbook.checks.promises import Promises
from mantis_runbook.errors import Failed, Inconclusive
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases import evidence_tables
from mantis_runbook.phases.copy import PhaseCopy
from mantis_runbook.phases.progress import live
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.phases.verbs.already_applied import is_applied, not_needed
from mantis_runbook.postgres.target import Target
from mantis_runbook.rehearsal import forecast, rehearsal
from mantis_runbook.rehearsal.performance import measure as performance
from mantis_runbook.rehearsal.performance import repertoire, replay
from mantis_runbook.rehearsal.performance.gate import Gate
from mantis_runbook.rehearsal.performance.repertoire import Repertoire
from mantis_runbook.rehearsal.rehearsal import Rehearsal
from mantis_runbook.runs.evidence import Evidence, Table
from mantis_runbook.settings import Environment

__all__ = ["rehearse"]


def rehearse(record: PhaseRecord) -> Evidence:
    """Rehearse on the copy that the backup was proven with.

    Raises `Failed` or `Inconclusive` where the rehearsal finds a problem or cannot decide.
    """
    if is_applied(record):
        return not_needed(record, "rehearse")
    copy = PhaseCopy(record)
    copy.require_fresh()
    before = copy.promises_before()
    rehearsed, gate, played = _rehearsed_and_measured(record, copy)
    with record.proving() as watch:
        kept = promises.kept(copy.target, before, watch)
    outcome = _Outcome(record.run.environment, rehearsed, kept, gate, played)
    evidence = Evidence(
        record.number,
        "rehearse",
        outcome.verdict,
        "; ".join(outcome.problems) or outcome.summary,
        outcome.tables,
        {**outcome.facts, **({promises.KEPT: before.as_dict()} if _is_first(record) else {})},
        advice=outcome.unjudged,
    )
    if outcome.problems:
        record.show_red(evidence)
        raise (Failed if evidence.verdict == "failed" else Inconclusive)(
            "the rehearsal did not go as it must",
            found="; ".join(outcome.problems),
            expected="no finding",
            action="nothing was changed on the target; correct the migration first",
        )
    return evidence


def _is_first(record: PhaseRecord) -> bool:
    """Whether the phase has the first migration of all.

    What held before that one is kept for the last phase.
    """
    return migration_files.first_version() in [migration.version for migration in record.migrations]


@dataclass(frozen=True)
class _Outcome:
    """What the rehearsal, the promises and the performance gate found, taken together. Pure."""

    environment: Environment
    found: Rehearsal
    kept: Promises
    gate: Gate | None
    played: Repertoire | None

    @cached_property
    def performance(self) -> str:
        """The gate's word; passed where nobody measures."""
        return self.gate.combined(self.environment) if self.gate else "passed"

    @property
    def unjudged(self) -> str:
        return (
            f"performance not judged: {self.played.missing}"
            if self.played and self.played.missing
            else ""
        )

    @property
    def broken(self) -> list[str]:
        return [*self.found.problems, *self.kept.problems]

    @property
    def problems(self) -> list[str]:
        """What forbids going on: broken, in doubt, slower, or not judged as asked."""
        slow = (
            [self.gate.summary(self.environment)]
            if self.gate and self.performance != "passed"
            else []
        )
        unjudged = (
            [self.unjudged] if self.unjudged and self.environment.performance.timed_decides else []
        )
        return [*self.broken, *self.kept.doubts, *slow, *unjudged]

    @property
    def verdict(self) -> str:
        if self.broken or self.performance == "failed":
            return "failed"
        if self.problems:
            return "inconclusive"
        return "warned" if self.unjudged else "passed"

    @property
    def summary(self) -> str:
        """How it went, where there is no problem."""
        rehearsed, left = self.found, self.found.left_behind
        tested = f"validated with {rehearsed.suite.statements_of_tests} statements of tests"
        undone = (
            f"rolled back ({left.summary})"
            if left.labels_left and left.summary
            else "rolled back without a trace"
        )
        aside = (
            f"; {display.many(len(rehearsed.side_effects), 'side effect')} of the rehearsal"
            if rehearsed.side_effects
            else ""
        )
        text = (
            f"applied, {tested}, {undone} and applied again; {rehearsed.content.message}{aside};"
            f" {self.kept.summary}"
        )
        return evidence_tables.with_performance(text, self.gate, self.played)

    @property
    def tables(self) -> tuple[Table, ...]:
        return (
            *evidence_tables.rehearsal_tables(self.found),
            *self.kept.tables,
            *(evidence_tables.gate_tables(self.gate) if self.gate else ()),
            *(evidence_tables.repertoire_tables(self.played) if self.played else ()),
        )

    @property
    def facts(self) -> dict[str, Any]:
        """What later verbs read: predictions, and the tables that the migration will touch."""
        return {
            "durations_ms": forecast.durations(self.found.applied),
            "locks": forecast.locks(self.found.locks),
            "touched": list(self.found.touched),
            "test_statements": self.found.suite.statements_of_tests,
            **(evidence_tables.gate_facts(self.gate, self.environment) if self.gate else {}),
            **(evidence_tables.repertoire_facts(self.played) if self.played else {}),
        }


# -- carrying it out -------------------------------------------------------------------------------


def _rehearsed_and_measured(
    record: PhaseRecord, copy: PhaseCopy
) -> tuple[Rehearsal, Gate | None, Repertoire | None]:
    """The rehearsal, measured against an untouched copy where the environment asks for it."""
    if not record.run.environment.performance.in_rehearsal:
        return _rehearsed(record, copy), None, None
    with replay.copied(copy.target) as before:
        played = _playable(record, before)
        rehearsed = _rehearsed(record, copy)
        return (
            rehearsed,
            None if played.missing else _measured(record, before, copy.target, played),
            played,
        )


def _playable(record: PhaseRecord, before: Target) -> Repertoire:
    """What runs on the copy as it was; tried in a copy of that one, which is measured later."""
    folder = record.run.folder / "workload" / f"phase_{record.number}"
    with replay.copied(before) as copy:
        return repertoire.for_the_gate(copy, record.run.target, record.run.environment, folder)


def _rehearsed(record: PhaseRecord, copy: PhaseCopy) -> Rehearsal:
    with record.progress("rehearsal", journalled=False) as progress:
        return rehearsal.rehearse(
            copy.target,
            record.migrations,
            copy.backup.fingerprint,
            record.run.environment,
            run=record.run.name,
            who=record.run.operator,
            watch=progress,
        )


def _measured(record: PhaseRecord, before: Target, after: Target, played: Repertoire) -> Gate:
    """The restored backup against the same backup migrated, statement by statement."""
    with live() as update:
        return performance.measure(
            before,
            after,
            record.run.environment,
            accepted=played.accepted(migration.version for migration in record.migrations),
            scripts=played.scripts,
            touched=played.touched,
            wider_rows=played.source != "ours",
            watch=lambda part: update(display.callout("info", f"performance: {part}")),
        )
