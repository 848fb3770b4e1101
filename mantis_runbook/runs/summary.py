"""What a run did, read from its journal: phases, verbs, steps, and what deviated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mantis_runbook.runs import alerts, load_figures, verdict
from mantis_runbook.runs.archive import EVIDENCE, started_at, target_of
from mantis_runbook.runs.journal import TORN, Entry, Journal
from mantis_runbook.runs.verdict import Verdict

__all__ = ["Deviation", "Phase", "Step", "Summary", "Verb", "read", "summarise"]

NOT_RUN = "not run"

#: More of a load than this must be skipped to be worth a warning.
SKIPPED_SHARE = 0.01


@dataclass(frozen=True)
class Verb:
    """One verb of a phase. `result` is its verdict, `interrupted`, or `not run`; `times` counts its
    starts.
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
    """One migration step. `state` is done, failed, skipped, or `interrupted`; `verb` the one that
    carried it out.
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
    """A phase as it went: its verdict, and all its verbs and steps, those that never ran
    included.
    """

    name: str
    notebook: str
    verdict: Verdict
    verbs: tuple[Verb, ...] = ()
    steps: tuple[Step, ...] = ()

    @property
    def duration_ms(self) -> float:
        """Time spent in its verbs."""
        return sum(verb.duration_ms or 0 for verb in self.verbs)


@dataclass(frozen=True)
class Deviation:
    """Something that did not go as planned; `grade` is a verdict word, `where` a phase's notebook
    or empty.
    """

    grade: str
    where: str
    what: str
    verb: str = ""


@dataclass(frozen=True)
class Summary:
    """A run, as its journal tells it. Instants are UTC; `finished` is the last entry's; `closed`:
    the run ended.
    """

    run: str
    verdict: Verdict
    target: str
    environment: str = ""
    operator: str = ""
    approver: str = ""
    started: datetime | None = None
    finished: datetime | None = None
    closed: bool = False
    commit: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    machine: str = ""
    load: Mapping[str, Any] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()
    deviations: tuple[Deviation, ...] = ()

    @property
    def duration_ms(self) -> float | None:
        if self.started is None or self.finished is None:
            return None
        return (self.finished - self.started).total_seconds() * 1000


def read(folder: Path) -> Summary:
    """The summary of the run in that folder; of an abandoned run too, and of one that died before
    its first entry.
    """
    told = summarise(
        Journal(folder).entries(), folder.name, target=target_of(folder), named=started_at(folder)
    )
    return told if told.approver else replace(told, approver=_approver_of_evidence(folder))


def summarise(
    entries: Sequence[Entry], run: str, *, target: str = "", named: datetime | None = None
) -> Summary:
    """The summary that these entries give. `named` is the start as the folder's name has it."""
    began = _facts(entries, "run.started")
    phases = tuple(
        _phase(entries, name, verbs) for name, verbs in verdict.declared(entries).items()
    )
    ended = [entry for entry in entries if entry.event == "run.finished"]
    return Summary(
        run=run,
        verdict=verdict.run_verdict(entries),
        target=str(began.get("target") or target),
        environment=str(began.get("environment") or ""),
        operator=str(began.get("operator") or ""),
        approver=_approver(entries),
        started=entries[0].time if entries else named,
        finished=entries[-1].time if entries else None,
        closed=bool(ended) and not _reopened(entries),
        commit=str(began.get("commit") or began.get("git_commit") or ""),
        parameters=_parameters(entries),
        identity=_last(entries, "identity"),
        versions=_versions(began),
        limits=_mapping(began.get("limits")),
        machine=str(began.get("machine") or ""),
        load=_load(entries),
        phases=phases,
        deviations=tuple(
            _deviations(entries, phases, closed=bool(ended) and not _reopened(entries))
        ),
    )


