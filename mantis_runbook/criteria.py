"""The strategy's success criteria and risks: what each means, and which evidence of the run answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["RISKS", "Criterion", "judge"]

Kept = Mapping[tuple[str, str], Mapping[str, Any]]

#: Phases that migrate, and so are rehearsed.
MIGRATING = ("1", "2", "3", "4")

#: The strategy's limit: downtime of a phase, in ms.
LONGEST_DOWNTIME_MS = 60_000.0

RISKS: Sequence[Mapping[str, str]] = (
    {
        "risk": "high",
        "what": "Financial data migration (phase 3)",
        "gates": "undecided currencies block; control totals per organisation and currency agree to the last digit, in the rehearsal over every row and on the target over every row that the application left alone meanwhile; approval rests on the rehearsal's",
    },
    {
        "risk": "medium",
        "what": "Large table restructuring (phase 4)",
        "gates": "no scan or rewrite under a strong lock (lint and rehearsal); rows attached in place; the rehearsal rolls it back on the restored backup",
    },
    {
        "risk": "low",
        "what": "Enum and function additions (phases 1 and 2)",
        "gates": "leftovers are compared before; enums are dropped only when nothing depends on them",
    },
)


@dataclass(frozen=True)
class Criterion:
    """One success criterion. `verdict`: pass, fail, inconclusive, or to sign (then `evidence` says by whom)."""

    kind: str
    criterion: str
    evidence: str
    figure: str
    verdict: str
    link: str = ""

    @property
    def record(self) -> dict[str, Any]:
        return asdict(self)


def judge(kept: Kept, verdicts: Mapping[str, str], *, performance_asked: bool = True) -> tuple[Criterion, ...]:
    """All criteria of the strategy, in its order. Pure: `kept` is evidence by phase and verb, each with the `page` that shows it; `verdicts` are words by phase.

    What was not measured is inconclusive, which is not met; what the environment does not ask for is said not to be asked.
    """
    return tuple(_judged(kept, verdicts, performance_asked=performance_asked))


def _judged(kept: Kept, verdicts: Mapping[str, str], *, performance_asked: bool) -> Iterator[Criterion]:
    yield _of_phases(
        "technical",
        "Zero data loss during migration",
        kept,
        ("prove", "rehearse", "compare"),
        "backups restored and compared, old columns equal after the rehearsal, no table missing",
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
    yield _of_verbs("business", "All existing functionality preserved", kept, "5", ("compatibility",))
    yield _of_verbs("business", "New features operational", kept, "5", ("validate",))
    yield Criterion(
        "business",
        "User experience unchanged",
        "a database tool cannot measure it: to be signed by the product owner",
        "",
        "to sign",
    )
    yield _of_verbs("business", "API compatibility maintained", kept, "5", ("compatibility",))
    yield _audit(verdicts)


def _of_verbs(kind: str, criterion: str, kept: Kept, phase: str, verbs: tuple[str, ...]) -> Criterion:
    found = [kept.get((phase, verb)) for verb in verbs]
    missing = [verb for verb, one in zip(verbs, found, strict=True) if one is None]
    if missing:
        return Criterion(kind, criterion, f"not run: {', '.join(missing)}", "", "inconclusive")
    figure = "; ".join(str(one["summary"]) for one in found if one)
    return Criterion(kind, criterion, f"phase {phase}: {', '.join(verbs)}", figure, _word(found), _link(found[-1]))


def _of_phases(kind: str, criterion: str, kept: Kept, verbs: tuple[str, ...], evidence: str) -> Criterion:
    wanted = [(phase, verb) for phase in MIGRATING for verb in verbs]
    found = [kept.get(key) for key in wanted]
    missing = [f"{verb} of phase {phase}" for (phase, verb), one in zip(wanted, found, strict=True) if one is None]
    if missing:
        return Criterion(kind, criterion, f"no evidence of {', '.join(missing)}", "", "inconclusive")
    return Criterion(
        kind,
        criterion,
        evidence,
        f"{len(found)} of {len(wanted)} pieces of evidence passed",
        _word(found),
        _link(found[0]),
    )


def _downtime(kept: Kept) -> Criterion:
    """The probe's longest gap between two successes: nothing else is called downtime."""
    return _measured(
        kept,
        "Less than 1 minute downtime per phase",
        "migrate",
        "longest_gap_ms",
        LONGEST_DOWNTIME_MS,
        lambda v: f"{v:,.0f} ms",
    )


