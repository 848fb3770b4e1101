"""The engine: carrying out a migration's steps, up or back, and resuming where a run was cut off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import psycopg
import stamina

from mantis_runbook import backfill, blockers, catalog, outside
from mantis_runbook.database import GIVING_WAY, Connection, connect, is_lost, may_set, query, rows, settle
from mantis_runbook.default_rights import without_default_rights
from mantis_runbook.display import many
from mantis_runbook.errors import FenceLost, LockNotObtained, MigrationFileError, Refused, RunbookError, StepFailed
from mantis_runbook.ledger import Ledger, Pass, StepJournal, close
from mantis_runbook.lock import Fence
from mantis_runbook.migrations import Migration, Script, Statement, Step
from mantis_runbook.settings import Environment
from mantis_runbook.statements import parse_statements
from mantis_runbook.target import Target

__all__ = ["Applied", "Engine", "StepResult", "refuse_unable"]

Result = TypeVar("Result")

# The watcher tells of every wait; stamina would log each of them once more.
stamina.instrumentation.set_on_retry_hooks([])

RETRIED = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)

#: A snapshot older than this is worth waiting out, or naming, before CREATE INDEX CONCURRENTLY.
OLD_SNAPSHOT_S = 5.0

#: Between two tries for a lock at most, in seconds: `stop` is not asked meanwhile.
LONGEST_PAUSE_S = 1.0

#: What a first try waits for a lock, as a share of the lock timeout, and how that grows from try to try: others queue behind
#: every wait, and most tables are free within a few milliseconds.
FIRST_PATIENCE, MORE_PATIENCE = 0.3, 1.3

#: Between two looks at something that is waited for without a lock.
POLL_S = 0.2

#: A backfill that rested for so long in all says so.
WORTH_SAYING_S = 0.1

#: Tells the seal that this session is the rollback itself, which may write where nobody else may.
ROLLING_BACK = "mantis_runbook.rolling_back"


#: For a wait without a limit: PostgreSQL looks for a deadlock once in each wait, and one that comes about after our look would
#: end at the other's cost. Only a role that may set it has set it.
USUAL_DEADLOCK_TIMEOUT = (
    "SELECT set_config(name, reset_val, false) FROM pg_settings WHERE name = 'deadlock_timeout' AND source = 'session'"
)


class Watcher(Protocol):
    """Whoever wants to know what the engine does: the journal of the run, a progress bar, the probe's chart."""

    def __call__(self, event: str, **facts: Any) -> None: ...


