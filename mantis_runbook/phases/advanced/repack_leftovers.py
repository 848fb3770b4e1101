"""What a pg_repack that was killed left behind: found, and taken away in the order that harms no
writer.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from mantis_runbook.postgres.connection import Connection, message_of, query, rows

__all__ = ["LOCK_CLASS", "Leftover", "end_sessions", "leftovers", "remove"]

#: First number of pg_repack's advisory locks; the second is the table's OID, moved into the range
#: of an integer.
LOCK_CLASS = 16185446


@dataclass(frozen=True)
class Leftover:
    """What is left of a rebuild of one table; `table` is empty where the table itself is gone.

    `kinds` are of `trigger`, `log`, `pk` and `table`. `at_work`: a pg_repack is busy with it, so it
    is nobody's to remove.
    """

    relid: int
    schema: str
    table: str
    kinds: tuple[str, ...]
    at_work: bool

    @property
    def statements(self) -> tuple[sql.Composed, ...]:
        """The trigger first: with the log gone before it, every write of the application would
        fail.
        """
        drops = {
            "trigger": (
                sql.SQL("DROP TRIGGER IF EXISTS repack_trigger ON {}").format(
                    sql.Identifier(self.schema or "public", self.table)
                )
            ),
            "log": (
                sql.SQL("DROP TABLE IF EXISTS {}").format(
                    sql.Identifier("repack", f"log_{self.relid}")
                )
            ),
            "pk": (
                sql.SQL("DROP TYPE IF EXISTS {}").format(
                    sql.Identifier("repack", f"pk_{self.relid}")
                )
            ),
            "table": (
                sql.SQL("DROP TABLE IF EXISTS {}").format(
                    sql.Identifier("repack", f"table_{self.relid}")
                )
            ),
        }
        return tuple(drop for kind, drop in drops.items() if kind in self.kinds)

    @property
    def message(self) -> str:
        """One line: what is there, and what it costs."""
        what = (
            f"table {self.schema}.{self.table}"
            if self.table
            else f"a table that is gone (OID {self.relid})"
        )
        if self.at_work:
            return f"a pg_repack is at work on {what}"
        cost = "; its trigger makes every write cost two" if "trigger" in self.kinds else ""
        names = ", ".join(
            "repack_trigger" if kind == "trigger" else f"repack.{kind}_{self.relid}"
            for kind in self.kinds
        )
        return f"a pg_repack that was killed left {names} of {what}{cost}"


def leftovers(connection: Connection) -> tuple[Leftover, ...]:
    """What pg_repack left in this database, and what one that is at work uses just now. Reads
    only.
    """
    return tuple(
        Leftover(
            row["relid"],
            row["schema"] or "",
            row["table_name"] or "",
            tuple(row["kinds"]),
            row["at_work"],
        )
        for row in rows(connection, query("repack/leftovers"))
    )


def remove(connection: Connection, leftover: Leftover, *, deadline_s: float = 30) -> str:
    """Drop what is left, each object by a statement of its own under the session's short
    lock_timeout, tried again.

    Returns why it could not; empty where nothing is left. Never beside a pg_repack at work: its
    advisory lock is held here meanwhile, so that none begins either.
    """
    with _held(connection, leftover.relid) as is_held:
        now = [one for one in leftovers(connection) if one.relid == leftover.relid]
        if not is_held:
            return f"a pg_repack is at work on {leftover.schema}.{leftover.table}"
        deadline = time.monotonic() + deadline_s
        for statement in [drop for one in now for drop in one.statements]:
            if why := _dropped(connection, statement, deadline):
                return (
                    f"{leftover.message}; it could not be removed: {why}; try again with: "
                    + "; ".join(drop.as_string(connection) for drop in leftover.statements)
                )
    return ""


def end_sessions(connection: Connection, mark: str, *, deadline_s: float = 10) -> None:
    """End the sessions of a program of ours that was killed: a backend may outlive it, and commit
    afterwards.
    """
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        if not rows(
            connection,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND"
            " datname = current_database() AND pid <> pg_backend_pid()",
            (mark,),
        ):
            return
        time.sleep(0.1)


@contextmanager
def _held(connection: Connection, relid: int) -> Iterator[bool]:
    key = (LOCK_CLASS, relid - 2**31)
    (lock,) = rows(connection, "SELECT pg_try_advisory_lock(%s::integer, %s::integer) AS held", key)
    try:
        yield lock["held"]
    finally:
        if lock["held"] and not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s::integer, %s::integer)", key)


def _dropped(connection: Connection, statement: sql.Composed, deadline: float) -> str:
    """Why it was not dropped; empty when it was."""
    while True:
        try:
            connection.execute(statement)
            return ""
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            if time.monotonic() >= deadline:
                return message_of(error)
            time.sleep(random.uniform(0.2, 0.4))
        except psycopg.Error as error:
            if connection.broken:
                raise
            return message_of(error)
