"""Attempts to cross from one tenant to another on a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from psycopg import sql

from mantis_runbook.checks.tenants.acting import Acts, acting
from mantis_runbook.checks.tenants.attempt import (
    REFUSED,
    Crossing,
    Pair,
    Tenant,
    count,
    is_nothing,
    judged,
    reached,
    stopped,
    where,
)
from mantis_runbook.postgres.connection import rows

__all__ = ["Table", "on_table"]

TRUE = sql.SQL("true")


@dataclass(frozen=True)
class Table:
    """A table as `sql/tenants/tables.sql` tells it."""

    name: str
    is_tenant: bool
    owner_column: str | None
    may_be_nobodys: bool | None
    home: str | None
    parent: str | None
    has_id: bool
    settable: list[str]
    is_split: bool
    defaulted: str | None
    may_select: bool
    may_insert: bool

    @property
    def relation(self) -> sql.Identifier:
        return sql.Identifier("public", self.name)

    @property
    def key(self) -> sql.Identifier:
        """A column to change without changing anything."""
        return sql.Identifier(self.owner_column or ("id" if self.has_id else self.settable[0]))

    def of(self, tenant: Tenant) -> sql.Composable | None:
        """The condition that a row is that tenant's; None where nobody can tell."""
        if self.owner_column:
            return sql.SQL("r.{} = {}").format(sql.Identifier(self.owner_column), tenant.org)
        return self.made_by(tenant)

    def made_by(self, tenant: Tenant) -> sql.Composable | None:
        """The condition that a row is the one made for the proof; None where there is none."""
        if self.has_id and self.name in tenant.rows:
            return sql.SQL("r.id = {}").format(tenant.rows[self.name])
        return None


def on_table(pair: Pair, table: Table) -> Iterator[Crossing]:
    """Every attempt on one table, as a user of another tenant, a user of none, and nobody."""
    if not table.is_tenant:
        yield from _shared(pair, table)
        return
    foreign, own = table.of(pair.there), table.of(pair.here)
    copy = None if foreign is None else _copy(pair, table, foreign)
    if foreign is None or own is None or copy is None:
        yield Crossing(
            table.name,
            "reach a row of another tenant",
            "there is none to reach for",
            "inconclusive",
        )
        return
    for words, role, who in pair.strangers:
        attempt = _Attempt(pair, table, role, who)
        yield attempt.reach(f"read as {words}", count(table.relation))
        yield from _changes(attempt, foreign, copy, f" as {words}")
    yield from _as_user(_Attempt(pair, table, "authenticated", pair.here), foreign, own, copy)


@dataclass(frozen=True)
class _Attempt:
    """Attempts of one role and user on one table."""

    pair: Pair
    table: Table
    role: str
    who: Acts

    def made(self, words: str, statement: sql.Composed, passes: Callable[[str], bool]) -> Crossing:
        outcome = reached(self.pair.connection, self.role, self.who, statement)
        return Crossing(self.table.name, words, outcome, judged(outcome, passes))

    def reach(self, words: str, statement: sql.Composed) -> Crossing:
        return self.made(words, statement, lambda outcome: is_nothing(outcome, self.who))


def _as_user(
    attempt: _Attempt, foreign: sql.Composable, own: sql.Composable, copy: dict[str, Any]
) -> Iterator[Crossing]:
    table, pair = attempt.table, attempt.pair
    if table.may_select:
        yield attempt.made(
            "read own rows",
            count(table.relation, own),
            lambda found: found.isdigit() and found != "0",
        )
    yield attempt.reach("read the other tenant's rows", count(table.relation, foreign))
    if table.owner_column:
        column = sql.Identifier(table.owner_column)
        anybody = sql.SQL("r.{} <> {}").format(column, pair.here.org)
        yield attempt.reach("read anybody else's rows", count(table.relation, anybody))
        yield attempt.reach(
            "take the other tenant's rows", _set(table, column, pair.here.org, foreign)
        )
        given = table.made_by(pair.here) or own
        yield attempt.made(
            "give own rows away", _set(table, column, pair.there.org, given), stopped
        )
    elif table.home and table.parent in pair.there.rows:
        column, parent = sql.Identifier(table.home), pair.there.rows[table.parent]
        yield attempt.made(
            "hang an own row on the other tenant's", _set(table, column, parent, own), stopped
        )
    yield from _changes(attempt, foreign, copy, "")
    if table.may_be_nobodys:
        nobodys = sql.SQL("r.org_id IS NULL")
        yield from _changes(attempt, nobodys, copy | {"org_id": None}, " that are nobody's")
    if table.is_split:
        yield from _blind(attempt, own)