class Observer(Protocol):
    """Whoever looks at a statement while it runs: the recorder of locks, in the rehearsal."""

    def __call__(
        self, connection: Connection, version: str, direction: str, step: Step, statement: Statement, /
    ) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class StepResult:
    """How one step went: its duration in milliseconds, its tries, how many of them gave a lock up, rows of a backfill.

    Each batch of a backfill has a first try that does not count: `attempts` above 1 say how often a step gave way.
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


@dataclass
class Engine:
    """Carries out migrations on one database, for the runner that holds its fence.

    `stop` is the guard's way to end the work, by raising: it is asked before every try, statement and batch, after a
    cancelled statement, and while something is waited for, so that no wait outlasts it by more than about a second.
    `watch` and `stop` are called in the thread of the work; who holds a build up is told by another one.
    `observe` is entered around each statement.
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
        """Apply a migration, or what is left of it. Raises `StepFailed` or `LockNotObtained`; the ledger says `failed`."""
        return self._carry_out(migration, "up")

    def rollback(self, migration: Migration) -> Applied:
        """Roll a migration back, from whatever state it is in."""
        return self._carry_out(migration, "rollback")

    # -- one pass ------------------------------------------------------------------------------------------------

    def _carry_out(self, migration: Migration, direction: str) -> Applied:
        began = time.monotonic()
        script = migration.up if direction == "up" else migration.rollback
        with self._connection(migration, direction) as connection:
            journal = StepJournal(connection, self.run, self.who)
            before = self._taken_up(connection, migration, direction, journal)
            try:
                results = tuple(
                    StepResult(migration.version, step.name, "done before")
                    if step.name in before.done
                    else self._step(connection, journal, migration, direction, step, before)
                    for step in script.steps
                )
                self._end(connection, journal, migration, direction)
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
    def _connection(self, migration: Migration, direction: str) -> Iterator[Connection]:
        with connect(self.target, f"migrate {migration.version}") as connection:
            # A step may DISCARD ALL, and may change what a plan was made for.
            connection.prepare_threshold = None
            self.settle(connection, direction)
            yield connection

    def settle(self, connection: Connection, direction: str) -> None:
        """The session's settings as they must be: a step before this one may have SET what it liked."""
        connection.execute("RESET ROLE")
        connection.execute("RESET ALL")
        settle(
            connection,
            lock_timeout=f"{self.environment.lock_timeout_ms}ms",
            **GIVING_WAY,
            **{ROLLING_BACK: "on" if direction == "rollback" else "off"},
        )

    def _taken_up(self, connection: Connection, migration: Migration, direction: str, journal: StepJournal) -> Pass:
        try:
            return self._take_up(connection, migration, direction, journal)
        except psycopg.errors.QueryCanceled:
            self.stop()  # the guard's reason, if it was the guard; nothing was begun
            raise

    def _take_up(self, connection: Connection, migration: Migration, direction: str, journal: StepJournal) -> Pass:
        """Begin a pass, or go on with the one that was cut off. The catalogue before it is kept, for the rollback."""
        self.fence.check(connection, in_transaction=False)
        ledger = Ledger(connection).require()
        row, last = ledger.all().get(migration.version), journal.last_pass(migration.version)
        _refuse_impossible(migration, direction, row.status if row else None, last)
        resumed = last if last is not None and last.is_open and last.direction == direction else None
        if resumed:
            _refuse_edited(migration, migration.up if direction == "up" else migration.rollback, resumed)
        seen = {} if resumed else {"catalog": self._catalog(connection)}
        with connection.transaction():
            self.fence.check(connection, in_transaction=True)
            close(connection)
            ledger.set(migration, "running")
            if not resumed:
                journal.write(migration.version, direction, "begun", detail=seen)
        return resumed or Pass(direction)

    def _end(self, connection: Connection, journal: StepJournal, migration: Migration, direction: str) -> None:
        """The last row of a pass; after one up with the catalogue, so that a rollback tells its own from others' work."""
        self.settle(connection, direction)
        seen = {"catalog": self._catalog(connection)} if direction == "up" else {}
        with connection.transaction():
            self.fence.check(connection, in_transaction=True)
            journal.write(migration.version, direction, "ended", detail=seen)
            Ledger(connection).set(migration, "completed" if direction == "up" else "rolled_back")

    def _catalog(self, connection: Connection) -> str:
        """The catalogue as JSON. Reading a definition waits for locks on its table, and gives way like a step."""
        in_the_way = dict[int, str]()
        deadline_s = self.environment.step_deadline_s
        try:
            for attempt in stamina.retry_context(on=RETRIED, attempts=None, timeout=deadline_s, wait_max=1.0):
                self.stop()
                with attempt, blockers.naming(self.target, connection, in_the_way):
                    return catalog.snapshot(connection).to_json()
        except RETRIED as error:
            raise LockNotObtained(
                "the catalogue cannot be read",
                found=f"tables locked for {deadline_s} s by {'; '.join(in_the_way.values()) or _first_line(error)}",
                expected="tables that can be read",
                action="end or wait for the sessions named, then run again",
            ) from error
        raise AssertionError("unreachable")

    def _fail(self, migration: Migration) -> None:
        """Say `failed`, by a session of its own: the step's may be gone. Without a server the next run reads the journal."""
        with (
            suppress(psycopg.Error, RunbookError),
            connect(self.target, "ledger") as connection,
            connection.transaction(),
        ):
            self.fence.check(connection, in_transaction=True)
            Ledger(connection).set(migration, "failed")

    # -- one step ------------------------------------------------------------------------------------------------

    def _step(
        self,
        connection: Connection,
        journal: StepJournal,
        migration: Migration,
        direction: str,
        step: Step,
        before: Pass,
    ) -> StepResult:
        """Carry a step out and journal it; the watcher hears of start, progress and end."""
        self.watch("step.started", version=migration.version, direction=direction, step=step.name)
        work = _Work(self, connection, journal, migration.version, direction, step)
        began = time.monotonic()
        try:
            self.settle(connection, direction)
            if step.batched_over:
                work.in_batches(before.last_key.get(step.name))
            elif step.for_each_row:
                work.for_each_row()
            elif step.transactional:
                work.in_one_transaction()
            else:
                work.outside_a_transaction(was_started=step.name in before.started)
        except Exception as error:
            self.watch(
                "step.finished",
                version=migration.version,
                step=step.name,
                state="failed",
                attempts=work.attempts,
                lock_waits=work.lock_waits,
                duration_ms=round((time.monotonic() - began) * 1000, 1),
                error=_first_line(error),
            )
            self.stop()  # a statement that the guard cancelled ended for the guard's reason
            raise
        result = StepResult(
            migration.version,
            step.name,
            "done",
            (time.monotonic() - began) * 1000,
            work.attempts,
            work.lock_waits,
            work.rows,
            work.note,
        )
        self.watch(
            "step.finished",
            version=migration.version,
            direction=direction,
            step=step.name,
            state="done",
            duration_ms=round(result.duration_ms, 1),
            attempts=result.attempts,
            lock_waits=result.lock_waits,
            rows=result.rows,
            statement_sha256=step.sha256,
            note=result.note,
        )
        return result


