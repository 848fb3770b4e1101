"""Attempts to reach another tenant's rows through functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from mantis_runbook.acting import acting, become
from mantis_runbook.crossing import Crossing, Pair
from mantis_runbook.tenant_tables import Table

__all__ = ["on_function", "state"]

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

State = list[tuple[Any, ...]]

#: Longer than a function of the application takes, shorter than anybody waits for a proof.
LIMIT = "10s"


def on_function(pair: Pair, function: dict[str, Any], tables: Sequence[Table], before: State) -> Iterator[Crossing]:
    """Call a function, as `sql/tenants/functions.sql` tells it, with each id of the other tenant for every uuid it takes.

    It must answer as it does for an id that nobody has, and leave the other tenant's rows as they were `before`: then it
    tells nothing of them and does nothing to them, whatever it does otherwise and with whose rights.
    """
    for role, user, allowed in (
        ("authenticated", pair.here.user, function["for_users"]),
        ("anon", "", function["for_nobody"]),
    ):
        if allowed:
            yield from _called(pair, function, tables, before, role, user)


def _called(
    pair: Pair, function: dict[str, Any], tables: Sequence[Table], before: State, role: str, user: str
) -> Iterator[Crossing]:
    who = "a user of another tenant" if role == "authenticated" else "nobody"
    takes_ids = any(kind in ("uuid", "uuid[]") for kind in function["types"])
    ids = [pair.there.org, pair.there.user, *pair.there.rows.values()] if takes_ids else []
    with acting(pair.connection, role, user):
        pair.connection.execute("SELECT set_config('statement_timeout', %s, true)", (LIMIT,))
        unknown = _answer(pair, function, str(uuid4()))
        answers = [_answer(pair, function, one) for one in ids]
        become(pair.connection, pair.owner, pair.there.user)
        after = state(pair, tables)
    other = sum(answer != unknown for answer in answers)
    told = sum(pair.there.mark in answer for answer in (unknown, *answers))
    yield _crossing(
        function, f"learn of the other tenant, called by {who}", other + told, f"{other + told} answer(s) tell of it"
    )
    yield _crossing(
        function, f"change the other tenant, called by {who}", before != after, "its rows are not what they were"
    )


def _crossing(function: dict[str, Any], attempt: str, crossed: int, found: str) -> Crossing:
    return Crossing(function["name"], attempt, found if crossed else "0", "fail" if crossed else "pass")


def _answer(pair: Pair, function: dict[str, Any], identifier: str) -> str:
    """All rows as text, or SQLSTATE and message; ids are masked, for one is asked for and others are drawn."""
    try:
        with pair.connection.transaction():
            found = pair.connection.execute(_call(function, identifier)).fetchall()
    except psycopg.Error as error:
        return UUID.sub("…", f"{error.sqlstate} {error.diag.message_primary}")
    return "\n".join(sorted(UUID.sub("…", str(row[0])) for row in found))


def _call(function: dict[str, Any], identifier: str) -> sql.Composed:
    values = [
        {"uuid": identifier, "uuid[]": f"{{{identifier}}}"}.get(kind, sample)
        for kind, sample in zip(function["types"], function["samples"], strict=True)
    ]
    arguments = [
        sql.SQL("{}::").format(value) + sql.SQL(kind) for kind, value in zip(function["types"], values, strict=True)
    ]
    name = sql.Identifier("public", function["function"])
    return sql.SQL("SELECT r::text FROM {}({}) AS r").format(name, sql.SQL(", ").join(arguments))


def state(pair: Pair, tables: Sequence[Table]) -> State:
    """Of each table how many rows the other tenant has, and what the one made for the proof holds; in one order always,
    for parallel workers hand the tables over as they come to them."""
    parts = []
    for table in tables:
        condition = table.of(pair.there)
        if condition is None:
            continue
        made = table.made_by(pair.there) or condition
        parts.append(
            sql.SQL(
                "SELECT {}, count(*), string_agg(md5(r::text), ',' ORDER BY md5(r::text)) FILTER (WHERE {}) FROM {} AS r WHERE {}"
            ).format(table.name, made, table.relation, condition)
        )
    with acting(pair.connection, pair.owner, pair.there.user):
        return sorted(pair.connection.execute(sql.SQL(" UNION ALL ").join(parts)).fetchall(), key=str)
