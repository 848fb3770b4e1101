"""The engine: carrying out a migration's steps, up or back, and resuming where a run was cut off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg
import stamina
from psycopg import sql

from mantis_runbook import backfill, catalog
from mantis_runbook.database import Connection, connect, query, rows
from mantis_runbook.errors import Failed, LockNotObtained, MigrationFileError, Refused, StepFailed
from mantis_runbook.ledger import Ledger, Pass, StepJournal
from mantis_runbook.lock import Fence
from mantis_runbook.migrations import Migration, Statement, Step
from mantis_runbook.settings import Environment
from mantis_runbook.statements import quoted, tree
from mantis_runbook.target import Target

__all__ = ["Applied", "Engine", "StepResult"]

RETRIED = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)

#: A snapshot older than this is worth waiting out, or naming, before CREATE INDEX CONCURRENTLY.
OLD_SNAPSHOT_S = 5.0


class Watcher(Protocol):
    """Whoever wants to know what the engine does: the journal of the run, a progress bar, the probe's chart."""

    def __call__(self, event: str, **facts: Any) -> None: ...


@dataclass(frozen=True)
class StepResult:
    """How one step went. Durations in milliseconds; `lock_wait_ms` is the longest single wait for a lock."""

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
    """Carries out migrations on one database, for the runner that holds its fence."""

    target: Target
    environment: Environment
    run: str
    who: str
    fence: Fence
    watch: Watcher = field(default=lambda event, **facts: None)

    def up(self, migration: Migration) -> Applied:
        """Apply a migration, or what is left of it. Raises `StepFailed` or `LockNotObtained`; the ledger says `failed`."""
        return self._carry_out(migration, "up")

    def rollback(self, migration: Migration) -> Applied:
        """Roll a migration back, from whatever state it is in."""
        return self._carry_out(migration, "rollback")

    # -- one pass ------------------------------------------------------------------------------------------------

    def _carry_out(self, migration: Migration, direction: str) -> Applied:
        began = time.monotonic()
        with connect(self.target, f"migrate {migration.version}") as connection:
            connection.execute(
                "SELECT set_config('lock_timeout', %s, false)", (f"{self.environment.lock_timeout_ms}ms",)
            )
            self.fence.check(connection, in_transaction=False)
            ledger, journal = Ledger(connection).require(), StepJournal(connection, self.run, self.who)
            before = self._take_up(connection, migration, direction, ledger, journal)
            script = migration.up if direction == "up" else migration.rollback
            results = []
            try:
                for step in script.steps:
                    if _was_done(step, before, migration):
                        results.append(StepResult(migration.version, step.name, "done before"))
                    else:
                        results.append(self._step(connection, journal, migration, direction, step, before))
            except psycopg.OperationalError as error:
                # The server may be gone: then nobody can write a row now, and the next run reads the journal.
                self._fail(ledger, migration, connection)
                raise StepFailed(
                    f"migration {migration.version} was cut off",
                    found=" ".join(str(error).split()) or type(error).__name__,
                    expected="the server to answer",
                    action="run again: it resumes at the step it was cut off in",
                ) from error
            except Failed:
                self._fail(ledger, migration, connection)
                raise
            self._end(connection, ledger, journal, migration, direction)
        return Applied(migration.version, direction, tuple(results), (time.monotonic() - began) * 1000)

    def _take_up(
        self, connection: Connection, migration: Migration, direction: str, ledger: Ledger, journal: StepJournal
    ) -> Pass:
        """Begin a pass, or go on with the one that was cut off. The catalogue before it is kept, for the rollback."""
        row, last = ledger.all().get(migration.version), journal.last_pass(migration.version)
        if direction == "up" and row and row.status == "completed":
            raise Refused(f"migration {migration.version} is already applied", action="nothing is left to do")
        if direction == "rollback" and (row is None or row.status in ("pending", "rolled_back")):
            raise Refused(
                f"migration {migration.version} cannot be rolled back",
                found=row.status if row else "never applied",
                expected="running, failed or completed",
                action="look at `mantis-runbook status`",
            )
        if direction == "up":
            ledger.set(migration, "running")
        if last is not None and last.is_open and last.direction == direction:
            return last
        if direction == "up" and last is not None and last.is_open:
            raise Refused(
                f"migration {migration.version} is half rolled back",
                found="a rollback that was cut off",
                expected="a finished rollback",
                action=f"finish it with `mantis-runbook rollback {migration.version}`",
            )
        detail = {"catalog": catalog.snapshot(connection).to_json()} if direction == "up" else {}
        journal.write(migration.version, direction, "begun", detail=detail)
        return Pass(direction)

    def _end(
        self, connection: Connection, ledger: Ledger, journal: StepJournal, migration: Migration, direction: str
    ) -> None:
        with connection.transaction():
            self.fence.check(connection, in_transaction=True)
            journal.write(migration.version, direction, "ended")
            ledger.set(migration, "completed" if direction == "up" else "rolled_back")

    def _fail(self, ledger: Ledger, migration: Migration, connection: Connection) -> None:
        if not connection.closed and not connection.broken:
            ledger.set(migration, "failed")

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
            if step.batched_over:
                work.in_batches(before.last_key.get(step.name))
            elif step.transactional:
                work.in_one_transaction()
            else:
                work.outside_a_transaction(step.name in before.started)
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

    def in_one_transaction(self) -> None:
        """All statements and the journal's row commit together."""
        self._retried(self._transaction)

    def _transaction(self) -> None:
        began = time.monotonic()
        with self.connection.transaction():
            self._limit_statements()
            self.engine.fence.check(self.connection, in_transaction=True)
            for statement in self.step.statements:
                self.connection.execute(statement.text)
            self._journal("done", duration_ms=(time.monotonic() - began) * 1000)

    def outside_a_transaction(self, was_started: bool) -> None:
        """A statement that the server refuses inside a transaction: journalled before and after."""
        statement = self.step.statements[0]
        self.engine.fence.check(self.connection, in_transaction=False)
        if _is_index_build(statement):
            self._wait_for_old_snapshots()
            if self._index_is_there(statement, was_started):
                self._journal("done", note="found complete")
                return
        self._journal("started")
        began = time.monotonic()
        self.attempts += 1
        with (
            self._no_lock_timeout(),
            self._errors_named(),
            _naming_blockers(self.engine.target, self.connection) as blockers,
        ):
            try:
                self.connection.execute(statement.text)
            except psycopg.errors.QueryCanceled:
                raise LockNotObtained(
                    f"step {self.step.name!r} of {self.version} did not end within its deadline",
                    found="; ".join(blockers) or "no blocker, only work",
                    expected=f"{self.engine.environment.concurrently_deadline_s} s (concurrently_deadline_s)",
                    action="end the sessions named, then run again: it resumes at this step",
                ) from None
        self._journal("done", duration_ms=(time.monotonic() - began) * 1000)

    def in_batches(self, last_key: str | None) -> None:
        """A backfill: each batch commits with its journal row, so a cut run goes on at the key it reached."""
        table, began = self.step.batched_over, time.monotonic()
        assert table is not None
        estimate = self.connection.execute(
            "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = %s::regclass", (table,)
        )
        total = (estimate.fetchone() or (0,))[0]
        seen = 0
        pace = self.engine.environment.batch_target_ms
        for batch in backfill.batches(self.connection, table, after=last_key, target_ms=pace, run=self._batch):
            seen += batch.size
            self.engine.watch(
                "step.progress", version=self.version, step=self.step.name, rows=min(seen, total), of=total
            )
            backfill.pause_while_pressed(self.connection)
        self._journal("done", duration_ms=(time.monotonic() - began) * 1000)

    def _batch(self, batch: backfill.Batch) -> None:
        self._retried(lambda: self._one_batch(batch))

    def _one_batch(self, batch: backfill.Batch) -> None:
        with self.connection.transaction():
            self._limit_statements()
            self.engine.fence.check(self.connection, in_transaction=True)
            if self.step.without_triggers:
                self.connection.execute("SET LOCAL session_replication_role = replica")
            with psycopg.RawCursor(self.connection) as cursor:
                cursor.execute(self.step.statements[0].text, (batch.lower, batch.upper))
                changed = cursor.rowcount
            self._journal("batch", last_key=batch.upper, rows=changed)
        self.rows += changed

    # -- tries and limits ----------------------------------------------------------------------------------------

    def _retried(self, work: Callable[[], None]) -> None:
        """Try, give way, try again, until the step's deadline; then say who was in the way."""
        limits, blockers = self.engine.environment, set[str]()
        pause = limits.retry_pause_ms / 1000
        try:
            for attempt in stamina.retry_context(
                on=RETRIED,
                attempts=None,
                timeout=limits.step_deadline_s,
                wait_initial=pause,
                wait_max=4 * pause,
                wait_jitter=pause,
                wait_exp_base=1.5,
            ):
                with attempt:
                    self._try(work, blockers)
        except RETRIED as error:
            raise LockNotObtained(
                f"step {self.step.name!r} of {self.version} did not get its lock",
                expected="a free table",
                found=f"{self.lock_waits} tries in {limits.step_deadline_s} s; in the way: {'; '.join(sorted(blockers)) or _first_line(error)}",
                action="end or wait for the sessions named, then run again: it resumes at this step",
            ) from error

    def _try(self, work: Callable[[], None], blockers: set[str]) -> None:
        self.attempts += 1
        # The first try is alone: naming blockers costs a session, and most steps never wait.
        watching = _naming_blockers(self.engine.target, self.connection, blockers) if self.lock_waits else nullcontext()
        try:
            with watching, self._errors_named():
                work()
        except RETRIED:
            self.lock_waits += 1
            self.engine.watch(
                "step.waiting",
                version=self.version,
                step=self.step.name,
                attempt=self.attempts,
                blockers=sorted(blockers),
            )
            raise

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        """An SQL error becomes one that names the step; locks and lost connections keep their own meaning."""
        try:
            yield
        except (*RETRIED, psycopg.OperationalError) as error:
            if isinstance(error, psycopg.errors.QueryCanceled):
                raise self._failed(error) from error
            raise
        except psycopg.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: psycopg.Error) -> StepFailed:
        detail = error.diag.message_detail
        return StepFailed(
            f"step {self.step.name!r} of migration {self.version} failed, and left nothing behind"
            if self.step.transactional
            else f"step {self.step.name!r} of migration {self.version} failed",
            found=f"{error.diag.message_primary or _first_line(error)}"
            + (f" ({detail})" if detail else "")
            + f" [SQLSTATE {error.sqlstate}]",
            action="correct the cause and run again, or roll back with `mantis-runbook rollback " + self.version + "`",
        )

    def _limit_statements(self) -> None:
        limit = f"{self.engine.environment.statement_timeout_s}s"
        self.connection.execute("SELECT set_config('statement_timeout', %s, true)", (limit,))

    @contextmanager
    def _no_lock_timeout(self) -> Iterator[None]:
        """CONCURRENTLY waits for other transactions without blocking them: a deadline instead of a lock timeout."""
        limits = self.engine.environment
        self._set(lock_timeout="0", statement_timeout=f"{limits.concurrently_deadline_s}s")
        try:
            yield
        finally:
            if not self.connection.broken:
                self._set(lock_timeout=f"{limits.lock_timeout_ms}ms", statement_timeout="0")

    def _set(self, **values: str) -> None:
        for name, value in values.items():
            self.connection.execute("SELECT set_config(%s, %s, false)", (name, value))

    # -- indexes built concurrently ------------------------------------------------------------------------------

    def _wait_for_old_snapshots(self) -> None:
        """An old snapshot anywhere in this database would hold the build up for its whole life: wait, then name it."""
        deadline = time.monotonic() + self.engine.environment.step_deadline_s
        while found := rows(self.connection, query("engine/old_snapshots"), {"older_than_s": OLD_SNAPSHOT_S}):
            named = "; ".join(f"{row['holder']}, {row['age_s']:.0f} s old" for row in found)
            self.engine.watch("step.waiting", version=self.version, step=self.step.name, blockers=[named])
            if time.monotonic() > deadline:
                raise LockNotObtained(
                    f"step {self.step.name!r} of {self.version} cannot build its index",
                    found=named,
                    expected="no transaction older than the build",
                    action="end or wait for them, then run again",
                )
            time.sleep(0.5)

    def _index_is_there(self, statement: Statement, was_started: bool) -> bool:
        """What the catalogue says of the index: complete (True), absent or dropped as a leftover (False)."""
        name = _index_name(statement)
        found = rows(self.connection, query("engine/index_state"), {"name": name})
        if not found:
            return False
        if found[0]["in_progress"]:
            raise Refused(
                f"index {name} is being built by another session",
                expected="no other build of it",
                action="wait for it to end",
            )
        if found[0]["is_valid"]:
            if was_started:
                return True
            raise StepFailed(
                f"index {name} already exists",
                found=found[0]["definition"],
                expected="no index of that name",
                action="drop or rename it, if it is a leftover of earlier tooling",
            )
        self.note = "an invalid leftover was dropped and built again"
        with self._no_lock_timeout():
            self.connection.execute(sql.SQL("DROP INDEX CONCURRENTLY ") + sql.SQL(found[0]["name"]))
        return False

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


