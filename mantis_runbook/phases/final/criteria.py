"""The strategy's success criteria and risks, and which evidence of the run answers each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mantis_runbook.display import many
from mantis_runbook.phases.final import performance_criterion as performance
from mantis_runbook.phases.final.criterion import MIGRATING, Criterion, Kept, link_to, runs_of

__all__ = ["NOT_NEEDED", "RISKS", "Trail", "counts", "judge"]

#: The fact that marks what a verb left which had nothing to do: it says nothing about what the
#: criteria ask.
NOT_NEEDED = "not_needed"

#: The strategy's limit: downtime of a phase, in ms.
LONGEST_DOWNTIME_MS = 60_000.0

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
    """Whether this is evidence at all, not only a note that nothing had to be done.

    Older archives have no mark; their summary tells.
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
    yield performance.criterion(kept, asked=performance_asked)
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
        kind, criterion, evidence, figure, _word(results), runs_of(results), link_to(results[-1])
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
    return Criterion(kind, criterion, grounds, figure, word, runs_of(results), link_to(shown))


def _downtime(kept: Kept) -> Criterion:
    """The probe's longest gap between two successes: nothing else is called downtime.

    Tables that no probe covered are named.
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
        runs_of([kept[phase, "migrate"] for phase in MIGRATING]),
        link_to(kept[worst, "migrate"]),
    )


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
