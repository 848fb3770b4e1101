"""Both promises as they stood before any migration, kept for the phases that compare with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mantis_runbook.checks.compatibility import Compatibility
from mantis_runbook.checks.described_statements import Described
from mantis_runbook.checks.tenants.attempt import Crossing
from mantis_runbook.checks.tenants.isolation import Separation
from mantis_runbook.checks.worsened import BEFORE, Finding
from mantis_runbook.display import many
from mantis_runbook.postgres.catalog import Catalog
from mantis_runbook.runs.evidence import Table

__all__ = ["NO_TENANTS", "Before"]

NO_TENANTS = "the application declares no tenants"


@dataclass(frozen=True)
class Before:
    """Both proofs and the catalogue before a migration (None where the journal has it).

    `untried` and `unrun` say why a proof could not be made at all; `failed` maps each statement of
    our list that failed (script, actor, step) to what it ended with, `broken` are promises that the
    catalogue did not keep then.
    """

    separation: Separation | None
    untried: str = ""
    unrun: str = ""
    failed: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    broken: tuple[str, ...] = ()
    described: Described = field(default_factory=Described)
    learnt: str = ""
    roles: str = ""
    catalog: Catalog | None = None

    @property
    def findings(self) -> list[Finding]:
        """All that was not as it should be then, as warnings: no migration has to answer for it."""
        leaks = self.separation.leaks if self.separation else ()
        findings = [
            Finding(crossing.table, crossing.attempt, f"{crossing.found} ({BEFORE})", "warn")
            for crossing in leaks
        ]
        findings += [
            Finding("tenant isolation", "", f"{why} ({BEFORE})", "warn")
            for why in [self.untried]
            if why
        ]
        findings += [
            Finding("the old application", "", f"{why} ({BEFORE})", "warn")
            for why in [self.unrun]
            if why
        ]
        return [
            *findings,
            *(_of_statement(step, outcome) for step, outcome in self.failed.items()),
            *(Finding("contract", "", f"{one} ({BEFORE})", "warn") for one in self.broken),
        ]

    @property
    def tables(self) -> tuple[Table, ...]:
        """What phase 0 shows: how sessions act, what was learnt, and what was so before."""
        warnings = [{"warning": str(one), "verdict": one.verdict} for one in self.findings]
        acts = self.separation.acts.summary if self.separation else self.untried or NO_TENANTS
        attempts = (
            many(len(self.separation.attempts), "attempt") if self.separation else "no attempt"
        )
        notes = [
            acts,
            *(self.separation.notes if self.separation else ()),
            *([self.learnt] if self.learnt else []),
        ]
        warned = Table(
            f"{many(len(warnings), 'thing')} that no migration has to answer for",
            warnings,
            "verdict",
        )
        how = Table(
            f"how tenants were tried: {attempts} to cross between them",
            [{"note": note} for note in notes],
        )
        return (how, warned) if warnings else (how,)

    def as_dict(self) -> dict[str, Any]:
        """As it is kept for phase 5; without the catalogue, which the journal has."""
        separation = self.separation
        return {
            "attempts": (
                [list(vars(one).values()) for one in separation.attempts] if separation else None
            ),
            "untried": self.untried,
            "unrun": self.unrun,
            "failed": [[*step, outcome] for step, outcome in self.failed.items()],
            "broken": list(self.broken),
            "described": self.described.as_dict(),
            "learnt": self.learnt,
            "roles": self.roles,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], catalog: Catalog | None) -> Before:
        attempts = data["attempts"]
        return cls(
            separation=Separation(tuple(Crossing(*one) for one in attempts))
            if attempts is not None
            else None,
            untried=data["untried"],
            unrun=data["unrun"],
            failed={
                (script, actor, step): outcome for script, actor, step, outcome in data["failed"]
            },
            broken=tuple(data["broken"]),
            described=Described.from_dict(data["described"]),
            learnt=data["learnt"],
            roles=data["roles"],
            catalog=catalog,
        )


def _of_statement(step: tuple[str, str, str], outcome: str) -> Finding:
    script, actor, name = step
    words = (
        f"not applicable here: {outcome}"
        if Compatibility.is_not_applicable(outcome)
        else f"{outcome} ({BEFORE})"
    )
    return Finding(f"{script} as {actor}", name, words, "warn")