def _facts(entries: Sequence[Entry], event: str) -> dict[str, Any]:
    """The facts of all entries of that event, a later one's over an earlier one's: a run may be
    resumed.
    """
    merged: dict[str, Any] = {}
    for entry in entries:
        if entry.event == event:
            merged |= {
                name: value for name, value in entry.facts.items() if value not in (None, "")
            }
    return merged


def _parameters(entries: Sequence[Entry]) -> dict[str, Any]:
    """What the phases were given, as it stands in the journal: a later value over an earlier
    one.
    """
    merged: dict[str, Any] = {}
    for entry in entries:
        if entry.event in ("phase.started", "phase.parameters"):
            merged |= _mapping(entry.facts.get("parameters"))
    return merged


def _load(entries: Sequence[Entry]) -> dict[str, Any]:
    """All spells of the load together; empty where there was none. What was due and not begun in
    time failed, too.
    """
    if not any(entry.event == "load.progress" for entry in entries):
        return {}
    done = load_figures.recorded(entries)
    return {
        "transactions": done.processed,
        "failed": done.failed + done.skipped,
        "latency_ms": round(done.latency_ms, 1),
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _last(entries: Sequence[Entry], name: str) -> Mapping[str, Any]:
    return next(
        (_mapping(entry.facts[name]) for entry in reversed(entries) if name in entry.facts), {}
    )


def _versions(began: Mapping[str, Any]) -> dict[str, Any]:
    versions = dict(_mapping(began.get("versions")))
    for name in ("python", "postgres", "packages"):
        if name in began:
            versions[name] = began[name]
    packages = _mapping(versions.pop("packages", None))
    return versions | dict(packages)


def _approver(entries: Sequence[Entry]) -> str:
    return ", ".join(
        dict.fromkeys(
            str(entry.facts["approver"]) for entry in entries if entry.facts.get("approver")
        )
    )


def _approver_of_evidence(folder: Path) -> str:
    """Who approved, where the journal leaves it to the evidence of the approving verb."""
    names: dict[str, None] = {}
    for path in sorted((folder / EVIDENCE).glob("*.json")):
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))["facts"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(facts, Mapping) and facts.get("approver"):
            names[str(facts["approver"])] = None
    return ", ".join(names)


def _reopened(entries: Sequence[Entry]) -> bool:
    """Whether work went on after the run was last said to be finished."""
    last = max(index for index, entry in enumerate(entries) if entry.event == "run.finished")
    return any(
        entry.event.startswith(("run.", "phase.", "verb.", "step."))
        for entry in entries[last + 1 :]
    )


def _phase(entries: Sequence[Entry], name: str, required: Iterable[str]) -> Phase:
    ours = [entry for entry in entries if entry.facts.get("phase") == name]
    notebook = next(
        (str(entry.facts["notebook"]) for entry in reversed(ours) if entry.facts.get("notebook")),
        "",
    )
    required = tuple(required)
    return Phase(
        name, Path(notebook).stem or name, verdict.phase_verdict(entries, name, required),
        tuple(_verbs(ours, name, required)), tuple(_steps(ours, name)),
    )  # fmt: skip


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
        phase, verb, str(facts.get("verdict", "of no verdict")), _number(facts.get("duration_ms")),
        str(facts.get("summary") or ""), str(facts.get("evidence") or ""), times,
    )  # fmt: skip


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
        phase,
        verb,
        version,
        step,
        str(facts.get("state", "of no state")),
        _number(facts.get("duration_ms")),
        int(_number(facts.get("attempts")) or 1),
        int(_number(facts.get("lock_waits")) or 0),
        str(facts.get("lsn") or ""),
        str(facts.get("statement_sha256") or ""),
        str(facts.get("note") or facts.get("error") or ""),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _deviations(
    entries: Sequence[Entry], phases: Sequence[Phase], *, closed: bool
) -> list[Deviation]:
    found = [*_of_load(entries)]
    for phase in phases:
        found += [*_of_phase(phase), *_of_verbs(phase), *_of_steps(phase)]
    found += _of_events(entries, passed=all(phase.verdict.passed for phase in phases))
    if not closed:
        whole = [entry for entry in entries if entry.event != TORN]
        last = (
            f"its last entry is {whole[-1].event} at {whole[-1].at}"
            if whole
            else "its journal is empty"
        )
        found.append(
            Deviation("inconclusive", "", f"the run was interrupted, or is not finished: {last}")
        )
    return found


