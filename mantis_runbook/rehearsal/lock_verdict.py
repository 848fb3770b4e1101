"""Whether an environment can bear the locks of a statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mantis_runbook.rehearsal.lock_recorder import StatementLocks
from mantis_runbook.settings import Environment

__all__ = ["Judged", "judge"]

MEGABYTE = 2**20

Word = Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class Judged:
    """A statement's locks, with a verdict: pass, warn or fail, and why."""

    locks: StatementLocks
    verdict: Word
    reason: str = ""

    @property
    def record(self) -> dict[str, Any]:
        return {"verdict": self.verdict, **self.locks.record, "why": self.reason}


def judge(locks: StatementLocks, environment: Environment) -> Judged:
    """Whether the environment can bear what a statement does to a table. Pure.

    Red: readers or writers wait while a table larger than `locked_table_mb` is rewritten or
    scanned, or for as long as the guard would let nothing be answered (`longest_gap_ms`). Amber:
    they wait longer than one of ours may.
    """
    if not locks.blocks_writes:
        return Judged(locks, "pass")
    who = "readers and writers" if locks.blocks_reads else "writers"
    size = locks.table_bytes / MEGABYTE
    if (locks.rewrote or locks.scanned) and size > environment.locked_table_mb:
        what = "rewritten" if locks.rewrote else "scanned"
        return Judged(
            locks,
            "fail",
            f"{who} wait while {size:,.0f} MB are {what}, more than"
            f" {environment.locked_table_mb:g} MB",
        )
    if environment.guard.longest_gap_ms and locks.held_ms >= environment.guard.longest_gap_ms:
        allowed = f"{environment.guard.longest_gap_ms:,.10g} ms"
        return Judged(
            locks, "fail", f"{who} wait {locks.held_ms:,.0f} ms, and the guard stops at {allowed}"
        )
    if locks.held_ms > environment.lock_timeout_ms:
        return Judged(locks, "warn", f"{who} wait {locks.held_ms:,.0f} ms")
    return Judged(locks, "pass")
