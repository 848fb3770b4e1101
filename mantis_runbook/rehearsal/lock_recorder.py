"""Locks of each statement in the rehearsal: on which table, how strong, a rewrite or a scan."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.pq import TransactionStatus

from mantis_runbook.errors import RunbookError
from mantis_runbook.migrations.files import Statement, Step
from mantis_runbook.migrations.lint.lock_model import dropped, key_of
from mantis_runbook.postgres.connection import Connection, connect, query, rows
from mantis_runbook.postgres.statements import option, relation_name, tree
from mantis_runbook.postgres.target import Target

__all__ = ["MODES", "Recorder", "StatementLocks", "strongest"]

#: Weakest first; https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
MODES = (
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
BLOCKS_READS = {"AccessExclusiveLock"}
BLOCKS_WRITES = {"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}

#: Statements outside a transaction, whose scans happen where no counter of ours sees them.
SCANNING = {"IndexStmt", "ReindexStmt", "ClusterStmt", "VacuumStmt"}

#: What CONCURRENTLY takes on a table, by the manual; for one that was over before it could be
#: looked at.
CONCURRENTLY = "ShareUpdateExclusiveLock"

LOOK_S = 0.005


@dataclass(frozen=True)
class StatementLocks:
    """What one statement did to one table that was there before; `table` and `mode` are empty where
    it locked none.

    `duration_ms` is the statement's own, `held_ms` the time until its transaction's last statement
    was done: as long does the lock last. `table_bytes` is the table's size before the rehearsal.
    """

    version: str
    direction: str
    step: str
    statement: str
    table: str = ""
    mode: str = ""
    rewrote: bool = False
    scanned: bool = False
    duration_ms: float = 0.0
    held_ms: float = 0.0
    table_bytes: int = 0

    @property
    def blocks_reads(self) -> bool:
        return self.mode in BLOCKS_READS

    @property
    def blocks_writes(self) -> bool:
        return self.mode in BLOCKS_WRITES

    @property
    def record(self) -> dict[str, Any]:
        """One line of the notebook's table."""
        return {
            "migration": self.version,
            "direction": self.direction,
            "step": self.step,
            "statement": self.statement,
            "table": self.table,
            "strongest_lock": self.mode.removesuffix("Lock") or "none",
            "blocks_reads": self.blocks_reads,
            "blocks_writes": self.blocks_writes,
            "rewrite": self.rewrote,
            "scan": self.scanned,
            "duration_ms": round(self.duration_ms, 1),
            "held_ms": round(self.held_ms, 1),
        }


def strongest(modes: Iterable[str]) -> str:
    """The strongest of some modes, "" of none."""
    return max(modes, key=MODES.index, default="")


@dataclass(frozen=True)
class Existing:
    """A relation the application uses, as it was before the rehearsal."""

    oid: int
    name: str
    is_table: bool
    bytes: int


@dataclass(frozen=True)
class State:
    """A relation in the eyes of one transaction."""

    file: int
    scans: int
    modes: frozenset[str]


Key = tuple[str, str, str, int]


