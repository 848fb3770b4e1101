"""Tenants stay apart: shown by acting as users of two organisations, as a user of none, and as
nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from mantis_runbook.checks.tenants.acting import NOBODY, Guise, become, obstacle, own_role
from mantis_runbook.checks.tenants.acts_as import ActsAs, Person
from mantis_runbook.checks.tenants.attempt import Crossing, Pair, Tenant, bound
from mantis_runbook.checks.tenants.functions import on_function
from mantis_runbook.checks.tenants.made_rows import furnish
from mantis_runbook.checks.tenants.rows import settle
from mantis_runbook.checks.tenants.settings import learn, person
from mantis_runbook.checks.tenants.tables import Table, on_table
from mantis_runbook.checks.tenants.views import on_view
from mantis_runbook.errors import Inconclusive
from mantis_runbook.postgres.connection import Connection, message_of, query, rows

__all__ = ["Crossing", "Separation", "prove"]

Watcher = Callable[[str], None]


@dataclass(frozen=True)
class Separation:
    """All attempts. One that could not be made is not passed. `acts` says how sessions act as
    tenants, `notes` what kept some attempts from being made at all.
    """

    attempts: tuple[Crossing, ...]
    acts: ActsAs = field(default_factory=ActsAs)
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """pass, fail, or inconclusive: somewhere there was nothing to reach for."""
        verdicts = {one.verdict for one in self.attempts}
        return (
            "fail"
            if "fail" in verdicts or not verdicts
            else "inconclusive"
            if "inconclusive" in verdicts
            else "pass"
        )

    @property
    def leaks(self) -> tuple[Crossing, ...]:
        """Attempts that are not passed: rows reached, rightful work refused, nothing shown."""
        return tuple(one for one in self.attempts if one.verdict != "pass")

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record a table, view or function: its attempts, and the leaks in full."""
        tables = list(dict.fromkeys(one.table for one in self.attempts))
        return [self._record(table) for table in tables]

    def _record(self, table: str) -> dict[str, Any]:
        ours = [one for one in self.attempts if one.table == table]
        outcomes = "; ".join(f"{one.attempt}: {one.found}" for one in ours if one.verdict != "pass")
        return {
            "table": table,
            "verdict": Separation(tuple(ours)).verdict,
            "attempts": len(ours),
            "found": outcomes or "apart",
        }


def prove(
    connection: Connection,
    *,
    only: Collection[str] = (),
    rests: Callable[[str], bool] = lambda name: False,
    watch: Watcher = lambda name: None,
) -> Separation:
    """Try to cross from one tenant to another by every table, view and function; nothing of it is
    left.

    In one transaction, rolled back at its end, a row of either tenant is made in each table, by a
    user of it: what the other must not reach is there even where the table is new. `connection` is
    the tables' owner, who may become `authenticated` and `anon`. `only` names the tables, views and
    functions (as PostgreSQL writes them, with the types of their arguments) that are tried; none
    means all. What `rests` on an earlier proof is not tried again. `watch` is told each name before
    it is tried. Every statement is bounded in time: what does not end by then is inconclusive.
    Raises `Inconclusive` with fewer than two organisations to act for, or where nobody can act as a
    user.
    """
    alone = connection.info.transaction_status == TransactionStatus.IDLE
    with connection.transaction(force_rollback=True):
        # A snapshot of its own: what the application writes meanwhile is not taken for the work of
        # an attempt.
        if alone:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        bound(connection)
        return _Proof(connection, only, rests, watch).separation()


