"""One attempt to reach another tenant, and what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from uuid import uuid4

import psycopg
from psycopg import sql

from mantis_runbook.acting import acting
from mantis_runbook.database import Connection

__all__ = ["ALLOWED", "REFUSED", "Crossing", "Pair", "Tenant", "count", "reached", "stopped", "where"]

#: What row-level security, and a missing right, answer with.
REFUSED = "refused"

#: Outcomes of an attempt that must reach nothing.
ALLOWED = ("0", REFUSED)

#: A change that would have moved a row out was stopped by a rule instead: data, constraint, state, raised by a trigger.
RULES = ("22", "23", "44", "55000", "P0001")

#: A lock was not obtained within the session's lock_timeout.
LOCKED = "55P03"
TRIES, PAUSE_S = 20, 0.1


@dataclass(frozen=True)
class Crossing:
    """One attempt: on what, how, what was found, and whether that keeps tenants apart; `inconclusive`: nothing was shown."""

    table: str
    attempt: str
    found: str
    verdict: str


@dataclass(frozen=True)
class Tenant:
    """An organisation and a user of it; the mark is in a text of each row that is made for the proof, `rows` has their ids."""

    org: str
    user: str
    mark: str = field(default_factory=lambda: f"apart {uuid4().hex}")
    rows: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """The two tenants of a proof, on a connection whose role is `owner`: here a user acts, there nothing may be reached."""

    connection: Connection
    owner: str
    here: Tenant
    there: Tenant


def reached(connection: Connection, role: str, user: str, statement: sql.Composed) -> str:
    """How many rows the statement read or changed, `refused`, or SQLSTATE and message of the error it ended with.

    Who meets a row that the application is writing gives way, and tries again.
    """
    for _ in range(TRIES):
        found = _tried(connection, role, user, statement)
        if not found.startswith(LOCKED):
            break
        time.sleep(PAUSE_S)
    return found


def _tried(connection: Connection, role: str, user: str, statement: sql.Composed) -> str:
    try:
        with acting(connection, role, user):
            cursor = connection.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return str(row[0] if row else cursor.rowcount)
    except psycopg.errors.InsufficientPrivilege:
        return REFUSED
    except psycopg.Error as error:
        return f"{error.sqlstate}: {' '.join((error.diag.message_primary or str(error)).split())}"


def stopped(found: str) -> bool:
    """Whether an attempt to move a row ended without one moved: refused, none reached, or stopped by a rule."""
    return found in ALLOWED or (not found.isdigit() and found.startswith(RULES))


def where(condition: sql.Composable | None) -> sql.Composable:
    """The clause for a condition on a row, whose alias is `r`."""
    return sql.SQL(" WHERE {}").format(condition) if condition else sql.SQL("")


def count(relation: sql.Composable, condition: sql.Composable | None = None) -> sql.Composed:
    """The statement that counts a relation's rows."""
    return sql.SQL("SELECT count(*) FROM {} AS r{}").format(relation, where(condition))