@dataclass
class _Work:
    """One step while it is being carried out."""

    engine: Engine
    connection: Connection
    journal: StepJournal
    version: str
    direction: str
    step: Step
    attempts: int = 0
    lock_waits: int = 0
    rows: int = 0
    note: str = ""
    was_started: bool = False
    waits: int = 0
    in_the_way: dict[int, str] = field(default_factory=dict)

    def in_one_transaction(self) -> None:
        """All statements and the journal's row commit together."""
        self._retried(self._transaction)

    def _transaction(self) -> None:
        began = time.monotonic()
        with self.connection.transaction():
            self._limit_statements()
            self.engine.fence.check(self.connection, in_transaction=True)
            for statement in self.step.statements:
                self.engine.stop()
                with without_default_rights(self.connection, statement), self._observed(statement):
                    self.connection.execute(statement.text)
            self.connection.execute("RESET ROLE")
            self._journal("done", duration_ms=(time.monotonic() - began) * 1000)

    def outside_a_transaction(self, *, was_started: bool) -> None:
        """A statement that the server refuses inside a transaction: journalled before and after.

        What became of a try before this one, the catalogue decides: done, half, not begun.
        """
        self.was_started = was_started
        self._retried(lambda: self._outside(self.step.statements[0]))

    def for_each_row(self) -> None:
        """The statements that the step's SELECT finds, one after the other; a cut run finds those that are left."""
        question, made = self.step.statements[0], 0
        began = time.monotonic()
        for (text,) in self._retried(lambda: self.connection.execute(question.text).fetchall()):
            [statement] = parse_statements(text)
            if statement.kind not in {"IndexStmt", "DropStmt"} or not statement.outside_transaction:
                raise StepFailed(
                    f"step {self.step.name!r} of migration {self.version} found what it may not run",
                    found=statement.summary,
                    expected="CREATE INDEX CONCURRENTLY or DROP INDEX CONCURRENTLY",
                    action="correct the SELECT of the step",
                )
            self.was_started = False
            self._retried(partial(self._outside, statement, ends_step=False))
            made += 1
        self.note = f"{many(made, 'statement')} found in the catalogue"
        self._retried(lambda: self._record("done", duration_ms=(time.monotonic() - began) * 1000, note=self.note))

    def _outside(self, statement: Statement, *, ends_step: bool = True) -> None:
        self.engine.fence.check(self.connection, in_transaction=False)
        if outside.needs_young_snapshots(statement):
            self._wait_for_old_snapshots()
        trace = self._trace(statement)
        if trace.is_done and self.was_started:
            self.note = "found complete"
            if ends_step:
                self._record("done", note=self.note)
            return
        if trace.is_done and statement.kind == "IndexStmt":
            raise StepFailed(
                f"index {trace.name} already exists",
                found=trace.detail,
                expected="no index of that name",
                action="drop or rename it, if it is a leftover of earlier tooling",
            )
        self.note = trace.detail
        if not self.was_started:
            self._record("started")
            self.was_started = True
        began = time.monotonic()
        with self._observed(statement):
            for text in (*trace.repairs, trace.instead or statement.text):
                self._execute_outside(text, concurrently=outside.waits_without_blocking(statement))
        if ends_step:
            self._record("done", duration_ms=(time.monotonic() - began) * 1000)

    def _execute_outside(self, text: str, *, concurrently: bool) -> None:
        """One statement in autocommit, under a deadline; CONCURRENTLY waits for others without blocking anybody."""
        deadline_s = self.engine.environment.concurrently_deadline_s
        self._set(statement_timeout=f"{deadline_s}s", **({"lock_timeout": "0"} if concurrently else {}))
        if concurrently:
            self.connection.execute(USUAL_DEADLOCK_TIMEOUT)
        began = time.monotonic()
        self.waits = 0  # the first word of who holds it up is news, whatever was waited for before
        found = dict[int, str]() if concurrently else self.in_the_way  # without a lock timeout there is but one wait
        try:
            with blockers.naming(
                self.engine.target,
                self.connection,
                found,
                tell=self._progress,
                held=self._held_up,
                keep=not concurrently,
            ):
                self.connection.execute(text)
        except psycopg.errors.QueryCanceled:
            if time.monotonic() - began < deadline_s:
                raise
            raise LockNotObtained(
                f"step {self.step.name!r} of {self.version} did not end within its deadline",
                found="; ".join(found.values()) or "no blocker, only work",
                expected=f"{deadline_s} s (concurrently_deadline_s)",
                action="end the sessions named, then run again: it resumes at this step",
            ) from None
        finally:
            if not self.connection.broken and not self.connection.closed:
                self.engine.settle(self.connection, self.direction)

    def in_batches(self, last_key: str | None) -> None:
        """A backfill: each batch commits with its journal row, so a cut run goes on at the key it reached."""
        table, began = self.step.batched_over, time.monotonic()
        assert table is not None
        estimate = self.connection.execute(
            "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(%s)", (table,)
        )
        total = (estimate.fetchone() or (0,))[0]
        seen = 0
        pace = self.engine.environment.batch_target_ms
        courtesy, worked, rested_s = backfill.Courtesy(self.connection, self.engine.stop), time.monotonic(), 0.0
        for batch in backfill.batches(
            self.connection, table, after=last_key, target_ms=pace, run=self._one_batch, patiently=self._retried
        ):
            seen += batch.size
            self._progress(min(seen, total), total)
            rested_s += courtesy.rest(time.monotonic() - worked)
            rested_s += backfill.pause_while_pressed(self.connection, stop=self.engine.stop)
            worked = time.monotonic()
        if rested_s >= WORTH_SAYING_S:
            self.note = f"{rested_s:.1f} s of it at rest while others worked"
        self._retried(lambda: self._record("done", duration_ms=(time.monotonic() - began) * 1000))

    def _progress(self, done: int, total: int) -> None:
        self.engine.watch("step.progress", version=self.version, step=self.step.name, rows=done, of=total)

    def _one_batch(self, batch: backfill.Batch) -> None:
        with self.connection.transaction():
            self._limit_statements()
            self.engine.fence.check(self.connection, in_transaction=True)
            if self.step.without_triggers:
                self.connection.execute("SET LOCAL session_replication_role = replica")
            with psycopg.RawCursor(self.connection) as cursor, self._observed(self.step.statements[0]):
                cursor.execute(self.step.statements[0].text, (batch.lower, batch.upper))
                changed = cursor.rowcount
            self._journal("batch", last_key=batch.upper, rows=changed)
        self.rows += changed

    # -- tries and limits ----------------------------------------------------------------------------------------

    def _retried(self, work: Callable[[], Result]) -> Result:
        """Try, give way, try again, until the step's deadline; then say who was in the way."""
        limits = self.engine.environment
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
            named = "; ".join(self.in_the_way.values()) or _first_line(error)
            raise LockNotObtained(
                f"step {self.step.name!r} of {self.version} did not get its lock",
                expected="a free table",
                found=f"{self.lock_waits} tries in {limits.step_deadline_s} s; in the way: {named}",
                action=f"end or wait for the sessions named{_of_autovacuum(named)}; then run again: it resumes at this step",
            ) from error
        raise AssertionError("unreachable")

    def _observed(self, statement: Statement) -> AbstractContextManager[None]:
        return self.engine.observe(self.connection, self.version, self.direction, self.step, statement)

    def _try(self, work: Callable[[], Result]) -> Result:
        self.engine.stop()
        self.attempts = 1 + self.lock_waits
        # The first try is alone: naming blockers costs a session, and most steps never wait.
        naming = (
            blockers.naming(self.engine.target, self.connection, self.in_the_way)
            if self.lock_waits and self.step.transactional
            else nullcontext()
        )
        try:
            with naming, self._errors_named():
                return work()
        except RETRIED:
            self.lock_waits += 1
            self._waiting(*self.in_the_way.values())
            raise

    def _waiting(self, *named: str) -> None:
        """Asked to stop, or else told on: this is what the work does between two tries."""
        self.engine.stop()
        self._held_up(named)

    def _held_up(self, named: Sequence[str]) -> None:
        """Tell who is in the way. Never asks to stop: the thread that looks for blockers calls this too."""
        self.waits += 1
        self.engine.watch(
            "step.waiting", version=self.version, step=self.step.name, attempt=self.waits, blockers=list(named)
        )

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        """An SQL error becomes one that names the step; locks and lost connections keep their own meaning."""
        try:
            yield
        except RETRIED:
            raise
        except psycopg.Error as error:
            if is_lost(self.connection, error):
                raise
            raise self._failed(error) from error

    def _failed(self, error: psycopg.Error) -> StepFailed:
        detail = error.diag.message_detail
        left = "; its earlier batches stay" if self.step.batched_over else ", and left nothing behind"
        return StepFailed(
            f"step {self.step.name!r} of migration {self.version} failed" + (left if self.step.transactional else ""),
            found=f"{error.diag.message_primary or _first_line(error)}"
            + (f" ({detail})" if detail else "")
            + f" [SQLSTATE {error.sqlstate}]",
            action="correct the cause and run again, or roll back with `mantis-runbook rollback " + self.version + "`",
        )

    def _limit_statements(self) -> None:
        limits = self.engine.environment
        patience_ms = limits.lock_timeout_ms * min(1.0, FIRST_PATIENCE * MORE_PATIENCE**self.lock_waits)
        self.connection.execute(
            "SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true)",
            (f"{limits.statement_timeout_s}s", f"{patience_ms:.0f}ms"),
        )

    def _set(self, **values: str) -> None:
        for name, value in values.items():
            self.connection.execute("SELECT set_config(%s, %s, false)", (name, value))

    # -- outside a transaction -----------------------------------------------------------------------------------

    def _trace(self, statement: Statement) -> outside.Trace:
        """What the catalogue says of the statement, once nobody else is at it: the session of a dead runner ends soon."""
        deadline = time.monotonic() + self.engine.environment.step_deadline_s
        while (trace := outside.trace(self.connection, statement)).busy:
            self._waiting(trace.busy)
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
        """An old snapshot anywhere in this database would hold the build up for its whole life: wait, then name it."""
        deadline = time.monotonic() + self.engine.environment.step_deadline_s
        while found := rows(self.connection, query("engine/old_snapshots"), {"older_than_s": OLD_SNAPSHOT_S}):
            named = [f"{row['holder']}, {row['age_s']:.0f} s old" for row in found]
            self._waiting(*named)
            if time.monotonic() > deadline:
                raise LockNotObtained(
                    f"step {self.step.name!r} of {self.version} cannot build its index",
                    found="; ".join(named),
                    expected="no transaction older than the build",
                    action="end or wait for them, then run again",
                )
            time.sleep(POLL_S)

    # -- the journal ---------------------------------------------------------------------------------------------

    def _record(self, state: str, duration_ms: float | None = None, **detail: Any) -> None:
        """A row of its own, written only while the fence is ours."""
        with self.connection.transaction():
            self.engine.fence.check(self.connection, in_transaction=True)
            self._journal(state, duration_ms, **detail)

    def _journal(self, state: str, duration_ms: float | None = None, **detail: Any) -> None:
        self.journal.write(
            self.version,
            self.direction,
            state,
            self.step.name,
            connection=self.connection,
            statement_sha256=self.step.sha256,
            duration_ms=duration_ms,
            attempts=self.attempts,
            lock_waits=self.lock_waits,
            detail=detail,
        )


