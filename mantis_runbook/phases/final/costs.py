"""What the phases cost the application, singly and together, beyond the strategy's 5 %."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["LIMIT", "Cost", "beyond", "from_baseline", "overall", "percent", "ratios"]

#: The strategy's limit of after against before.
LIMIT = 1.05

#: What the rehearsal of each phase left: phase → facts.
Facts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Cost:
    """A statement or a scenario that costs more than the limit allows.

    `ratio` is after against before.
    """

    phase: str
    what: str
    before: str = ""
    after: str = ""
    ratio: float | None = None
    reason: str = ""

    @property
    def change(self) -> str:
        return percent(self.ratio) if self.ratio else ""

    @property
    def record(self) -> dict[str, Any]:
        return {
            "phase": self.phase,
            "statement or scenario": self.what,
            "before": self.before,
            "after": self.after,
            "change": self.change,
            "reason": self.reason,
        }

    def __str__(self) -> str:
        return f"phase {self.phase}, {self.what} {self.change}".rstrip()


def percent(ratio: float) -> str:
    """A ratio as a change: 1.041 is +4.1 %; what rounds to nothing has no sign."""
    change = round((ratio - 1) * 100, 1)
    return f"{change:+.1f} %" if change else "0.0 %"


def beyond(facts: Facts) -> tuple[Cost, ...]:
    """What single phases cost beyond the limit, as their gates let it pass."""
    return tuple(
        (
            Cost(phase, **cost) if isinstance(cost, Mapping) else Cost(phase, str(cost))
        )  # a sentence in older archives
        for phase, of_phase in facts.items()
        for cost in of_phase.get("performance_beyond", ())
    )


def from_baseline(facts: Facts) -> tuple[Cost, ...]:
    """What costs more than the limit from the baseline to the end, though it may not in any single
    phase.

    Each phase is measured against the database as it found it, and the application writes between
    two phases: so the ratios are multiplied, not the first figure set against the last.
    """
    phases = f"{min(facts)} to {max(facts)}"
    ratios_by_name = [*_times(facts), *_counts(facts)]
    return tuple(
        Cost(
            phases,
            what,
            ratio=math.prod(each),
            reason=f"phase by phase {', '.join(map(percent, each))}",
        )
        for what, each in ratios_by_name
        if math.prod(each) > LIMIT
    )


def overall(facts: Facts) -> list[float]:
    """Time after against before, over all scenarios, phase by phase."""
    return [float(of_phase["performance_ratio"]) for of_phase in facts.values()]


def ratios(facts: Facts) -> dict[str, list[float]]:
    """Time after against before of each scenario that every phase timed, phase by phase."""
    each = [of_phase.get("performance_scenarios", {}) for of_phase in facts.values()]
    return {
        name: [float(measured[name]) for measured in each]
        for name in each[0]
        if all(name in measured for measured in each)
    }


def _times(facts: Facts) -> Iterator[tuple[str, list[float]]]:
    yield "time of all scenarios", overall(facts)
    yield from ((f"time of {name}", each) for name, each in ratios(facts).items())


def _counts(facts: Facts) -> Iterator[tuple[str, list[float]]]:
    """Blocks and log of each statement that every phase counted; of few blocks one more is much,
    and is spared.
    """
    each = [of_phase.get("performance_counts", {}) for of_phase in facts.values()]
    for statement in (name for name in each[0] if all(name in measured for measured in each)):
        for unit in each[0][statement]:
            counted = [measured[statement][unit] for measured in each]
            if sum(after - before for before, after, _ in counted) > max(
                spared for *_, spared in counted
            ):
                yield (
                    f"{unit} of {statement}",
                    [after / max(before, 1) for before, after, _ in counted],
                )