class Recorder:
    """Observes the statements of an engine on one database, the rehearsal's copy.

    While the block lasts, the engine enters `observe(…)` around each statement. Within a
    transaction the locks are read by the statement's own session, before and after it, so none is
    missed; outside of one (CONCURRENTLY) they are looked at from beside while it runs.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._existing: dict[int, Existing] = {}
        self._found: dict[Key, dict[int, StatementLocks]] = {}
        self._beside: Connection | None = None

    def __enter__(self) -> Self:
        self._beside = connect(self._target, "locks")
        self._existing = {
            row["oid"]: Existing(**row) for row in rows(self._beside, query("locks/existing"))
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._beside is not None:
            self._beside.close()

    @property
    def locks(self) -> tuple[StatementLocks, ...]:
        """All that was seen, in the order of the statements; a statement that ran twice shows its
        worst.
        """
        return tuple(one for key in self._found for one in self._with_held(key))

    @property
    def touched(self) -> tuple[str, ...]:
        """Existing tables that a migration locks more than a reader does: those whose readers and
        writers to probe.

        First those that matter most: by their strongest lock, then by how long that was held.
        """
        tables = {one.name for one in self._existing.values() if one.is_table}
        strong = [
            locks
            for locks in self.locks
            if locks.direction == "up" and locks.mode in MODES[1:] and locks.table in tables
        ]
        worst_first = sorted(
            strong, key=lambda one: (MODES.index(one.mode), one.held_ms), reverse=True
        )
        return tuple(dict.fromkeys(one.table for one in worst_first))

    @contextmanager
    def observe(
        self, connection: Connection, version: str, direction: str, step: Step, statement: Statement
    ) -> Iterator[None]:
        """Enter this around the statement's execution. One that fails leaves no record."""
        known = [one.sha256 for one in step.statements]
        place = known.index(statement.sha256) if statement.sha256 in known else 0
        seen = StatementLocks(version, direction, step.name, statement.summary)
        within = connection.info.transaction_status == TransactionStatus.INTRANS
        locks: dict[int, StatementLocks] = {}
        with (
            self._within(connection, seen, locks)
            if within
            else self._from_beside(connection, statement, seen, locks)
        ):
            yield
        self._keep((version, direction, step.name, place), locks)

    # -- in the statement's own transaction --------------------------------------------------------

    @contextmanager
    def _within(
        self, connection: Connection, seen: StatementLocks, locks: dict[int, StatementLocks]
    ) -> Iterator[None]:
        before = self._state(connection)
        began = time.monotonic()
        yield
        seen = replace(seen, duration_ms=(time.monotonic() - began) * 1000)
        after = self._state(connection)
        locks.update(
            {
                oid: self._of(oid, seen, before[oid], after[oid])
                for oid in after
                if after[oid] != before[oid]
            }
        )
        locks.setdefault(0, seen)

    def _state(self, connection: Connection) -> dict[int, State]:
        states = rows(connection, query("locks/state"), {"relations": list(self._existing)})
        return {
            row["oid"]: State(row["file"], row["scans"], frozenset(row["modes"])) for row in states
        }

    def _of(self, oid: int, seen: StatementLocks, before: State, after: State) -> StatementLocks:
        """A lock that an earlier statement took is this one's only if it scans or rewrites under
        it.
        """
        rewrote = after.file not in (before.file, 0)
        scanned = after.scans > before.scans
        modes = after.modes if rewrote or scanned else after.modes - before.modes
        return self._on(oid, seen, strongest(modes), rewrote=rewrote, scanned=scanned)

    def _on(
        self, oid: int, seen: StatementLocks, mode: str, *, rewrote: bool, scanned: bool
    ) -> StatementLocks:
        table = self._existing[oid]
        return replace(
            seen,
            table=table.name,
            table_bytes=table.bytes,
            mode=mode,
            rewrote=rewrote,
            scanned=scanned,
        )

    # -- from beside -------------------------------------------------------------------------------

    @contextmanager
    def _from_beside(
        self,
        connection: Connection,
        statement: Statement,
        seen: StatementLocks,
        locks: dict[int, StatementLocks],
    ) -> Iterator[None]:
        assert self._beside is not None
        modes = {
            oid: {CONCURRENTLY}
            for oid in _tables_of(self._beside, statement)
            if oid in self._existing
        }
        before = self._files()
        over = threading.Event()
        looking = threading.Thread(
            target=self._look, args=(connection.info.backend_pid, modes, over), daemon=True
        )
        looking.start()
        began = time.monotonic()
        try:
            yield
        finally:
            took = (time.monotonic() - began) * 1000
            over.set()
            looking.join()
        after = self._files()
        scans = statement.kind in SCANNING
        for oid, held in modes.items():
            rewrote = oid in after and after[oid] != before.get(oid)
            worst = strongest(held)
            scanned = scans and worst not in MODES[:3]
            locks[oid] = self._on(
                oid, replace(seen, duration_ms=took), worst, rewrote=rewrote, scanned=scanned
            )
        if not locks:
            locks[0] = replace(seen, duration_ms=took)

    def _files(self) -> dict[int, int]:
        assert self._beside is not None
        files = rows(self._beside, query("locks/files"), {"relations": list(self._existing)})
        return {row["oid"]: row["file"] for row in files}

    def _look(self, pid: int, modes: dict[int, set[str]], over: threading.Event) -> None:
        with suppress(psycopg.Error, RunbookError), connect(self._target, "locks") as connection:
            while not over.wait(LOOK_S):
                for row in rows(
                    connection, query("locks/held"), {"pid": pid, "relations": list(self._existing)}
                ):
                    modes.setdefault(row["oid"], set()).add(row["mode"])

    # -- what was found ----------------------------------------------------------------------------

    def _keep(self, key: Key, locks_by_table: Mapping[int, StatementLocks]) -> None:
        """A statement may run again: a retry, a batch, the second time up. Of each table the worst
        is kept.
        """
        kept = self._found.setdefault(key, {})
        for oid, locks in locks_by_table.items():
            kept[oid] = _worse(kept[oid], locks) if oid in kept else locks
        if len(kept) > 1:
            kept.pop(0, None)

    def _with_held(self, key: Key) -> Iterator[StatementLocks]:
        version, direction, step, place = key
        later = [
            max(one.duration_ms for one in locks_by_table.values())
            for (*same, number), locks_by_table in self._found.items()
            if same == [version, direction, step] and number > place
        ]
        for locks in self._found[key].values():
            yield replace(locks, held_ms=locks.duration_ms + sum(later))


def _worse(locks: StatementLocks, other: StatementLocks) -> StatementLocks:
    return replace(
        locks,
        mode=strongest(mode for mode in (locks.mode, other.mode) if mode),
        rewrote=locks.rewrote or other.rewrote,
        scanned=locks.scanned or other.scanned,
        duration_ms=max(locks.duration_ms, other.duration_ms),
    )


def _tables_of(connection: Connection, statement: Statement) -> list[int]:
    """The tables whose indexes a statement with CONCURRENTLY builds, drops or builds anew."""
    names = _names(statement)
    return [
        row["oid"]
        for name in names
        for row in rows(connection, query("locks/table_of"), {"name": name})
    ]


def _names(statement: Statement) -> Sequence[str]:
    node = tree(statement.text)
    if statement.kind == "IndexStmt":
        return [relation_name(node.relation)]
    if statement.kind == "DropStmt":
        return [key_of(name) for name in dropped(node)]
    if (
        statement.kind == "ReindexStmt"
        and option(node.params, "concurrently")
        and node.HasField("relation")
    ):
        return [relation_name(node.relation)]
    return []
