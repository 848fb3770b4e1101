"""One step while it is carried out: in one transaction or in batches, and journalled as it goes."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import psycopg

from mantis_runbook.engine import backfill
from mantis_runbook.engine.default_rights import without_default_rights
from mantis_runbook.engine.session import EngineSession
from mantis_runbook.engine.step_journal import StepJournal
from mantis_runbook.engine.tries import Tries
from mantis_runbook.migrations.files import Statement, Step
from mantis_runbook.postgres.connection import Connection

__all__ = ["StepWork"]

#: A backfill that rested for so long in all says so.
WORTH_SAYING_S = 0.1


@dataclass
class StepWork:
    """A step, the session that carries it out, its tries, and what came of it so far."""

    session: EngineSession
    journal: StepJournal
    version: str
    step: Step
    tries: Tries
    rows: int = 0
    note: str = ""

    @property
    def connection(self) -> Connection:
        """The session's connection."""
        return self.session.connection

    def in_one_transaction(self) -> None:
        """All statements and the journal's row commit together."""
        self.tries.retried(self._transaction)

    def _transaction(self) -> None:
        began = time.monotonic()
        with self.connection.transaction():
            self.tries.limit_statements()
            self.session.check_fence(in_transaction=True)
            for statement in self.step.statements:
                self.session.stop()
                with without_default_rights(self.connection, statement), self.observed(statement):
                    self.connection.execute(statement.text)
            self.connection.execute("RESET ROLE")
            self._journal("done", duration_ms=(time.monotonic() - began) * 1000)

    def in_batches(self, last_key: str | None) -> None:
        """A backfill: each batch commits with its journal row, so a cut run goes on at the key it
        reached.
        """
        table, began = self.step.batched_over, time.monotonic()
        assert table is not None
        estimate = self.connection.execute(
            "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(%s)",
            (table,),
        )
        total = (estimate.fetchone() or (0,))[0]
        seen = 0
        pace = self.session.limits.batch_target_ms
        courtesy, worked, rested_s = (
            backfill.Courtesy(self.connection, self.session.stop),
            time.monotonic(),
            0.0,
        )
        for batch in backfill.batches(
            self.connection,
            table,
            after=last_key,
            target_ms=pace,
            run=self._one_batch,
            patiently=self.tries.retried,
        ):
            seen += batch.size
            self.progress(min(seen, total), total)
            rested_s += courtesy.rest(time.monotonic() - worked)
            rested_s += backfill.pause_while_pressed(self.connection, stop=self.session.stop)
            worked = time.monotonic()
        if rested_s >= WORTH_SAYING_S:
            self.note = f"{rested_s:.1f} s of it at rest while others worked"
        self.tries.retried(
            lambda: self.record("done", duration_ms=(time.monotonic() - began) * 1000)
        )

    def progress(self, done: int, total: int) -> None:
        """Tell how far it is."""
        self.session.watch(
            "step.progress", version=self.version, step=self.step.name, rows=done, of=total
        )

    def _one_batch(self, batch: backfill.Batch) -> None:
        with self.connection.transaction():
            self.tries.limit_statements()
            self.session.check_fence(in_transaction=True)
            if self.step.without_triggers:
                self.connection.execute("SET LOCAL session_replication_role = replica")
            with (
                psycopg.RawCursor(self.connection) as cursor,
                self.observed(self.step.statements[0]),
            ):
                cursor.execute(self.step.statements[0].text, (batch.lower, batch.upper))
                changed = cursor.rowcount
            self._journal("batch", last_key=batch.upper, rows=changed)
        self.rows += changed

    # -- what is seen of it ------------------------------------------------------------------------

    def observed(self, statement: Statement) -> AbstractContextManager[None]:
        """Whoever looks at a statement while it runs."""
        return self.session.observe(
            self.connection, self.version, self.session.direction, self.step, statement
        )

    def record(self, state: str, duration_ms: float | None = None, **detail: Any) -> None:
        """A row of its own, written only while the fence is ours."""
        with self.connection.transaction():
            self.session.check_fence(in_transaction=True)
            self._journal(state, duration_ms, **detail)

    def _journal(self, state: str, duration_ms: float | None = None, **detail: Any) -> None:
        self.journal.write(
            self.version,
            self.session.direction,
            state,
            self.step.name,
            connection=self.connection,
            statement_sha256=self.step.sha256,
            duration_ms=duration_ms,
            attempts=self.tries.attempts,
            lock_waits=self.tries.lock_waits,
            detail=detail,
        )
