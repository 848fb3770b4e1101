"""Tenants stay apart: shown by acting as users of two organisations, as a user of none, and as nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from mantis_runbook.database import Connection, query, rows
from mantis_runbook.errors import Inconclusive

__all__ = ["Crossing", "Separation", "prove"]

#: Settings that tell the database who acts, in both kinds of installation.
WHO = ("request.jwt.claim.sub", "app.current_user_id")

NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Crossing:
    """One attempt on one table: what was tried, what was found, and whether that keeps tenants apart."""

    table: str
    attempt: str
    found: str
    verdict: str


@dataclass(frozen=True)
class Separation:
    """All attempts. One that could not be made is not passed."""

    attempts: tuple[Crossing, ...]

    @property
    def leaks(self) -> tuple[Crossing, ...]:
        return tuple(one for one in self.attempts if one.verdict != "pass")

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record a table: its attempts, and the leaks in full."""
        tables = list(dict.fromkeys(one.table for one in self.attempts))
        return [self._record(table) for table in tables]

    def _record(self, table: str) -> dict[str, Any]:
        ours = [one for one in self.attempts if one.table == table]
        leaks = [one for one in ours if one.verdict != "pass"]
        found = "; ".join(f"{one.attempt}: {one.found}" for one in leaks)
        return {
            "table": table,
            "verdict": "fail" if leaks else "pass",
            "attempts": len(ours),
            "found": found or "apart",
        }


def prove(connection: Connection) -> Separation:
    """Try to cross from one tenant to another on every tenant table; each attempt is rolled back.

    `connection` must be allowed to become `authenticated` and `anon`. Raises `Inconclusive` with fewer than two
    organisations to act for: then nothing was shown.
    """
    pair = rows(connection, query("tenants/two_tenants"))
    if len(pair) < 2:
        raise Inconclusive(
            "tenant isolation was not shown", found=f"{len(pair)} organisation(s) with an active user", expected="two",
            action="run it on a database with at least two tenants",
        )  # fmt: skip
    here, there = pair
    attempts: list[Crossing] = []
    for table in rows(connection, query("tenants/tables")):
        attempts += _on(connection, table, here, there)
    doors = rows(connection, query("tenants/open_doors"))
    attempts += [Crossing(door["name"], "read around the policies", door["why"], "fail") for door in doors]
    return Separation(tuple(attempts))


def _on(
    connection: Connection, table: dict[str, Any], here: dict[str, Any], there: dict[str, Any]
) -> Iterator[Crossing]:
    name = table["name"]
    relation = sql.Identifier("public", name)
    yield _count(connection, name, "anon", "", sql.SQL("SELECT count(*) FROM {}").format(relation), "read as nobody")
    if table["may_select"]:
        everything = sql.SQL("SELECT count(*) FROM {}").format(relation)
        if table["has_org"]:
            yield _count(connection, name, "authenticated", NOBODY, everything, "read as a user of no organisation")
            foreign = sql.SQL("SELECT count(*) FROM {} WHERE org_id IS DISTINCT FROM {}").format(
                relation, here["org_id"]
            )
            yield _count(connection, name, "authenticated", here["user_id"], foreign, "read the other tenant's rows")
        elif table["has_id"]:
            yield _shared(connection, name, relation, here, there)
    if table["has_org"] and table["may_update"]:
        take = sql.SQL("UPDATE {} SET org_id = {} WHERE org_id = {}").format(relation, here["org_id"], there["org_id"])
        yield _change(connection, name, here["user_id"], take, "take the other tenant's rows")
        give = sql.SQL("UPDATE {} SET org_id = {} WHERE org_id = {}").format(relation, there["org_id"], here["org_id"])
        yield _change(connection, name, here["user_id"], give, "move a row to the other tenant")
    if table["has_org"] and table["may_delete"]:
        delete = sql.SQL("DELETE FROM {} WHERE org_id = {}").format(relation, there["org_id"])
        yield _change(connection, name, here["user_id"], delete, "delete the other tenant's rows")


def _count(connection: Connection, table: str, role: str, user: str, statement: sql.Composed, attempt: str) -> Crossing:
    found = _tried(connection, role, user, statement, counting=True)
    return Crossing(table, attempt, found, "pass" if found in ("0", "refused") else "fail")


def _change(connection: Connection, table: str, user: str, statement: sql.Composed, attempt: str) -> Crossing:
    found = _tried(connection, "authenticated", user, statement, counting=False)
    return Crossing(table, attempt, found, "pass" if found in ("0", "refused") else "fail")


def _shared(
    connection: Connection, table: str, relation: sql.Identifier, here: dict[str, Any], there: dict[str, Any]
) -> Crossing:
    """A table without org_id: what the two tenants see must have no row in common, and a user of none sees nothing."""
    statement = sql.SQL("SELECT id::text FROM {}").format(relation)
    seen = [_seen(connection, user, statement) for user in (here["user_id"], there["user_id"], NOBODY)]
    if any(one is None for one in seen):
        return Crossing(table, "read rows of both tenants", "could not be read at all", "fail")
    ours, theirs, nobodys = (set(one or ()) for one in seen)
    public = ours & theirs & nobodys
    crossing = (ours & theirs) - public
    return Crossing(table, "read rows of both tenants", f"{len(crossing)} in common", "fail" if crossing else "pass")


def _seen(connection: Connection, user: str, statement: sql.Composed) -> list[str] | None:
    try:
        with _acting(connection, "authenticated", user):
            return [row[0] for row in connection.execute(statement)]
    except psycopg.errors.InsufficientPrivilege:
        return None


def _tried(connection: Connection, role: str, user: str, statement: sql.Composed, *, counting: bool) -> str:
    """The number of rows reached, `refused`, or the error that it ended with."""
    try:
        with _acting(connection, role, user):
            cursor = connection.execute(statement)
            row = cursor.fetchone() if counting else None
            return str(row[0] if row else cursor.rowcount)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.RaiseException, psycopg.errors.IntegrityError):
        return "refused"
    except psycopg.Error as error:
        return f"{type(error).__name__}: {error.diag.message_primary}"


@contextmanager
def _acting(connection: Connection, role: str, user: str) -> Iterator[None]:
    """Act as that role and user; whatever is done is rolled back."""
    with connection.transaction(force_rollback=True):
        for setting in WHO:
            connection.execute("SELECT set_config(%s, %s, true)", (setting, user))
        connection.execute("SELECT set_config('row_security', 'on', true)")
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        yield
