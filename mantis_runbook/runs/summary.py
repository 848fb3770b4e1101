"""What a run did, read from its journal: phases, verbs, steps, and what deviated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mantis_runbook.runs import load_figures, verdict
from mantis_runbook.runs.archive import EVIDENCE, started_at, target_of
from mantis_runbook.runs.deviations import Deviation, deviations
from mantis_runbook.runs.journal import Entry, Journal
from mantis_runbook.runs.phase_summary import Phase, Step, Verb, read_phase
from mantis_runbook.runs.verdict import Verdict

__all__ = ["Deviation", "Phase", "Step", "Summary", "Verb", "read", "summarise"]


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
    summary = summarise(
        Journal(folder).entries(), folder.name, target=target_of(folder), named=started_at(folder)
    )
    return summary if summary.approver else replace(summary, approver=_approver_of_evidence(folder))


def summarise(
    entries: Sequence[Entry], run: str, *, target: str = "", named: datetime | None = None
) -> Summary:
    """The summary that these entries give. `named` is the start as the folder's name has it."""
    began = _facts(entries, "run.started")
    phases = tuple(
        read_phase(entries, name, verbs) for name, verbs in verdict.declared(entries).items()
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
            deviations(entries, phases, closed=bool(ended) and not _reopened(entries))
        ),
    )


def _facts(entries: Sequence[Entry], event: str) -> dict[str, Any]:
    """The facts of all entries of that event; later ones win, since a run may be resumed."""
    merged: dict[str, Any] = {}
    for entry in entries:
        if entry.event == event:
            merged |= {
                name: value for name, value in entry.facts.items() if value not in (None, "")
            }
    return merged


def _parameters(entries: Sequence[Entry]) -> dict[str, Any]:
    """What the phases were given, from the journal; later values win."""
    merged: dict[str, Any] = {}
    for entry in entries:
        if entry.event in ("phase.started", "phase.parameters"):
            merged |= _mapping(entry.facts.get("parameters"))
    return merged


def _load(entries: Sequence[Entry]) -> dict[str, Any]:
    """All spells of the load together; empty where there was none.

    What was due and not begun in time failed, too.
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
