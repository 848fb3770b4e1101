"""The criterion on performance: what the rehearsals' gates say of blocks, plans and time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mantis_runbook.display import many
from mantis_runbook.phases.final import costs as degradation
from mantis_runbook.phases.final.costs import Cost
from mantis_runbook.phases.final.criterion import MIGRATING, Criterion, Kept, link_to, runs_of

__all__ = ["costs", "criterion"]

PERFORMANCE = "Performance degradation below 5 %"


def costs(kept: Kept) -> list[dict[str, Any]]:
    """A record for each cost beyond 5 %, with its link: by phase, then from baseline to end."""
    return [
        cost.record | {"link": link_to(kept.get((cost.phase, "rehearse")))}
        for cost in _beyond(_rehearsed(kept))
    ]


def criterion(kept: Kept, *, asked: bool) -> Criterion:
    """The gate's verdict on each rehearsal: blocks, write-ahead log and plans; time where the
    environment lets it decide.

    A cost beyond 5 % that the gate let pass, because it is accepted or only reported, is not met by
    itself: it is for a person to sign. So is what all phases together cost beyond it, which no
    single gate sees.
    """
    facts = _rehearsed(kept)
    if unmeasured := _unmeasured(facts, asked=asked):
        return unmeasured
    words = {phase: str(of_phase["performance"]) for phase, of_phase in facts.items()}
    bad = [f"phase {phase}: {word}" for phase, word in words.items() if word != "passed"]
    dear = _beyond(facts)
    if bad:
        verdict, evidence = "fail" if "failed" in words.values() else "inconclusive", "; ".join(bad)
    elif dear:
        verdict = "to sign"
        evidence = f"{_told(dear)}. To be accepted by the owner of the application{_untimed(facts)}"
    else:
        verdict = "pass"
        evidence = (
            "the gate passed in every rehearsal, and nothing costs 5 % more, from the baseline to"
            " the end neither" + _untimed(facts)
        )
    slowest = max(MIGRATING, key=lambda phase: float(facts[phase]["performance_ratio"]))
    return Criterion(
        "technical",
        PERFORMANCE,
        evidence,
        figure=_times(facts),
        verdict=verdict,
        run=runs_of([kept[phase, "rehearse"] for phase in MIGRATING]),
        link=link_to(kept[slowest, "rehearse"]),
    )


def _unmeasured(facts: Mapping[str, Mapping[str, Any]], *, asked: bool) -> Criterion | None:
    """The answer where a rehearsal left no verdict on performance; None where each left one."""
    missing = [phase for phase, of_phase in facts.items() if not of_phase.get("performance")]
    if not missing:
        return None
    reasons = [
        facts[phase]["performance_unjudged"]
        for phase in missing
        if "performance_unjudged" in facts[phase]
    ]
    if not asked:
        evidence = "not measured: this environment does not ask for it (performance.in_rehearsal)"
        verdict = "not asked"
    elif len(reasons) == len(missing):
        evidence = (
            f"not judged in phase {', '.join(missing)}: {reasons[0]}."
            " To be accepted by the owner of the application"
        )
        verdict = "to sign"
    else:
        evidence, verdict = f"not measured in phase {', '.join(missing)}", "inconclusive"
    return Criterion("technical", PERFORMANCE, evidence, figure="", verdict=verdict)


def _rehearsed(kept: Kept) -> dict[str, Mapping[str, Any]]:
    return {phase: kept.get((phase, "rehearse"), {}).get("facts", {}) for phase in MIGRATING}


def _beyond(facts: Mapping[str, Mapping[str, Any]]) -> tuple[Cost, ...]:
    measured = all("performance_ratio" in of_phase for of_phase in facts.values())
    return (*degradation.beyond(facts), *(degradation.from_baseline(facts) if measured else ()))


def _told(dear: Sequence[Cost]) -> str:
    largest = max(dear, key=lambda cost: cost.ratio or 0)
    return (
        f"the gate passed in every rehearsal, with {many(len(dear), 'cost')} beyond 5 %, listed"
        f" below, the largest: {largest}"
    )


def _untimed(facts: Mapping[str, Mapping[str, Any]]) -> str:
    """What a passed gate does not say about time."""
    unjudged = [
        phase
        for phase, of_phase in facts.items()
        if of_phase.get("performance_timed") not in ("passed", "failed")
    ]
    reported = any(of_phase.get("performance_time_decides") is False for of_phase in facts.values())
    return ("; time is only reported in this environment" if reported else "") + (
        f"; block gate passed, time not judged in phase {', '.join(unjudged)} (inconclusive)"
        if unjudged
        else ""
    )


def _times(facts: Mapping[str, Mapping[str, Any]]) -> str:
    """Time over all scenarios, and of the scenario that lost most."""
    each = degradation.overall(facts)
    overall = (
        f"time {_compound(each)} from the baseline to the end"
        f" ({', '.join(map(degradation.percent, each))})"
    )
    scenarios = degradation.ratios(facts)
    worst = max(scenarios, key=lambda name: math.prod(scenarios[name]), default="")
    return f"{overall}; worst scenario {worst} {_compound(scenarios[worst])}" if worst else overall


def _compound(each: Sequence[float]) -> str:
    return degradation.percent(math.prod(each))
