"""Steps outside a transaction: one statement under a deadline, resumed as the catalogue says."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

import psycopg

from mantis_runbook.display import many
from mantis_runbook.engine import nontransactional
from mantis_runbook.engine.session import EngineSession
from mantis_runbook.engine.step import StepWork
from mantis_runbook.engine.tries import Tries
from mantis_runbook.errors import LockNotObtained, StepFailed
from mantis_runbook.migrations.files import Statement
from mantis_runbook.postgres import blockers
from mantis_runbook.postgres.connection import query, rows
from mantis_runbook.postgres.statements import parse_statements

__all__ = ["OutsideWork"]

#: A snapshot older than this is worth waiting out, or naming, before CREATE INDEX CONCURRENTLY.
OLD_SNAPSHOT_S = 5.0

#: Between two looks at something that is waited for without a lock.
POLL_S = 0.2

#: For a wait without a limit: PostgreSQL looks for a deadlock once in each wait, and one that comes
#: about after our look would end at the other's cost. Only a role that may set it has set it.
USUAL_DEADLOCK_TIMEOUT = (
    "SELECT set_config(name, reset_val, false) FROM pg_settings WHERE name = 'deadlock_timeout' AND"
    " source = 'session'"
)


@dataclass
class OutsideWork:
    """A step whose statements the server refuses inside a transaction; `was_started` by a try that
    was cut off.
    """

    work: StepWork
    was_started: bool = False

    @property
    def session(self) -> EngineSession:
        """The session that carries it out."""
        return self.work.session

    @property
    def tries(self) -> Tries:
        """The tries of the step."""
        return self.work.tries

    def one_statement(self) -> None:
        """The step's statement, journalled before and after.

        What became of a try before this one, the catalogue decides: done, half, not begun.
        """
        self.tries.retried(lambda: self._outside(self.work.step.statements[0]))

    def for_each_row(self) -> None:
        """The statements that the step's SELECT finds, one after the other; a cut run finds those
        that are left.
        """
        question, done = self.work.step.statements[0], 0
        began = time.monotonic()
        for (text,) in self.tries.retried(
            lambda: self.session.connection.execute(question.text).fetchall()
        ):
            [statement] = parse_statements(text)
            if statement.kind not in {"IndexStmt", "DropStmt"} or not statement.outside_transaction:
                raise StepFailed(
                    f"step {self.work.step.name!r} of migration {self.work.version} found what it"
                    " may not run",
                    found=statement.summary,
                    expected="CREATE INDEX CONCURRENTLY or DROP INDEX CONCURRENTLY",
                    action="correct the SELECT of the step",
                )
            self.was_started = False
            self.tries.retried(partial(self._outside, statement, ends_step=False))
            done += 1
        self.work.note = f"{many(done, 'statement')} found in the catalogue"
        self.tries.retried(
            lambda: self.work.record(
                "done", duration_ms=(time.monotonic() - began) * 1000, note=self.work.note
            )
        )

    def _outside(self, statement: Statement, *, ends_step: bool = True) -> None:
        self.session.check_fence(in_transaction=False)
        if nontransactional.needs_young_snapshots(statement):
            self._wait_for_old_snapshots()
        trace = self._trace(statement)
        if trace.is_done and self.was_started:
            self.work.note = "found complete"
            if ends_step:
                self.work.record("done", note=self.work.note)
            return
        if trace.is_done and statement.kind == "IndexStmt":
            raise StepFailed(
                f"index {trace.name} already exists",
                found=trace.detail,
                expected="no index of that name",
                action="drop or rename it, if it is a leftover of earlier tooling",
            )
        self.work.note = trace.detail
        if not self.was_started:
            self.work.record("started")
            self.was_started = True
        began = time.monotonic()
        with self.work.observed(statement):
            for text in (*trace.repairs, trace.instead or statement.text):
                self._execute_outside(
                    text, concurrently=nontransactional.waits_without_blocking(statement)
                )
        if ends_step:
            self.work.record("done", duration_ms=(time.monotonic() - began) * 1000)

    def _execute_outside(self, text: str, *, concurrently: bool) -> None:
        """One statement in autocommit, under a deadline; CONCURRENTLY waits for others without
        blocking anybody.
        """
        deadline_s = self.session.limits.concurrently_deadline_s
        self._set(
            statement_timeout=f"{deadline_s}s", **({"lock_timeout": "0"} if concurrently else {})
        )
        if concurrently:
            self.session.connection.execute(USUAL_DEADLOCK_TIMEOUT)
        began = time.monotonic()
        # Who holds it up is news when first heard, whatever was waited for before.
        self.tries.waits = 0
        # Without a lock timeout there is only one wait.
        in_the_way = dict[int, str]() if concurrently else self.tries.in_the_way
        try:
            with blockers.naming(
                self.session.target,
                self.session.connection,
                in_the_way,
                tell=self.work.progress,
                held=self.tries.held_up,
                keep=not concurrently,
            ):
                self.session.connection.execute(text)
        except psycopg.errors.QueryCanceled:
            if time.monotonic() - began < deadline_s:
                raise
            raise LockNotObtained(
                f"step {self.work.step.name!r} of {self.work.version} did not end within its"
                " deadline",
                found="; ".join(in_the_way.values()) or "no blocker, only work",
                expected=f"{deadline_s} s (concurrently_deadline_s)",
                action="end the sessions named, then run again: it resumes at this step",
            ) from None
        finally:
            if not self.session.connection.broken and not self.session.connection.closed:
                self.session.settle()

    def _set(self, **values: str) -> None:
        for name, value in values.items():
            self.session.connection.execute("SELECT set_config(%s, %s, false)", (name, value))

    def _trace(self, statement: Statement) -> nontransactional.Trace:
        """What the catalogue says of the statement, once nobody else is at it: the session of a
        dead runner ends soon.
        """
        deadline = time.monotonic() + self.session.limits.step_deadline_s
        while (trace := nontransactional.trace(self.session.connection, statement)).busy:
            self.tries.waiting(trace.busy)
            if time.monotonic() > deadline:
                raise LockNotObtained(
                    f"index {trace.name} is being built by another session",
                    found=trace.busy,
                    expected="no other build of it",
                    action="wait for it to end, or end that session; then run again",
                )
            time.sleep(POLL_S)
        return trace

    def _wait_for_old_snapshots(self) -> None:
        """An old snapshot anywhere in this database would hold the build up for its whole life:
        wait, then name it.
        """
        deadline = time.monotonic() + self.session.limits.step_deadline_s
        while holders := rows(
            self.session.connection, query("engine/old_snapshots"), {"older_than_s": OLD_SNAPSHOT_S}
        ):
            named = [f"{row['holder']}, {row['age_s']:.0f} s old" for row in holders]
            self.tries.waiting(*named)
            if time.monotonic() > deadline:
                raise LockNotObtained(
                    f"step {self.work.step.name!r} of {self.work.version} cannot build its index",
                    found="; ".join(named),
                    expected="no transaction older than the build",
                    action="end or wait for them, then run again",
                )
            time.sleep(POLL_S)
