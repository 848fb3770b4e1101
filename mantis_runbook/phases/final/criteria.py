"""The strategy's success criteria and risks: what each means, and which evidence of the run answers
it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mantis_runbook.display import many
from mantis_runbook.phases.final import costs as degradation
from mantis_runbook.phases.final.costs import Cost

__all__ = ["NOT_NEEDED", "RISKS", "Criterion", "Trail", "costs", "counts", "judge"]

Kept = Mapping[tuple[str, str], Mapping[str, Any]]

#: The fact that marks what a verb left which had nothing to do: it says nothing about what the
#: criteria ask.
NOT_NEEDED = "not_needed"

#: Phases that migrate, and so are rehearsed.
MIGRATING = ("1", "2", "3", "4")

#: The strategy's limit: downtime of a phase, in ms.
LONGEST_DOWNTIME_MS = 60_000.0

PERFORMANCE = "Performance degradation below 5 %"

RISKS: Sequence[Mapping[str, str]] = (
    {
        "risk": "high",
        "what": "Financial data migration (phase 3)",
        "gates": (
            "undecided currencies block; control totals per organisation and currency agree to the"
            " last digit, in the rehearsal over every row and on the target over every row that the"
            " application left alone meanwhile; approval rests on the rehearsal's"
        ),
    },
    {
        "risk": "medium",
        "what": "Large table restructuring (phase 4)",
        "gates": (
            "no scan or rewrite under a strong lock (lint and rehearsal); rows attached in place;"
            " the rehearsal rolls it back on the restored backup"
        ),
    },
    {
        "risk": "low",
        "what": "Enum and function additions (phases 1 and 2)",
        "gates": (
            "leftovers are compared before; enums are dropped only when nothing depends on them"
        ),
    },
)


@dataclass(frozen=True)
class Criterion:
    """One success criterion. `verdict`: pass, fail, inconclusive, or to sign (then `evidence` says
    by whom). `run` names the runs that the evidence comes from, `link` leads to it.
    """

    kind: str
    criterion: str
    evidence: str
    figure: str
    verdict: str
    run: str = ""
    link: str = ""

    @property
    def record(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Trail:
    """What was verified of the audit trails: archives, this run's journal, and the database's own.

    `broken` is what contradicts the records, `open` what could not be verified, `unsure` what a
    person must answer for.
    """

    verified: tuple[str, ...]
    triggers: int
    broken: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()


def counts(evidence: Mapping[str, Any]) -> bool:
    """Whether this is evidence at all, and not only the word that nothing had to be done. Older
    archives have no mark.
    """
    return not evidence["facts"].get(NOT_NEEDED) and not str(evidence["summary"]).startswith(
        "not needed: "
    )


def judge(
    kept: Kept,
    verdicts: Mapping[str, str],
    trail: Trail | None = None,
    *,
    performance_asked: bool = True,
) -> tuple[Criterion, ...]:
    """All criteria of the strategy, in its order. Pure: `kept` is evidence by phase and verb, each
    with the `page` that shows it and its `run`; `verdicts` are words by phase; `trail` is what was
    verified of the audit trails.

    What was not measured is inconclusive, which is not met; what the environment does not ask for
    is said not to be asked.
    """
    real = {key: evidence for key, evidence in kept.items() if counts(evidence)}
    return tuple(_judged(real, verdicts, trail, performance_asked=performance_asked))


def costs(kept: Kept) -> list[dict[str, Any]]:
    """A record for each cost beyond 5 %: of single phases, then from the baseline to the end, each
    with its link.
    """
    return [
        cost.record | {"link": _link(kept.get((cost.phase, "rehearse")))}
        for cost in _beyond(_rehearsed(kept))
    ]


def _judged(
    kept: Kept, verdicts: Mapping[str, str], trail: Trail | None, *, performance_asked: bool
) -> Iterator[Criterion]:
    yield _of_phases(
        "technical",
        "Zero data loss during migration",
        kept,
        ("prove", "rehearse", "compare"),
        "backups restored and compared, old columns equal after the rehearsal, no table missing,"
        " and no row that nobody deleted",
    )
    yield _downtime(kept)
    yield _performance(kept, asked=performance_asked)
    yield _of_verbs("technical", "All validation tests pass", kept, "5", ("integrity", "validate"))
    yield _of_phases(
        "technical",
        "Rollback procedures tested and verified",
        kept,
        ("rehearse",),
        "every phase was rolled back on its restored backup, and the catalogue was equal",
    )
    yield _of_verbs(
        "business", "All existing functionality preserved", kept, "5", ("compatibility",)
    )
    yield _of_verbs("business", "New features operational", kept, "5", ("validate",))
    yield Criterion(
        "business",
        "User experience unchanged",
        "a database tool cannot measure it: to be signed by the product owner",
        "",
        "to sign",
    )
    yield _of_verbs("business", "API compatibility maintained", kept, "5", ("compatibility",))
    yield _audit(verdicts, trail)


def _of_verbs(
    kind: str, criterion: str, kept: Kept, phase: str, verbs: tuple[str, ...]
) -> Criterion:
    results = [kept.get((phase, verb)) for verb in verbs]
    missing = [verb for verb, result in zip(verbs, results, strict=True) if result is None]
    if missing:
        return Criterion(kind, criterion, f"not run: {', '.join(missing)}", "", "inconclusive")
    figure = "; ".join(str(result["summary"]) for result in results if result)
    evidence = f"phase {phase}: {', '.join(verbs)}"
    return Criterion(
        kind, criterion, evidence, figure, _word(results), _runs(results), _link(results[-1])
    )


def _of_phases(
    kind: str, criterion: str, kept: Kept, verbs: tuple[str, ...], evidence: str
) -> Criterion:
    wanted = [(phase, verb) for phase in MIGRATING for verb in verbs]
    results = [kept.get(key) for key in wanted]
    missing = [
        f"{verb} of phase {phase}"
        for (phase, verb), result in zip(wanted, results, strict=True)
        if result is None
    ]
    if missing:
        return Criterion(
            kind, criterion, f"no evidence of {', '.join(missing)}", "", "inconclusive"
        )
    figure = f"{len(results)} of {len(wanted)} pieces of evidence passed"
    warned = [
        f"phase {result['phase']}: {result['summary']}"
        for result in results
        if result and result["verdict"] == "warned"
    ]
    word = "to sign" if warned and _word(results) == "pass" else _word(results)
    grounds = f"to be signed by the owner of the data: {'; '.join(warned)}" if warned else evidence
    # What is broken is what one wants to see; else the first stands for all.
    shown = next(
        (result for result in results if result and result["verdict"] != "passed"), results[0]
    )
    return Criterion(kind, criterion, grounds, figure, word, _runs(results), _link(shown))


def _downtime(kept: Kept) -> Criterion:
    """The probe's longest gap between two successes: nothing else is called downtime. Tables
    without a lane are named.
    """
    name = "Less than 1 minute downtime per phase"
    facts = {phase: kept.get((phase, "migrate"), {}).get("facts", {}) for phase in MIGRATING}
    gaps = {phase: of_phase.get("longest_gap_ms") for phase, of_phase in facts.items()}
    if missing := [phase for phase, gap in gaps.items() if gap is None]:
        return Criterion(
            "technical", name, f"not measured in phase {', '.join(missing)}", "", "inconclusive"
        )
    worst = max(gaps, key=lambda phase: float(gaps[phase] or 0))
    longest = float(gaps[worst] or 0)
    unseen = [
        f"{', '.join(of_phase['not_probed'])} in phase {phase}"
        for phase, of_phase in facts.items()
        if of_phase.get("not_probed")
    ]
    evidence = "the longest gap that readers or writers saw in each phase" + (
        f"; not probed, for others are locked longer: {'; '.join(unseen)}" if unseen else ""
    )
    return Criterion(
        "technical",
        name,
        evidence,
        f"worst {longest:,.0f} ms in phase {worst}",
        "pass" if longest < LONGEST_DOWNTIME_MS else "fail",
        _runs([kept[phase, "migrate"] for phase in MIGRATING]),
        _link(kept[worst, "migrate"]),
    )


def _performance(kept: Kept, *, asked: bool) -> Criterion:
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
        run=_runs([kept[phase, "rehearse"] for phase in MIGRATING]),
        link=_link(kept[slowest, "rehearse"]),
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


def _audit(verdicts: Mapping[str, str], trail: Trail | None) -> Criterion:
    """What is on record, verified now: archives by their manifests and the heads in the database,
    the journal's chain, and the triggers and entries of the application's own audit trail.
    """
    name, earlier = "Audit trails complete", ("0", *MIGRATING)
    missing = [phase for phase in earlier if verdicts.get(phase) != "passed"]
    figure = f"{len(earlier) - len(missing)} phases before this one on record"
    if trail and trail.broken:
        return Criterion("business", name, "; ".join(trail.broken), figure, "fail")
    if missing:
        evidence = f"no passed run on record of phase {', '.join(missing)}"
        return Criterion("business", name, evidence, figure, "inconclusive")
    if trail is None or trail.open:
        evidence = "; ".join(trail.open) if trail else "nothing was verified"
        return Criterion("business", name, evidence, figure, "inconclusive")
    runs = len(trail.verified)
    archives = (
        f"{many(runs, 'earlier run is', 'earlier runs are')} as archived"
        if runs
        else "no earlier run"
    )
    evidence = (
        f"{archives}; this run's journal is one chain;"
        f" {many(trail.triggers, 'audit trigger fires', 'audit triggers fire')}"
    )
    if trail.unsure:
        evidence = f"to be signed by the auditor: {'; '.join(trail.unsure)}; else {evidence}"
    return Criterion(
        "business",
        name,
        evidence,
        figure,
        "to sign" if trail.unsure else "pass",
        ", ".join(trail.verified),
    )


def _word(results: Sequence[Mapping[str, Any] | None]) -> str:
    return (
        "pass"
        if all(result and result["verdict"] in ("passed", "warned") for result in results)
        else "fail"
    )


def _runs(results: Sequence[Mapping[str, Any] | None]) -> str:
    return ", ".join(
        sorted({str(result["run"]) for result in results if result and result.get("run")})
    )


def _link(evidence: Mapping[str, Any] | None) -> str:
    return str(evidence.get("page", "")) if evidence else ""