def _of_load(entries: Sequence[Entry]) -> Iterator[Deviation]:
    """What the application would have met. A busy machine skips some, which is a warning and no
    more.
    """
    done, beyond = load_figures.recorded(entries), load_figures.beyond(entries)
    if done.failed:
        yield Deviation(
            "inconclusive" if beyond else "warned", "", beyond or done.failures + done.named
        )
    if done.skipped_share > SKIPPED_SHARE:
        said = (
            f"{done.skipped:,} of {done.due:,} transactions of the load were due and could not be"
            " begun in time"
        )
        yield Deviation("warned", "", said)
    for name, reason in load_figures.left_out(entries).items():
        yield Deviation(
            "warned",
            "",
            f"{name} is not in the load, for it does not run on this database: {reason}",
        )


def _of_events(entries: Sequence[Entry], *, passed: bool) -> Iterator[Deviation]:
    """What happened to the run as a whole. Trouble that a later try made good is only a warning."""
    for said in alerts.undelivered(entries):
        yield Deviation("warned", "", said)
    for entry in entries:
        if entry.event == TORN:
            yield Deviation(
                "warned",
                "",
                f"at {entry.at} a line of the journal was found torn: its writer was killed",
            )
        elif entry.event == "run.resumed":
            by = f" by {entry.facts['operator']}" if entry.facts.get("operator") else ""
            yield Deviation("warned", "", f"the run was interrupted, and resumed at {entry.at}{by}")
        elif entry.event == "notebook.failed":
            notebook = Path(str(entry.facts.get("notebook", "")))
            said = f"{notebook.name} stopped: {entry.facts.get('error', '')}"
            yield Deviation("warned" if passed else "failed", notebook.stem, said)


def _of_phase(phase: Phase) -> list[Deviation]:
    """The phase's own reason, unless it is that of a verb, which says more."""
    bad = [verb.verb for verb in phase.verbs if verb.result not in (*verdict.GOOD, NOT_RUN)]
    if phase.verdict.passed or any(verb in phase.verdict.reason for verb in bad):
        return []
    reason = {
        "never started": "the phase was never started",
        "": f"the phase ended {phase.verdict.word}",
    }
    what = reason.get(phase.verdict.reason, phase.verdict.reason)
    return [Deviation(phase.verdict.word, phase.notebook, what)]


def _of_verbs(phase: Phase) -> list[Deviation]:
    found = []
    for verb in phase.verbs:
        if verb.result not in ("passed", NOT_RUN):
            text = f"{verb.verb} {verb.result}" + (f": {verb.summary}" if verb.summary else "")
            found.append(Deviation(verb.result, phase.notebook, text, verb.verb))
        if verb.times > 1:
            found.append(
                Deviation(
                    "warned", phase.notebook, f"{verb.verb} was run {verb.times} times", verb.verb
                )
            )
    return found


def _of_steps(phase: Phase) -> list[Deviation]:
    found = []
    for step in phase.steps:
        name = f"step “{step.step}” of {step.version}"
        if step.state not in ("done", "skipped"):
            note = f": {step.note}" if step.note else ""
            grade = "failed" if step.state == "failed" else "interrupted"
            found.append(Deviation(grade, phase.notebook, f"{name} {step.state}{note}", step.verb))
        if step.lock_waits:
            tries = "1 attempt" if step.attempts == 1 else f"{step.attempts} attempts"
            text = f"{name} took {tries} ({step.lock_waits} ended waiting for a lock)"
            found.append(Deviation("warned", phase.notebook, text, step.verb))
    return found