def _was_done(step: Step, before: Pass, migration: Migration) -> bool:
    """Whether the journal has this step. Raises `MigrationFileError` when the file's step is no longer what was done."""
    if step.name not in before.done:
        return False
    if before.done[step.name] != step.sha256:
        raise MigrationFileError(
            f"step {step.name!r} of migration {migration.version} was edited after it was carried out",
            found=f"SHA-256 {step.sha256[:12]}…",
            expected=f"{str(before.done[step.name])[:12]}… as in the journal",
            action=f"restore the file, or roll back first with `mantis-runbook rollback {migration.version}`",
        )
    return True


def _is_index_build(statement: Statement) -> bool:
    return statement.kind == "IndexStmt"


def _index_name(statement: Statement) -> str:
    """The index that a CREATE INDEX makes, with its table's schema, as the catalogue looks it up."""
    node = tree(statement.text).stmts[0].stmt.index_stmt
    return ".".join(quoted(part) for part in (node.relation.schemaname, node.idxname) if part)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


@contextmanager
def _naming_blockers(target: Target, waiting: Connection, into: set[str] | None = None) -> Iterator[set[str]]:
    """While the block runs, ask from another session who makes `waiting` wait."""
    blockers = set[str]() if into is None else into
    over = threading.Event()

    def look() -> None:
        try:
            with connect(target, "blockers") as connection:
                while not over.wait(0.02):
                    for row in rows(connection, query("engine/blockers"), {"pid": waiting.info.backend_pid}):
                        blockers.add(
                            f"pid {row['pid']} ({row['application_name'] or row['role']}, {row['state'] or 'background'},"
                            f" {row['command']}, transaction open {row['transaction_s'] or 0:.0f} s)"
                        )
        except (psycopg.Error, Failed, Refused):
            return  # naming blockers is a courtesy; the wait itself is what matters

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield blockers
    finally:
        over.set()
        thread.join()
