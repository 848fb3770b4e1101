"""One attempt to reach another tenant, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from mantis_runbook.checks.tenants.acting import Acts, Guise, as_text
from mantis_runbook.postgres.connection import Connection, may_set, message_of, rows

__all__ = [
    "ALLOWED",
    "REFUSED",
    "SAMPLE",
    "Crossing",
    "Pair",
    "Tenant",
    "bound",
    "count",
    "is_nothing",
    "is_unshown",
    "judged",
    "reached",
    "stopped",
    "tried",
    "where",
]

#: What row-level security, and a missing right, answer with.
REFUSED = "refused"

#: Outcomes of an attempt that must reach nothing.
ALLOWED = ("0", REFUSED)

#: A change that would have moved a row out was stopped by a rule instead: data, constraint, state,
#: raised by a trigger.
RULES = ("22", "23", "44", "55000", "P0001")

#: A session without settings whose policy casts one, or insists on it, ends before it has read a
#: row.
EMPTY_SETTING = ("22P02", "42704")

#: A lock was not obtained within the session's lock_timeout.
LOCKED = "55P03"
TRIES, PAUSE_S = 20, 0.1

#: Limits of one attempt: longer than a function of the application takes, shorter than anybody
#: waits for a proof; and rows that are enough to show that there are any.
LIMIT_S, TEMPORARY, SAMPLE = 10, "256MB", 1000

RECORDED = "SELECT FROM pg_settings WHERE name = 'pg_stat_statements.track'"

#: Ended by such a limit: nothing was shown, neither that tenants are apart nor that they are not.
UNSHOWN = ("57014", "53400")


@dataclass(frozen=True)
class Crossing:
    """One attempt: on what, how, what was found, and whether that keeps tenants apart;
    `inconclusive`: nothing was shown.
    """

    table: str
    attempt: str
    found: str
    verdict: str


@dataclass(frozen=True)
class Tenant:
    """An organisation and a user of it; the mark is in a text of each row that is made for the
    proof, `rows` has their ids.

    `settings` are what the user's session holds.
    """

    org: str
    user: str
    mark: str = field(default_factory=lambda: f"apart {uuid4().hex}")
    rows: dict[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """The two tenants of a proof, on a connection whose role is `owner`: here a user acts, there
    nothing may be reached.

    Beside them nobody at all, and a user of no organisation. `roles` are those that the session may
    take.
    """

    connection: Connection
    owner: str
    here: Tenant
    there: Tenant
    nobody: Guise = field(default_factory=Guise)
    stranger: Guise = field(default_factory=Guise)
    roles: frozenset[str] = frozenset({"authenticated", "anon"})

    @property
    def strangers(self) -> tuple[tuple[str, str, Guise], ...]:
        """Those who must reach nothing at all: in words, by role, and what their session holds."""
        everybody = (
            ("nobody", "anon", self.nobody),
            ("a user of no organisation", "authenticated", self.stranger),
        )
        return tuple(one for one in everybody if one[1] in self.roles)


def bound(connection: Connection) -> None:
    """Bound every statement until the transaction ends: in time, and in temporary files where the
    role may say so.
    """
    limits = {"statement_timeout": f"{LIMIT_S}s"}
    if may_set(connection, "temp_file_limit"):
        limits["temp_file_limit"] = TEMPORARY
    # What is tried as a user is no statement of the application, and must not be learnt as one.
    if rows(connection, RECORDED) and may_set(connection, "pg_stat_statements.track"):
        limits["pg_stat_statements.track"] = "none"
    for name, value in limits.items():
        connection.execute("SELECT set_config(%s, %s, true)", (name, value))


def reached(connection: Connection, role: str, who: Acts, statement: sql.Composed) -> str:
    """How many rows the statement read or changed, `refused`, or SQLSTATE and message of the error
    it ended with.

    Who meets a row that the application is writing gives way, and tries again.
    """
    for _ in range(TRIES):
        outcome = _reached(connection, role, who, statement)
        if not outcome.startswith(LOCKED):
            break
        time.sleep(PAUSE_S)
    return outcome


def _reached(connection: Connection, role: str, who: Acts, statement: sql.Composed) -> str:
    try:
        cursor = tried(connection, statement, before=as_text(connection, role, who))
    except psycopg.errors.InsufficientPrivilege:
        return REFUSED
    except psycopg.Error as error:
        return f"{error.sqlstate}: {' '.join(message_of(error).split())}"
    row = cursor.fetchone() if cursor.description else None
    return str(row[0] if row else cursor.rowcount)


def tried(
    connection: Connection, statement: sql.Composed, *, before: bytes = b"", keep: bool = False
) -> psycopg.Cursor[tuple[object, ...]]:
    """The statement's result; whatever it did is undone, unless `keep`. In one message: attempts
    are many, and short.

    `before` is run first, and undone too. Raises what the statement raises, with the transaction as
    it was before.
    """
    end = b"RELEASE attempt" if keep else b"ROLLBACK TO attempt; RELEASE attempt"
    text = b"; ".join(
        part for part in (b"SAVEPOINT attempt", before, statement.as_bytes(connection), end) if part
    )
    cursor = connection.cursor(row_factory=tuple_row)
    try:
        cursor.execute(text, prepare=False)
    except psycopg.Error:
        connection.execute(b"ROLLBACK TO attempt; RELEASE attempt", prepare=False)
        raise
    for _ in range(2 if before else 1):
        cursor.nextset()
    return cursor


def judged(outcome: str, passes: Callable[[str], bool]) -> str:
    """The verdict on what an attempt found: one that ended at a limit shows nothing."""
    return "inconclusive" if is_unshown(outcome) else "pass" if passes(outcome) else "fail"


def is_unshown(outcome: str) -> bool:
    """Whether an attempt ended at a limit of ours."""
    return outcome.startswith(UNSHOWN)


def is_nothing(outcome: str, who: Acts) -> bool:
    """Whether an attempt that must reach nothing did. Without a value in any setting it may end in
    an error for that.
    """
    is_empty = not any(who.settings.values())
    return outcome in ALLOWED or (is_empty and outcome.startswith(EMPTY_SETTING))


def stopped(outcome: str) -> bool:
    """Whether an attempt to move a row ended without one moved: refused, none reached, or stopped
    by a rule.
    """
    return outcome in ALLOWED or (not outcome.isdigit() and outcome.startswith(RULES))


def where(condition: sql.Composable | None) -> sql.Composable:
    """The clause for a condition on a row, whose alias is `r`."""
    return sql.SQL(" WHERE {}").format(condition) if condition else sql.SQL("")


def count(relation: sql.Composable, condition: sql.Composable | None = None) -> sql.Composed:
    """The statement that counts a relation's rows, as far as to show that there are some."""
    return sql.SQL("SELECT count(*) FROM (SELECT FROM {} AS r{} LIMIT {}) AS sample").format(
        relation, where(condition), SAMPLE
    )
