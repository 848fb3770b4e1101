"""Rows gone since a snapshot, set against the deletions that the server counted meanwhile."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mantis_runbook.postgres.connection import Connection, query, rows
from mantis_runbook.runs.stored import loaded

__all__ = ["PATIENCE_S", "Deletions", "Loss", "deletions", "found", "losses"]

#: Sessions tell the server what they did when they are idle for a while: for 10 s at most.
PATIENCE_S, PAUSE_S = 12.0, 0.5


@dataclass(frozen=True)
class Deletions:
    """What the server's statistics say at one instant: deletions by table, and what tells a
    reset.
    """

    by_table: Mapping[str, int]
    reset: str | None
    commits: int
    counts: bool

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Deletions:
        return loaded(cls, data)

    def since(self, before: Deletions | None, table: str) -> int | None:
        """Deletions of a table since `before`; None where the statistics cannot say."""
        if before is None or not (self.counts and before.counts) or table not in before.by_table:
            return None
        counted = self.by_table.get(table, 0) - before.by_table[table]
        went_on = self.reset == before.reset and self.commits >= before.commits
        return counted if went_on and counted >= 0 else None


@dataclass(frozen=True)
class Loss:
    """A table with fewer rows than in the snapshot, and not that many deletions counted (None: it
    is not known).
    """

    table: str
    rows: int
    deleted: int | None

    @property
    def word(self) -> str:
        """Rows that nobody deleted are lost; what was deleted in part, or is not known, is for a
        person to look at.
        """
        return "failed" if self.deleted == 0 else "warned"

    def __str__(self) -> str:
        counted = (
            "deletions cannot be told"
            if self.deleted is None
            else f"{self.deleted:,} deletions were counted"
        )
        return f"{self.table} has {self.rows:,} rows fewer than in the snapshot, and {counted}"


def deletions(connection: Connection) -> Deletions:
    """What the statistics say now.

    To be read before a snapshot: what is deleted between is counted then, not missed.
    """
    counters = rows(connection, query("fingerprint/deletions"), {})
    if not counters:
        return Deletions({}, None, 0, counts=False)
    first = counters[0]
    return Deletions(
        {row["name"]: row["deleted"] for row in counters},
        first["reset"],
        first["commits"],
        first["counts"],
    )


def losses(
    then: Mapping[str, int], now: Mapping[str, int], before: Deletions | None, after: Deletions
) -> tuple[Loss, ...]:
    """Tables whose rows became fewer by more than was deleted. Pure.

    `then` and `now` are rows by table. Rows that were added meanwhile hide as many that are gone:
    what is told here is lost for certain, what is not told is not proven to be there.
    """
    fewer = {
        table: then[table] - now[table]
        for table in sorted(then)
        if table in now and now[table] < then[table]
    }
    shrunk = (Loss(table, gone, after.since(before, table)) for table, gone in fewer.items())
    return tuple(one for one in shrunk if one.deleted is None or one.deleted < one.rows)


def found(
    connection: Connection,
    then: Mapping[str, int],
    now: Mapping[str, int],
    before: Deletions | None,
) -> tuple[Loss, ...]:
    """The same of a live database, asked again for as long as a session may not have told yet what
    it deleted.
    """
    deadline = time.monotonic() + PATIENCE_S
    while lost := losses(then, now, before, deletions(connection)):
        if all(one.deleted is None for one in lost) or time.monotonic() > deadline:
            return lost
        time.sleep(PAUSE_S)
    return ()
