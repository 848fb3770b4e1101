"""Whether a rebuilt table holds what it held before: exactly where nobody wrote, else within what
was written.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from mantis_runbook.backup import fingerprint
from mantis_runbook.backup.comparison import Verdict
from mantis_runbook.backup.fingerprint import TableFingerprint
from mantis_runbook.postgres.connection import Connection, query, rows

__all__ = ["Judgement", "Reading", "Writes", "judge", "prove", "read"]

#: A session that is idle adds what it wrote to the counters after ten seconds at the latest
#: (PostgreSQL 15 and newer).
SETTLING_S = 12.0

Outcome = Literal["equal", "accounted", "lost", "unproven"]


@dataclass(frozen=True)
class Writes:
    """Rows that sessions tried to write, those that were rolled back among them: never fewer than
    were committed.
    """

    inserted: int
    updated: int
    deleted: int
    since: str = ""

    def __sub__(self, other: Writes) -> Writes:
        return Writes(
            self.inserted - other.inserted,
            self.updated - other.updated,
            self.deleted - other.deleted,
            self.since,
        )

    def __str__(self) -> str:
        return f"{self.inserted:,} inserted, {self.updated:,} updated, {self.deleted:,} deleted"

    @property
    def any(self) -> bool:
        return bool(self.inserted or self.updated or self.deleted)


@dataclass(frozen=True)
class Reading:
    """A table's content, and its counters as they were before it was read; None where nothing is
    counted.
    """

    content: TableFingerprint
    writes: Writes | None


@dataclass(frozen=True)
class Judgement:
    """What the comparison says. `lost` is certain, whatever was written meanwhile; `unproven` says
    what is not known.
    """

    outcome: Outcome
    note: str = ""


def read(connection: Connection, table: str) -> Reading:
    """The counters first: what is committed between the two is then counted as written meanwhile,
    never missed.
    """
    writes = _writes(connection, table)
    return Reading(fingerprint.take_relation(connection, "public", table), writes)


def prove(
    connection: Connection, table: str, before: Reading, *, settling_s: float = SETTLING_S
) -> Judgement:
    """Compare the table as it is now with what it was.

    A difference that the counters do not explain yet is given time: the writers' sessions add what
    they wrote late.
    """
    content = fingerprint.take_relation(connection, "public", table)
    read_at = rows(connection, "SELECT clock_timestamp() AS now")[0]["now"]
    deadline = time.monotonic() + settling_s
    while True:
        judgement = judge(
            table, before.content, content, _since(before.writes, _writes(connection, table))
        )
        if (
            judgement.outcome != "lost"
            or time.monotonic() >= deadline
            or not _others(connection, "backend_start", read_at)
        ):
            break
        time.sleep(0.5)
    if judgement.outcome == "lost" and (sessions := _others(connection, "xact_start", read_at)):
        words = (
            f"{sessions} sessions are in a transaction begun before it was read, and what they"
            " wrote is not counted yet"
        )
        return Judgement("unproven", f"{judgement.note}; but {words}")
    return judgement


def judge(
    table: str, before: TableFingerprint, after: TableFingerprint, writes: Writes | None
) -> Judgement:
    """The rule. `writes` are what was written between the two readings, at most; None where nobody
    knows.

    Without any write the content must be equal. Else rows can be fewer by the deleted ones and more
    by the inserted ones, not further; and their number must be what was written, unless some of it
    was rolled back.
    """
    verdict = Verdict(f"public.{table}", before, after)
    if verdict.is_equal:
        return Judgement("equal")
    if writes is None:
        return Judgement(
            "unproven",
            f"{verdict.message}; what was written meanwhile is not counted (track_counts is off, or"
            " was reset)",
        )
    if not writes.any:
        return Judgement("lost", f"{verdict.message}, and nobody wrote to it meanwhile")
    change = after.total.rows - before.total.rows
    if not -writes.deleted <= change <= writes.inserted:
        return Judgement("lost", f"{verdict.message}, more than was written meanwhile ({writes})")
    if change == writes.inserted - writes.deleted:
        return Judgement(
            "accounted", f"written to meanwhile ({writes}): the number of rows agrees with that"
        )
    return Judgement(
        "unproven",
        f"{after.total.rows:,} rows, {before.total.rows:,} before, written to meanwhile ({writes},"
        " rolled back ones included): possible, but not exact",
    )


def _writes(connection: Connection, table: str) -> Writes | None:
    (counting,) = rows(connection, "SELECT current_setting('track_counts')::boolean AS counting")
    counted = rows(connection, query("repack/writes"), (table,))
    return Writes(**counted[0]) if counting["counting"] and counted else None


def _since(before: Writes | None, now: Writes | None) -> Writes | None:
    if before is None or now is None or before.since != now.since:
        return None
    writes = now - before
    return None if min(writes.inserted, writes.updated, writes.deleted) < 0 else writes


def _others(connection: Connection, column: str, instant: object) -> int:
    """Sessions of others that began (or whose transaction did) before that instant. One that has
    ended is counted whole.
    """
    statement = sql.SQL(
        "SELECT count(*) AS sessions FROM pg_stat_activity WHERE datname = current_database() AND"
        " {} < %s AND application_name NOT LIKE 'mantis-runbook/%%' AND backend_type = 'client"
        " backend'"
    ).format(sql.Identifier(column))
    return int(rows(connection, statement, (instant,))[0]["sessions"])
