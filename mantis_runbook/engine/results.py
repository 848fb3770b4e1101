"""How carrying out a migration went, a result a step, and who is told of it meanwhile."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from mantis_runbook.migrations.files import Statement, Step
from mantis_runbook.postgres.connection import Connection

__all__ = ["Applied", "Observer", "StepResult", "Watcher", "first_line"]


class Watcher(Protocol):
    """Whoever wants to know what the engine does: the journal of the run, a progress bar, the
    probe's chart.
    """

    def __call__(self, event: str, **facts: Any) -> None: ...


class Observer(Protocol):
    """Whoever looks at a statement while it runs: the recorder of locks, in the rehearsal."""

    def __call__(
        self,
        connection: Connection,
        version: str,
        direction: str,
        step: Step,
        statement: Statement,
        /,
    ) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class StepResult:
    """How one step went: its duration in milliseconds, its tries, how many of them gave a lock up,
    rows of a backfill.

    Each batch of a backfill has a first try that does not count: `attempts` above 1 say how often a
    step gave way.
    """

    version: str
    step: str
    state: str
    duration_ms: float = 0.0
    attempts: int = 0
    lock_waits: int = 0
    rows: int = 0
    note: str = ""


@dataclass(frozen=True)
class Applied:
    """A migration carried out in one direction."""

    version: str
    direction: str
    steps: tuple[StepResult, ...]
    duration_ms: float

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record a step, as notebooks and reports show it."""
        return [
            {
                "migration": self.version,
                "step": step.step,
                "state": step.state,
                "duration_ms": round(step.duration_ms, 1),
                "attempts": step.attempts,
                "lock_waits": step.lock_waits,
                "rows": step.rows,
                "note": step.note,
            }
            for step in self.steps
        ]


def first_line(error: BaseException) -> str:
    """What an error says first, or its kind where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)
