"""Phase 5: the final suite, and the strategy's success criteria, one row each with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mantis_runbook.phases import definitions
from mantis_runbook.phases.final import judging, promises, suite
from mantis_runbook.phases.final.criteria import RISKS
from mantis_runbook.phases.final.judging import earlier_runs
from mantis_runbook.phases.recorded_phase import RecordedPhase
from mantis_runbook.runs.evidence import Evidence, Table

__all__ = ["FinalPhase", "schedule"]

#: The strategy's weeks: phase → first and last week.
WEEKS = {"0": (1, 1), "1": (2, 2), "2": (3, 3), "3": (4, 4), "4": (5, 6), "5": (6, 6)}


class FinalPhase(RecordedPhase):
    """Validates everything and migrates nothing."""

    def precheck(self) -> Evidence:
        """Every migration is applied, and every check of this phase passes."""
        return self.record.once("precheck", lambda: suite.precheck(self.record))

    def integrity(self) -> Evidence:
        """The strategy's `validate_schema_integrity()`, with its thresholds and sharper checks."""
        return self.record.once("integrity", lambda: suite.integrity(self.record))

    def validate(self) -> Evidence:
        """Every validation of every migration, and the strategy's own tests."""
        return self.record.once("validate", lambda: suite.validate(self.record))

    def tenants(self) -> Evidence:
        """Tenant isolation, tried as users of two organisations, of none, and as nobody."""
        return self.record.once("tenants", lambda: promises.tenants(self.record))

    def compatibility(self) -> Evidence:
        """Whether the baseline's own statements and catalogue still serve the old application."""
        return self.record.once("compatibility", lambda: promises.compatibility(self.record))

    def criteria(self) -> Evidence:
        """The strategy's success criteria, each with evidence, figure, and verdict or signatory."""
        return self.record.once("criteria", lambda: judging.criteria(self.record))

    def schedule(self) -> Evidence:
        """The strategy's weeks beside what happened."""
        earlier = earlier_runs(self.record)
        records = schedule(
            earlier.instants("phase.started"), earlier.instants("phase.finished"), datetime.now(UTC)
        )
        done = sum(record["actual_end"] is not None for record in records)
        going = sum("going_on_at" in record for record in records)
        waiting = len(records) - done - going
        counts = {"finished": done, "going on": going, "not begun": waiting}
        return Evidence(
            self.number,
            "schedule",
            "info",
            "phases: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count),
            (
                Table(
                    "the strategy's weeks, counted from the Monday of the week in which the first"
                    " phase began",
                    records,
                ),
            ),
            chart="gantt",
        )

    def risks(self) -> Evidence:
        """The strategy's risks, and the gates that answer each."""
        return Evidence(
            self.number,
            "risks",
            "info",
            "each risk is answered by gates that run every time",
            (Table("risks", RISKS),),
        )


def schedule(
    started: Mapping[str, datetime], finished: Mapping[str, datetime], now: datetime
) -> list[dict[str, Any]]:
    """One record a phase: the strategy's weeks, counted from the Monday of the first phase's start,
    and what happened.

    A phase that has begun and not ended is going on by `now`.
    """
    first = min(started.values(), default=now)
    monday = (first - timedelta(days=first.weekday())).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    return [
        {
            "phase": f"{phase.number} {phase.title}",
            "planned_start": (
                (monday + timedelta(weeks=WEEKS[phase.number][0] - 1)).date().isoformat()
            ),
            "planned_end": (monday + timedelta(weeks=WEEKS[phase.number][1])).date().isoformat(),
            "actual_start": _instant(started.get(phase.number)),
            "actual_end": _instant(finished.get(phase.number)),
            **(
                {"going_on_at": _instant(now)}
                if phase.number in started and phase.number not in finished
                else {}
            ),
        }
        for phase in definitions.present()
    ]


def _instant(when: datetime | None) -> str | None:
    return when.isoformat(" ", "seconds") if when else None
