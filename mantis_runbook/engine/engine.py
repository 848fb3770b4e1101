"""The engine: carrying out a migration's steps, up or back, and resuming a run that was cut off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

import psycopg

from mantis_runbook.engine.fence import Fence
from mantis_runbook.engine.ledger import Ledger, close
from mantis_runbook.engine.nontransactional_step import OutsideWork
from mantis_runbook.engine.results import Applied, Observer, StepResult, Watcher, first_line
from mantis_runbook.engine.session import EngineSession
from mantis_runbook.engine.step import StepWork
from mantis_runbook.engine.step_journal import Pass, StepJournal
from mantis_runbook.engine.tries import Tries, catalog_of
from mantis_runbook.errors import (
    FenceLost,
    MigrationFileError,
    Refused,
    RunbookError,
    StepFailed,
)
from mantis_runbook.migrations.files import Migration, Script, Step
from mantis_runbook.postgres.connection import Connection, connect, may_set
from mantis_runbook.postgres.target import Target
from mantis_runbook.settings import Environment

__all__ = ["Engine", "refuse_unable"]


@dataclass
class Engine:
    """Carries out migrations on one database, for the runner that holds its fence.

    `stop` is the guard's way to end the work, by raising: it is asked before every try, statement
    and batch, after a cancelled statement, and while something is waited for, so that no wait
    outlasts it by more than about a second. `watch` and `stop` are called in the thread of the
    work; who holds a build up is told by another one. `observe` is entered around each statement.
    """

    target: Target
    environment: Environment
    run: str
    who: str
    fence: Fence
    watch: Watcher = field(default=lambda event, **facts: None)
    stop: Callable[[], None] = field(default=lambda: None)
    observe: Observer = field(default=lambda *seen: nullcontext())

    def up(self, migration: Migration) -> Applied:
        """Apply a migration, or what is left of it.

        Raises `StepFailed` or `LockNotObtained`; the ledger says `failed`.
        """
        return self._carry_out(migration, "up")

    def rollback(self, migration: Migration) -> Applied:
        """Roll a migration back, from whatever state it is in."""
        return self._carry_out(migration, "rollback")

    # -- one pass ----------------------------------------------------------------------------------

    def _carry_out(self, migration: Migration, direction: str) -> Applied:
        began = time.monotonic()
        script = migration.up if direction == "up" else migration.rollback
        with self._session(migration, direction) as session:
            journal = StepJournal(session.connection, self.run, self.who)
            before = self._taken_up(session, migration, journal)
            try:
                results = tuple(
                    (
                        StepResult(migration.version, step.name, "done before")
                        if step.name in before.done
                        else self._step(session, journal, migration.version, step, before)
                    )
                    for step in script.steps
                )
                self._end(session, journal, migration)
            except FenceLost:
                raise  # the ledger is another runner's by now
            except RunbookError:
                self._fail(migration)
                raise
            except psycopg.Error as error:
                self._fail(migration)
                self.stop()  # what the guard cancelled was not cut off
                raise _cut_off(migration, error) from error
        return Applied(migration.version, direction, results, (time.monotonic() - began) * 1000)

    @contextmanager
    def _session(self, migration: Migration, direction: str) -> Iterator[EngineSession]:
        with connect(self.target, f"migrate {migration.version}") as connection:
            # A step may DISCARD ALL, and may change what a plan was made for.
            connection.prepare_threshold = None
            session = EngineSession(
                connection=connection,
                direction=direction,
                target=self.target,
                limits=self.environment,
                fence=self.fence,
                watch=self.watch,
                stop=self.stop,
                observe=self.observe,
            )
            session.settle()
            yield session

    def _taken_up(self, session: EngineSession, migration: Migration, journal: StepJournal) -> Pass:
        try:
            return self._take_up(session, migration, journal)
        except psycopg.errors.QueryCanceled:
            self.stop()  # the guard's reason, if it was the guard; nothing was begun
            raise

    def _take_up(self, session: EngineSession, migration: Migration, journal: StepJournal) -> Pass:
        """Begin a pass, or go on with the one that was cut off.

        The catalogue before it is journalled for the rollback.
        """
        connection, direction = session.connection, session.direction
        self.fence.check(connection, in_transaction=False)
        ledger = Ledger(connection).require()
        row, last_pass = ledger.all().get(migration.version), journal.last_pass(migration.version)
        _refuse_impossible(migration, direction, row.status if row else None, last_pass)
        resumed = (
            last_pass
            if last_pass is not None and last_pass.is_open and last_pass.direction == direction
            else None
        )
        if resumed:
            _refuse_edited(
                migration, migration.up if direction == "up" else migration.rollback, resumed
            )
        detail = {} if resumed else {"catalog": catalog_of(session)}
        with connection.transaction():
            self.fence.check(connection, in_transaction=True)
            close(connection)
            ledger.set(migration, "running")
            if not resumed:
                journal.write(migration.version, direction, "begun", detail=detail)
        return resumed or Pass(direction)

    def _end(self, session: EngineSession, journal: StepJournal, migration: Migration) -> None:
        """Journal the end of a pass.

        After one up with the catalogue, so that a rollback can tell its own work from others'.
        """
        session.settle()
        connection, direction = session.connection, session.direction
        detail = {"catalog": catalog_of(session)} if direction == "up" else {}
        with connection.transaction():
            self.fence.check(connection, in_transaction=True)
            journal.write(migration.version, direction, "ended", detail=detail)
            Ledger(connection).set(migration, "completed" if direction == "up" else "rolled_back")

    def _fail(self, migration: Migration) -> None:
        """Say `failed`, by a session of its own: the step's may be gone.

        Without a server the next run reads the journal.
        """
        with (
            suppress(psycopg.Error, RunbookError),
            connect(self.target, "ledger") as connection,
            connection.transaction(),
        ):
            self.fence.check(connection, in_transaction=True)
            Ledger(connection).set(migration, "failed")

    # -- one step ----------------------------------------------------------------------------------

    def _step(
        self, session: EngineSession, journal: StepJournal, version: str, step: Step, before: Pass
    ) -> StepResult:
        """Carry a step out and journal it; the watcher hears of start, progress and end."""
        self.watch("step.started", version=version, direction=session.direction, step=step.name)
        work = StepWork(session, journal, version, step, Tries(session, version, step))
        began = time.monotonic()
        try:
            session.settle()
            _carry_out_step(work, before)
        except Exception as error:
            self.watch(
                "step.finished",
                version=version,
                step=step.name,
                state="failed",
                attempts=work.tries.attempts,
                lock_waits=work.tries.lock_waits,
                duration_ms=round((time.monotonic() - began) * 1000, 1),
                error=first_line(error),
            )
            self.stop()  # a statement that the guard cancelled ended for the guard's reason
            raise
        took_ms, tries = (time.monotonic() - began) * 1000, work.tries
        result = StepResult(
            version=version,
            step=step.name,
            state="done",
            duration_ms=took_ms,
            attempts=tries.attempts,
            lock_waits=tries.lock_waits,
            rows=work.rows,
            note=work.note,
        )
        self.watch(
            "step.finished",
            version=version,
            direction=session.direction,
            step=step.name,
            state="done",
            duration_ms=round(took_ms, 1),
            attempts=result.attempts,
            lock_waits=result.lock_waits,
            rows=result.rows,
            statement_sha256=step.sha256,
            note=result.note,
        )
        return result


def _carry_out_step(work: StepWork, before: Pass) -> None:
    """In the way that the step's kind asks for."""
    step = work.step
    if step.batched_over:
        work.in_batches(before.last_key.get(step.name))
    elif step.for_each_row:
        OutsideWork(work).for_each_row()
    elif step.transactional:
        work.in_one_transaction()
    else:
        OutsideWork(work, was_started=step.name in before.started).one_statement()