@dataclass(frozen=True)
class _Proof:
    connection: Connection
    only: Collection[str]
    rests: Callable[[str], bool]
    watch: Watcher

    def separation(self) -> Separation:
        obstacles = {role: obstacle(self.connection, role) for role in ("authenticated", "anon")}
        if why := obstacles["authenticated"]:
            raise Inconclusive(
                "tenant isolation was not shown",
                found=why,
                expected="a session that acts as a user",
                action="act on it where users of the application do",
            )
        people = [
            person(self.connection, row["user_id"], row["org_id"]) for row in self._organisations()
        ]
        tables = [Table(**row) for row in rows(self.connection, query("tenants/tables"))]
        owner = own_role(self.connection)
        acts = learn(self.connection, owner, people, tables)
        pair = _pair(
            self.connection,
            owner,
            people,
            acts,
            frozenset(one for one, why in obstacles.items() if not why),
        )
        attempts = tuple(
            _weighed(crossing, acts)
            for crossing in self._attempts(pair, tables)
            if not self.only or crossing.table in self.only
        )
        notes = tuple(f"nothing was tried as nobody: {why}" for why in obstacles.values() if why)
        return Separation(attempts, acts, notes)

    def _organisations(self) -> list[dict[str, Any]]:
        """Two organisations and a user of each: as the policies find a user's organisation."""
        found = []
        extended = rows(
            self.connection,
            "SELECT to_regclass('auth.users_extended') IS NOT NULL AND EXISTS ( SELECT FROM"
            " pg_policy WHERE concat(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck,"
            " polrelid)) LIKE '%users_extended%' UNION ALL SELECT FROM pg_proc WHERE prosrc LIKE"
            " '%users_extended%') AS decides",
        )[0]["decides"]
        try:
            with self.connection.transaction():
                found = (
                    rows(self.connection, query("tenants/two_tenants_extended")) if extended else []
                )
                found = (
                    found
                    if len(found) == 2
                    else rows(self.connection, query("tenants/two_tenants"))
                )
        except psycopg.errors.ProgrammingError as error:
            raise self._too_few(
                f"no way to tell users and organisations: {message_of(error)}"
            ) from None
        if len(found) < 2:
            raise self._too_few(f"{len(found)} organisation(s) with an active user")
        return found

    def _too_few(self, found: str) -> Inconclusive:
        return Inconclusive(
            "tenant isolation was not shown",
            found=found,
            expected="two",
            action="run it on a database with at least two tenants",
        )

    def _attempts(self, pair: Pair, tables: Sequence[Table]) -> Iterator[Crossing]:
        made = settle(pair, {table.name: table.may_insert for table in tables})
        yield from (one for one in made if self._is_wanted(one.table))
        for table in tables:
            if table.name not in pair.there.rows:
                furnish(pair, table)
        become(self.connection, pair.owner, pair.nobody)
        for table in tables:
            if self._is_wanted(table.name):
                yield from on_table(pair, table)
        for view in self._told("views"):
            yield from on_view(pair, view)
        for function in self._told("functions"):
            yield from on_function(pair, function, tables)
        for door in rows(self.connection, query("tenants/open_doors")):
            if not self.only or door["name"] in self.only:
                yield Crossing(door["name"], "read around the policies", door["why"], "fail")

    def _told(self, name: str) -> Iterator[dict[str, Any]]:
        return (
            row
            for row in rows(self.connection, query(f"tenants/{name}"))
            if self._is_wanted(row["name"])
        )

    def _is_wanted(self, name: str) -> bool:
        if (self.only and name not in self.only) or self.rests(name):
            return False
        self.watch(name)
        return True


def _pair(
    connection: Connection, owner: str, people: list[Person], acts: ActsAs, roles: frozenset[str]
) -> Pair:
    here, there = (Tenant(one.org, one.user, settings=acts.values(one)) for one in people)
    nowhere = NOBODY if not here.org.isdigit() else "-1"
    stranger = Person(NOBODY, nowhere, "stranger@example.org")
    return Pair(
        connection,
        owner,
        here,
        there,
        Guise(acts.values(Person())),
        Guise(acts.values(stranger)),
        roles,
    )


def _weighed(crossing: Crossing, acts: ActsAs) -> Crossing:
    """A refusal of rightful work says nothing where nobody knows what makes a session a user's;
    rows reached always do.
    """
    lost = acts.tables_unknown.get(crossing.table)
    refused = (
        crossing.attempt in ("read own rows", "insert an own row") or not crossing.found.isdigit()
    )
    if crossing.verdict != "fail" or not lost or not refused:
        return crossing
    return replace(
        crossing,
        verdict="inconclusive",
        found=f"{crossing.found}; nobody knows what {lost} must hold",
    )
