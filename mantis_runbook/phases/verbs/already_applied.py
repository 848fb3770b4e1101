"""A phase whose migrations are all applied: nothing to do, and no evidence of anything."""

from __future__ import annotations

from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.phases.final import criteria
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.runs.evidence import Evidence

__all__ = ["is_applied", "not_needed"]


def is_applied(record: PhaseRecord) -> bool:
    """Whether every migration of this phase is recorded as applied; False where it has none."""
    with record.run.connect("status") as connection:
        completed = Ledger(connection).completed()
    return bool(record.migrations) and all(one.version in completed for one in record.migrations)


def not_needed(
    record: PhaseRecord, verb: str, why: str = "the phase is already applied"
) -> Evidence:
    """Evidence that nothing was done. `NOT_NEEDED` excludes it from the criteria."""
    return Evidence(
        record.number, verb, "passed", f"not needed: {why}", facts={criteria.NOT_NEEDED: True}
    )
