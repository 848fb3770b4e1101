"""Tries: a step gives way, tries again until its deadline, then says who was in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg
import stamina

from mantis_runbook.engine.results import first_line
from mantis_runbook.engine.session import EngineSession
from mantis_runbook.errors import LockNotObtained, StepFailed
from mantis_runbook.migrations.files import Step
from mantis_runbook.postgres import blockers, catalog
from mantis_runbook.postgres.connection import is_lost

__all__ = ["RETRIED", "Tries", "catalog_of"]

Result = TypeVar("Result")

# The watcher tells of every wait; stamina would log each of them once more.
stamina.instrumentation.set_on_retry_hooks([])

RETRIED = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)

#: Between two tries for a lock at most, in seconds: `stop` is not asked meanwhile.
LONGEST_PAUSE_S = 1.0

#: What a first try waits for a lock, as a share of the lock timeout, and how that grows from try to
#: try: others queue behind every wait, and most tables are free within a few milliseconds.
FIRST_PATIENCE, MORE_PATIENCE = 0.3, 1.3


@dataclass
class Tries:
    """The tries of one step: how often it began and gave a lock up, and who is in the way."""

    session: EngineSession
    version: str
    step: Step
    attempts: int = 0
    lock_waits: int = 0
    waits: int = 0
    in_the_way: dict[int, str] = field(default_factory=dict)

    def retried(self, work: Callable[[], Result]) -> Result:
        """Try, give way, try again, until the step's deadline; then say who was in the way."""
        limits = self.session.limits
        self.in_the_way.clear()
        pause = limits.retry_pause_ms / 1000
        tries = stamina.retry_context(
            on=RETRIED,
            attempts=None,
            timeout=limits.step_deadline_s,
            wait_initial=pause,
            wait_max=min(4 * pause, LONGEST_PAUSE_S),
            wait_jitter=pause,
            wait_exp_base=1.5,
        )
        try:
            for attempt in tries:
                with attempt:
                    return self._try(work)
        except RETRIED as error:
            named = "; ".join(self.in_the_way.values()) or first_line(error)
            raise LockNotObtained(
                f"step {self.step.name!r} of {self.version} did not get its lock",
                expected="a free table",
                found=f"{self.lock_waits} tries in {limits.step_deadline_s} s; in the way: {named}",
                action=(
                    f"end or wait for the sessions named{_of_autovacuum(named)}; then run again: it"
                    " resumes at this step"
                ),
            ) from error
        raise AssertionError("unreachable")

    def _try(self, work: Callable[[], Result]) -> Result:
        self.session.stop()
        self.attempts = 1 + self.lock_waits
        # The first try is alone: naming blockers costs a session, and most steps never wait.
        naming = (
            blockers.naming(self.session.target, self.session.connection, self.in_the_way)
            if self.lock_waits and self.step.transactional
            else nullcontext()
        )
        try:
            with naming, self._errors_named():
                return work()
        except RETRIED:
            self.lock_waits += 1
            self.waiting(*self.in_the_way.values())
            raise

    def waiting(self, *named: str) -> None:
        """Asked to stop, or else told on: this is what the work does between two tries."""
        self.session.stop()
        self.held_up(named)

    def held_up(self, named: Sequence[str]) -> None:
        """Tell who is in the way.

        Never asks to stop: the thread that looks for blockers calls this too.
        """
        self.waits += 1
        self.session.watch(
            "step.waiting",
            version=self.version,
            step=self.step.name,
            attempt=self.waits,
            blockers=list(named),
        )

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        """An SQL error becomes one that names the step; locks and lost connections keep their own
        meaning.
        """
        try:
            yield
        except RETRIED:
            raise
        except psycopg.Error as error:
            if is_lost(self.session.connection, error):
                raise
            raise self._failed(error) from error

    def _failed(self, error: psycopg.Error) -> StepFailed:
        detail = error.diag.message_detail
        left = (
            "; its earlier batches stay" if self.step.batched_over else ", and left nothing behind"
        )
        return StepFailed(
            f"step {self.step.name!r} of migration {self.version} failed"
            + (left if self.step.transactional else ""),
            found=f"{error.diag.message_primary or first_line(error)}"
            + (f" ({detail})" if detail else "")
            + f" [SQLSTATE {error.sqlstate}]",
            action="correct the cause and run again, or roll back with `mantis-runbook rollback "
            + self.version
            + "`",
        )

    def limit_statements(self) -> None:
        """Limit the transaction's statements and their lock waits: longer with every try."""
        limits = self.session.limits
        patience_ms = limits.lock_timeout_ms * min(
            1.0, FIRST_PATIENCE * MORE_PATIENCE**self.lock_waits
        )
        self.session.connection.execute(
            "SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s,"
            " true)",
            (f"{limits.statement_timeout_s}s", f"{patience_ms:.0f}ms"),
        )


def _of_autovacuum(named: str) -> str:
    """What hastens it where it is in the way: our role may not, or it would have given way."""
    return (
        ", or GRANT SET ON PARAMETER deadlock_timeout TO our role"
        if "autovacuum worker" in named
        else ""
    )


def catalog_of(session: EngineSession) -> str:
    """The catalogue as JSON. Raises `LockNotObtained`.

    Reading a definition waits for locks on its table, and gives way like a step.
    """
    in_the_way = dict[int, str]()
    deadline_s = session.limits.step_deadline_s
    try:
        for attempt in stamina.retry_context(
            on=RETRIED, attempts=None, timeout=deadline_s, wait_max=1.0
        ):
            session.stop()
            with attempt, blockers.naming(session.target, session.connection, in_the_way):
                return catalog.snapshot(session.connection).to_json()
    except RETRIED as error:
        raise LockNotObtained(
            "the catalogue cannot be read",
            found=(
                f"tables locked for {deadline_s} s by"
                f" {'; '.join(in_the_way.values()) or first_line(error)}"
            ),
            expected="tables that can be read",
            action="end or wait for the sessions named, then run again",
        ) from error
    raise AssertionError("unreachable")
