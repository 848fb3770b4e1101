"""What the rehearsal foretold of each step, beside what the target then saw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from mantis_runbook import display
from mantis_runbook.engine.results import Applied
from mantis_runbook.rehearsal.lock_recorder import strongest
from mantis_runbook.rehearsal.lock_verdict import Judged
from mantis_runbook.runs.journal import Entry

__all__ = ["beside_actual", "durations", "lock_waits", "locks", "rhythm", "spans"]


def durations(applied: Iterable[Applied]) -> dict[str, float]:
    """How long each step took in milliseconds, by version and name."""
    return {f"{one.version} {step.step}": step.duration_ms for one in applied for step in one.steps}


def lock_waits(applied: Iterable[Applied]) -> dict[str, int]:
    """How often each step had to try again for its locks, by version and name."""
    return {f"{one.version} {step.step}": step.lock_waits for one in applied for step in one.steps}


def locks(judged: Iterable[Judged]) -> dict[str, dict[str, Any]]:
    """The strongest lock of each step on a table that the application uses, by version and name.

    `held_ms` is the longest that it held one for which writers wait.
    """
    steps: dict[str, dict[str, Any]] = {}
    for locks in (
        each.locks for each in judged if each.locks.direction == "up" and each.locks.table
    ):
        seen = steps.setdefault(f"{locks.version} {locks.step}", {"mode": "", "held_ms": 0.0})
        seen["mode"] = strongest([seen["mode"], locks.mode] if seen["mode"] else [locks.mode])
        if locks.blocks_writes:
            seen["held_ms"] = max(seen["held_ms"], round(locks.held_ms, 1))
    return steps


def spans(entries: Iterable[Entry], phase: str) -> dict[str, tuple[datetime, datetime]]:
    """When each step of the phase's migration began and ended, by version and name. A step that ran
    twice is one span.
    """
    found: dict[str, tuple[datetime, datetime]] = {}
    for entry in entries:
        if entry.facts.get("phase") == phase and entry.event in ("step.started", "step.finished"):
            name = f"{entry.facts['version']} {entry.facts['step']}"
            found[name] = (found.get(name, (entry.time, entry.time))[0], entry.time)
    return found


def rhythm(rate_hz: float) -> str:
    """What a gap between two successes is worth at this rate of the probe."""
    pause = display.duration(1000 / rate_hz)
    return (
        f"The probe asks every {pause} in each lane: a gap of about {pause} is its own rhythm, and"
        " nobody waited."
    )


def beside_actual(
    rehearsed: Mapping[str, Any], migrated: Mapping[str, Any], gaps: Mapping[str, float | None]
) -> list[dict[str, Any]]:
    """A row for each step that ran on the copy and on the target: facts of both verbs, and the
    longest gap seen meanwhile.

    Milliseconds throughout; `gaps` is empty where nothing was watched.
    """
    foretold, actual = rehearsed.get("durations_ms", {}), migrated.get("durations_ms", {})
    held = rehearsed.get("locks", {})
    return [
        {
            "step": name,
            "predicted_ms": round(foretold[name], 1),
            "actual_ms": round(actual[name], 1),
            "strongest lock": held.get(name, {}).get("mode", "").removesuffix("Lock") or "none",
            "writers would wait, ms": held.get(name, {}).get("held_ms", 0.0),
            "longest gap seen, ms": gaps.get(name),
            "lock waits": migrated.get("lock_waits", {}).get(name, 0),
        }
        for name in actual
        if name in foretold
    ]