def _performance(kept: Kept, *, asked: bool) -> Criterion:
    """The gate's verdict on each rehearsal: blocks, write-ahead log and plans; time where the environment lets it decide.

    A cost beyond 5 % that the gate let pass, because it is accepted or only reported, is not met by itself: it is named
    for a person to sign.
    """
    name = "Performance degradation below 5 %"
    facts = {phase: kept.get((phase, "rehearse"), {}).get("facts", {}) for phase in MIGRATING}
    missing = [phase for phase, found in facts.items() if not found.get("performance")]
    if missing and not asked:
        evidence = "not measured: this environment does not ask for it (performance.in_rehearsal)"
        return Criterion("technical", name, evidence, "", "not asked")
    if missing:
        return Criterion("technical", name, f"not measured in phase {', '.join(missing)}", "", "inconclusive")
    words = {phase: str(found["performance"]) for phase, found in facts.items()}
    bad = [f"phase {phase}: {word}" for phase, word in words.items() if word != "passed"]
    times = ", ".join(f"{(float(found['performance_ratio']) - 1) * 100:+.1f} %" for found in facts.values())
    beyond = [
        f"phase {phase}: {cost}" for phase, found in facts.items() for cost in found.get("performance_beyond", ())
    ]
    if bad:
        verdict, evidence = "fail" if "failed" in words.values() else "inconclusive", "; ".join(bad)
    elif beyond:
        verdict = "to sign"
        evidence = f"the gate passed in every rehearsal, with {len(beyond)} costs beyond 5 %, to be accepted by the owner of the application: {'; '.join(beyond)}"
    else:
        verdict, evidence = "pass", "the performance gate passed in every rehearsal, and nothing costs 5 % more"
    return Criterion(
        "technical", name, evidence, f"time, phase by phase: {times}", verdict, _link(kept["1", "rehearse"])
    )


def _measured(
    kept: Kept, criterion: str, verb: str, fact: str, limit: float, shown: Callable[[float], str]
) -> Criterion:
    figures = {phase: kept.get((phase, verb), {}).get("facts", {}).get(fact) for phase in MIGRATING}
    missing = [phase for phase, figure in figures.items() if figure is None]
    if missing:
        return Criterion("technical", criterion, f"not measured in phase {', '.join(missing)}", "", "inconclusive")
    worst = max(figures, key=lambda phase: float(figures[phase] or 0))
    figure = float(figures[worst] or 0)
    verdict = "pass" if figure < limit else "fail"
    found = kept[worst, verb]
    return Criterion(
        "technical",
        criterion,
        f"{fact.replace('_', ' ')} of each phase",
        f"worst {shown(figure)} in phase {worst}",
        verdict,
        _link(found),
    )


def _audit(verdicts: Mapping[str, str]) -> Criterion:
    missing = [phase for phase in ("0", *MIGRATING) if verdicts.get(phase) != "passed"]
    if missing:
        return Criterion(
            "business",
            "Audit trails complete",
            f"no passed run on record of phase {', '.join(missing)}",
            "",
            "inconclusive",
        )
    return Criterion(
        "business",
        "Audit trails complete",
        "journal, manifest and database agree for every phase",
        f"{len(verdicts)} phases on record",
        "pass",
    )


def _word(found: Sequence[Mapping[str, Any] | None]) -> str:
    return "pass" if all(one and one["verdict"] in ("passed", "warned") for one in found) else "fail"


def _link(found: Mapping[str, Any] | None) -> str:
    return str(found.get("page", "")) if found else ""
