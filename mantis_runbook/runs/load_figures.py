"""What a load did, from its journal: its transactions, and the share that failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["LoadResult", "Recorded", "beyond", "left_out", "recorded", "together"]

#: As many different errors are named.
NAMED = 3


class Recorded(Protocol):
    """What is needed of a journal entry."""

    @property
    def event(self) -> str: ...

    @property
    def facts(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class LoadResult:
    """What a load did; the latency is the mean over transactions.

    `failed` transactions ended in an error, one that was retried until it succeeded is none of
    them. `skipped` ones were due and could not be begun in time.
    """

    processed: int
    failed: int
    skipped: int
    latency_ms: float
    errors: tuple[str, ...] = ()

    @property
    def due(self) -> int:
        return self.processed + self.failed + self.skipped

    @property
    def failed_share(self) -> float:
        return self.failed / self.due if self.due else 0.0

    @property
    def skipped_share(self) -> float:
        return self.skipped / self.due if self.due else 0.0

    @property
    def failures(self) -> str:
        return f"{self.failed:,} of {self.due:,} transactions of the load failed"

    @property
    def named(self) -> str:
        """Of which errors, to end a sentence with."""
        return ": " + "; ".join(self.errors[:NAMED]) if self.errors else ""


def together(spells: Iterable[LoadResult]) -> LoadResult:
    """All spells as one."""
    spells = tuple(spells)
    processed = sum(spell.processed for spell in spells)
    weighted = sum(spell.latency_ms * spell.processed for spell in spells)
    return LoadResult(
        processed=processed,
        failed=sum(spell.failed for spell in spells),
        skipped=sum(spell.skipped for spell in spells),
        latency_ms=round(weighted / processed, 2) if processed else 0.0,
        errors=tuple(dict.fromkeys(error for spell in spells for error in spell.errors)),
    )


def recorded(entries: Iterable[Recorded]) -> LoadResult:
    """The load of a run, from its journal; nothing was due where there was none."""
    spells = (entry.facts for entry in entries if entry.event == "load.progress")
    return together(
        LoadResult(
            processed=spell["processed"],
            failed=spell["failed"],
            skipped=spell["skipped"],
            latency_ms=spell["latency_ms"],
            errors=tuple(spell.get("errors", ())),
        )
        for spell in spells
    )


def left_out(entries: Iterable[Recorded]) -> dict[str, str]:
    """Scripts that the load of a run could not play from the beginning, by name, and why."""
    scripts: dict[str, str] = {}
    for entry in entries:
        if entry.event == "load.workload":
            scripts |= entry.facts.get("left_out", {})
    return scripts


def beyond(entries: Iterable[Recorded]) -> str:
    """Why a run cannot be judged by its load: more of it failed than the run's environment lets
    pass. Else empty.

    A run without that limit on record is from before there was one.
    """
    entries = tuple(entries)
    limits = next(
        (entry.facts.get("limits") for entry in entries if entry.event == "run.started"), None
    )
    allowed = limits.get("load_failures_share") if isinstance(limits, Mapping) else None
    done = recorded(entries)
    if allowed is None or done.failed_share <= allowed:
        return ""
    return f"{done.failures}, more than {100 * allowed:.10g} % (load_failures_share){done.named}"
