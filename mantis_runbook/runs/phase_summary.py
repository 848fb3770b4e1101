"""What one phase did, read from the journal: its verdict, its verbs and its steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mantis_runbook.runs import verdict
from mantis_runbook.runs.journal import Entry
from mantis_runbook.runs.verdict import Verdict

__all__ = ["NOT_RUN", "Phase", "Step", "Verb", "read_phase"]

#: The result of a verb that the phase requires and nobody has called.
NOT_RUN = "not run"


@dataclass(frozen=True)
class Verb:
    """One verb of a phase.

    `result` is its verdict, `interrupted`, or `not run`; `times` counts its starts.
    """

    phase: str
    verb: str
    result: str
    duration_ms: float | None = None
    summary: str = ""
    evidence: str = ""
    times: int = 0


@dataclass(frozen=True)
class Step:
    """One migration step.

    `state` is done, failed, skipped, or `interrupted`; `verb` the one that carried it out.
    """

    phase: str
    verb: str
    version: str
    step: str
    state: str
    duration_ms: float | None = None
    attempts: int = 1
    lock_waits: int = 0
    lsn: str = ""
    statement_sha256: str = ""
    note: str = ""


@dataclass(frozen=True)
class Phase:
    """A phase as it went: its verdict, its verbs (also those that never ran) and its steps."""

    name: str
    notebook: str
    verdict: Verdict
    verbs: tuple[Verb, ...] = ()
    steps: tuple[Step, ...] = ()

    @property
    def duration_ms(self) -> float:
        """Time spent in its verbs."""
        return sum(verb.duration_ms or 0 for verb in self.verbs)


def read_phase(entries: Sequence[Entry], name: str, required: Iterable[str]) -> Phase:
    """The phase of that name, with the verbs it requires and whatever else it called."""
    ours = [entry for entry in entries if entry.facts.get("phase") == name]
    notebook = next(
        (str(entry.facts["notebook"]) for entry in reversed(ours) if entry.facts.get("notebook")),
        "",
    )
    required = tuple(required)
    return Phase(
        name=name,
        notebook=Path(notebook).stem or name,
        verdict=verdict.phase_verdict(entries, name, required),
        verbs=tuple(_verbs(ours, name, required)),
        steps=tuple(_steps(ours, name)),
    )


def _verbs(entries: Sequence[Entry], phase: str, required: tuple[str, ...]) -> list[Verb]:
    seen = dict.fromkeys(str(entry.facts["verb"]) for entry in entries if entry.facts.get("verb"))
    order = dict.fromkeys([*required, *seen])
    return [
        _verb([entry for entry in entries if entry.facts.get("verb") == verb], phase, verb)
        for verb in order
    ]


def _verb(entries: Sequence[Entry], phase: str, verb: str) -> Verb:
    own = [entry for entry in entries if entry.event in ("verb.started", "verb.finished")]
    if not own:
        return Verb(phase, verb, NOT_RUN)
    times = max(1, sum(entry.event == "verb.started" for entry in own))
    if own[-1].event == "verb.started":
        return Verb(phase, verb, "interrupted", times=times)
    facts = own[-1].facts
    return Verb(
        phase=phase,
        verb=verb,
        result=str(facts.get("verdict", "of no verdict")),
        duration_ms=_number(facts.get("duration_ms")),
        summary=str(facts.get("summary") or ""),
        evidence=str(facts.get("evidence") or ""),
        times=times,
    )


def _steps(entries: Sequence[Entry], phase: str) -> list[Step]:
    steps: dict[tuple[str, str, str], Step] = {}
    verb = ""
    for entry in entries:
        version, step = str(entry.facts.get("version", "")), str(entry.facts.get("step", ""))
        if entry.event == "verb.started":
            verb = str(entry.facts.get("verb", ""))
        elif entry.event == "step.started":
            steps[verb, version, step] = Step(phase, verb, version, step, "interrupted")
        elif entry.event == "step.finished":
            steps[verb, version, step] = _step(entry.facts, phase, verb, version, step)
    return list(steps.values())


def _step(facts: Mapping[str, Any], phase: str, verb: str, version: str, step: str) -> Step:
    return Step(
        phase=phase,
        verb=verb,
        version=version,
        step=step,
        state=str(facts.get("state", "of no state")),
        duration_ms=_number(facts.get("duration_ms")),
        attempts=int(_number(facts.get("attempts")) or 1),
        lock_waits=int(_number(facts.get("lock_waits")) or 0),
        lsn=str(facts.get("lsn") or ""),
        statement_sha256=str(facts.get("statement_sha256") or ""),
        note=str(facts.get("note") or facts.get("error") or ""),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
