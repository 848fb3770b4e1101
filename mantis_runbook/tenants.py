"""Tenants stay apart: shown by acting as users of two organisations, as a user of none, and as nobody."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from psycopg.pq import TransactionStatus

from mantis_runbook.acting import own_role
from mantis_runbook.crossing import Crossing, Pair, Tenant
from mantis_runbook.database import Connection, query, rows
from mantis_runbook.errors import Inconclusive
from mantis_runbook.tenant_functions import on_function, state
from mantis_runbook.tenant_rows import settle
from mantis_runbook.tenant_tables import Table, on_table
from mantis_runbook.tenant_views import on_view

__all__ = ["Crossing", "Separation", "prove"]


@dataclass(frozen=True)
class Separation:
    """All attempts. One that could not be made is not passed."""

    attempts: tuple[Crossing, ...]

    @property
    def verdict(self) -> str:
        """pass, fail, or inconclusive: somewhere there was nothing to reach for."""
        found = {one.verdict for one in self.attempts}
        return "fail" if "fail" in found or not found else "inconclusive" if "inconclusive" in found else "pass"

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
        found = "; ".join(f"{one.attempt}: {one.found}" for one in ours if one.verdict != "pass")
        return {
            "table": table,
            "verdict": Separation(tuple(ours)).verdict,
            "attempts": len(ours),
            "found": found or "apart",
        }


def prove(connection: Connection, *, only: Collection[str] = ()) -> Separation:
    """Try to cross from one tenant to another by every table, view and function; nothing of it is left.

    In one transaction, rolled back at its end, a row of either tenant is made in each table, by a user of it: what the
    other must not reach is there even where the table is new. `connection` is the tables' owner, who may become
    `authenticated` and `anon`. `only` names the tables, views and functions (as PostgreSQL writes them, with the types of
    their arguments) that are tried; none means all. Raises `Inconclusive` with fewer than two organisations to act for.
    """
    pair = rows(connection, query("tenants/two_tenants"))
    if len(pair) < 2:
        raise Inconclusive(
            "tenant isolation was not shown", found=f"{len(pair)} organisation(s) with an active user", expected="two",
            action="run it on a database with at least two tenants",
        )  # fmt: skip
    here, there = (Tenant(one["org_id"], one["user_id"]) for one in pair)
    alone = connection.info.transaction_status == TransactionStatus.IDLE
    with connection.transaction(force_rollback=True):
        if alone:  # What the application writes meanwhile is not seen, and so is not taken for the work of an attempt.
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        attempts = _attempts(Pair(connection, own_role(connection), here, there), only)
        return Separation(tuple(one for one in attempts if not only or one.table in only))


def _attempts(pair: Pair, only: Collection[str]) -> Iterator[Crossing]:
    def told(name: str) -> list[dict[str, Any]]:
        return [row for row in rows(pair.connection, query(f"tenants/{name}")) if not only or row["name"] in only]

    tables = [Table(**row) for row in rows(pair.connection, query("tenants/tables"))]
    yield from settle(pair, {table.name: table.may_insert for table in tables})
    for table in tables:
        if not only or table.name in only:
            yield from on_table(pair, table)
    for view in told("views"):
        yield from on_view(pair, view)
    if functions := told("functions"):
        before = state(pair, tables)
        for function in functions:
            yield from on_function(pair, function, tables, before)
    for door in told("open_doors"):
        yield Crossing(door["name"], "read around the policies", door["why"], "fail")