def _changes(
    attempt: _Attempt, foreign: sql.Composable, copy: dict[str, Any], which: str
) -> Iterator[Crossing]:
    """Insert, change and delete. A row is refused before any of its values is looked at: another
    error let it through.
    """
    table = attempt.table
    yield attempt.made(
        f"insert rows{which or ' for the other tenant'}",
        _insert(table, copy),
        lambda found: found == REFUSED,
    )
    yield attempt.reach(
        f"change rows{which or ' of the other tenant'}", _set(table, table.key, table.key, foreign)
    )
    yield attempt.reach(f"delete rows{which or ' of the other tenant'}", _delete(table, foreign))


def _blind(attempt: _Attempt, own: sql.Composable) -> Iterator[Crossing]:
    """Without reading a column, which would bring the policies for reading in, no more rows are
    reached than own ones.

    Deleting may end at a row that others refer to, whosever it is: that shows nothing, and is not
    held against the table.
    """
    table, pair = attempt.table, attempt.pair
    everything = sql.SQL("SELECT count(*) FROM {} AS r{}").format(table.relation, where(own))
    counted = reached(pair.connection, pair.owner, pair.here, everything)
    if not counted.isdigit():
        yield Crossing(
            table.name,
            "change rows unseen",
            f"own rows were not counted: {counted}",
            "inconclusive",
        )
        return
    limit = int(counted)

    def own_only(outcome: str) -> bool:
        return outcome == REFUSED or (outcome.isdigit() and int(outcome) <= limit)

    if table.defaulted:
        harmless = _set(table, sql.Identifier(table.defaulted), sql.SQL("DEFAULT"), None)
        yield attempt.made("change rows unseen", harmless, own_only)
    if table.owner_column:
        given = _set(table, sql.Identifier(table.owner_column), pair.there.org, None)
        yield attempt.made("give own rows away unseen", given, stopped)
    yield attempt.made(
        "delete rows unseen", _delete(table, None), lambda found: own_only(found) or stopped(found)
    )


def _shared(pair: Pair, table: Table) -> Iterator[Crossing]:
    """A table of all tenants: nobody reads it, and no user writes it."""
    if "anon" in pair.roles:
        yield _Attempt(pair, table, "anon", pair.nobody).reach(
            "read as nobody", count(table.relation)
        )
    user = _Attempt(pair, table, "authenticated", pair.here)
    insert = sql.SQL("INSERT INTO {} DEFAULT VALUES").format(table.relation)
    yield user.made("insert rows for all tenants", insert, lambda found: found == REFUSED)
    yield user.reach("change rows of all tenants", _set(table, table.key, table.key, TRUE))
    yield user.reach("delete rows of all tenants", _delete(table, TRUE))


def _copy(pair: Pair, table: Table, foreign: sql.Composable) -> dict[str, Any] | None:
    """A row of the other tenant, as its owner sees it, with an id of its own; the newest kind there
    is: one made for this.
    """
    statement = sql.SQL("SELECT to_jsonb(r)::text AS row FROM {} AS r WHERE {} LIMIT 1").format(
        table.relation, table.made_by(pair.there) or foreign
    )
    with acting(pair.connection, pair.owner, pair.there):
        found = rows(pair.connection, statement)
    if not found:
        return None
    row: dict[str, Any] = json.loads(found[0]["row"])
    return row | ({"id": str(uuid4())} if table.has_id else {})


def _insert(table: Table, row: dict[str, Any]) -> sql.Composed:
    columns = sql.SQL(", ").join(map(sql.Identifier, table.settable))
    return sql.SQL(
        "INSERT INTO {0} ({1}) OVERRIDING SYSTEM VALUE SELECT {1} FROM"
        " jsonb_populate_record(NULL::{0}, {2}::jsonb)"
    ).format(table.relation, columns, json.dumps(row))


def _set(
    table: Table, column: sql.Composable, value: object, condition: sql.Composable | None
) -> sql.Composed:
    return sql.SQL("UPDATE {} AS r SET {} = {}{}").format(
        table.relation, column, value, where(condition)
    )


def _delete(table: Table, condition: sql.Composable | None) -> sql.Composed:
    return sql.SQL("DELETE FROM {} AS r{}").format(table.relation, where(condition))