def _of_autovacuum(named: str) -> str:
    """What hastens it where it is in the way: our role may not, or it would have given way."""
    return ", or GRANT SET ON PARAMETER deadlock_timeout TO our role" if "autovacuum worker" in named else ""


def refuse_unable(connection: Connection, migrations: Iterable[Migration]) -> None:
    """Raise `Refused` when a migration, on its way up or back, needs a right that our role does not have."""
    scripts = [script for one in migrations for script in (one.up, one.rollback)]
    needs = [script.path.name for script in scripts if any(step.without_triggers for step in script.steps)]
    if needs and not may_set(connection, "session_replication_role"):
        raise Refused(
            f"{' and '.join(needs)} fill columns without firing triggers",
            found="a role that may not SET session_replication_role",
            expected="a superuser, or a role that was granted it (PostgreSQL 15 or newer)",
            action="GRANT SET ON PARAMETER session_replication_role TO this role",
        )


def _refuse_impossible(migration: Migration, direction: str, status: str | None, last: Pass | None) -> None:
    """Nothing was written by then: what is refused changes nothing."""
    if direction == "up" and status == "completed":
        raise Refused(f"migration {migration.version} is already applied", action="nothing is left to do")
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
    """Raise `MigrationFileError` when a step, or a part of one, was carried out that the file no longer has as it was."""
    now = {step.name: step.sha256 for step in script.steps}
    for name, was in resumed.carried_out.items():
        if now.get(name) != was:
            raise MigrationFileError(
                f"step {name!r} of migration {migration.version} was edited after it was carried out",
                found=f"SHA-256 {now[name][:12]}…" if name in now else f"no such step in {script.path.name}",
                expected=f"{str(was)[:12]}… as in the journal",
                action=f"restore the file, or roll back first with `mantis-runbook rollback {migration.version}`",
            )


def _cut_off(migration: Migration, error: psycopg.Error) -> StepFailed:
    return StepFailed(
        f"migration {migration.version} was cut off",
        found=" ".join(str(error).split()) or type(error).__name__,
        expected="the server to answer",
        action="run again: it resumes at the step it was cut off in",
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