def refuse_unable(connection: Connection, migrations: Iterable[Migration]) -> None:
    """Raise `Refused` when a migration, up or back, needs a right that our role does not have."""
    scripts = [script for migration in migrations for script in (migration.up, migration.rollback)]
    needs = [
        script.path.name
        for script in scripts
        if any(step.without_triggers for step in script.steps)
    ]
    if needs and not may_set(connection, "session_replication_role"):
        raise Refused(
            f"{' and '.join(needs)} fill columns without firing triggers",
            found="a role that may not SET session_replication_role",
            expected="a superuser, or a role that was granted it (PostgreSQL 15 or newer)",
            action="GRANT SET ON PARAMETER session_replication_role TO this role",
        )


def _refuse_impossible(
    migration: Migration, direction: str, status: str | None, last: Pass | None
) -> None:
    """Nothing was written by then: what is refused changes nothing."""
    if direction == "up" and status == "completed":
        raise Refused(
            f"migration {migration.version} is already applied", action="nothing is left to do"
        )
    if direction == "up" and last is not None and last.is_open and last.direction == "rollback":
        raise Refused(
            f"migration {migration.version} is half rolled back",
            found="a rollback that was cut off",
            expected="a finished rollback",
            action=f"finish it with `mantis-runbook rollback {migration.version}`",
        )
    if direction == "rollback" and status in (None, "pending", "rolled_back"):
        raise Refused(
            f"migration {migration.version} cannot be rolled back",
            found=status or "never applied",
            expected="running, failed or completed",
            action="look at `mantis-runbook status`",
        )


def _refuse_edited(migration: Migration, script: Script, resumed: Pass) -> None:
    """Raise `MigrationFileError` when a step, or a part of one, was carried out that the file no
    longer has as it was.
    """
    now = {step.name: step.sha256 for step in script.steps}
    for name, was in resumed.carried_out.items():
        if now.get(name) != was:
            raise MigrationFileError(
                f"step {name!r} of migration {migration.version} was edited after it was"
                " carried out",
                found=(
                    f"SHA-256 {now[name][:12]}…"
                    if name in now
                    else f"no such step in {script.path.name}"
                ),
                expected=f"{str(was)[:12]}… as in the journal",
                action=(
                    "restore the file, or roll back first with `mantis-runbook rollback"
                    f" {migration.version}`"
                ),
            )


def _cut_off(migration: Migration, error: psycopg.Error) -> StepFailed:
    return StepFailed(
        f"migration {migration.version} was cut off",
        found=" ".join(str(error).split()) or type(error).__name__,
        expected="the server to answer",
        action="run again: it resumes at the step it was cut off in",
    )
