"""Attempts to reach another tenant's rows through functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from mantis_runbook.checks.tenants.acting import Acts, acting, become
from mantis_runbook.checks.tenants.attempt import Crossing, Pair, is_unshown, judged, tried
from mantis_runbook.checks.tenants.tables import Table
from mantis_runbook.postgres.connection import message_of, query, rows

__all__ = ["on_function", "state"]

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

State = list[tuple[Any, ...]]


def on_function(
    pair: Pair, function: dict[str, Any], tables: Sequence[Table]
) -> Iterator[Crossing]:
    """Call a function, as `sql/tenants/functions.sql` tells it, with each id of the other tenant
    for every uuid it takes.

    It must answer as it does for an id that nobody has, and leave the other tenant's rows as they
    were: then it tells nothing of them and does nothing to them, whatever it does otherwise and
    with whose rights.
    """
    for words, role, who, allowed in (
        ("a user of another tenant", "authenticated", pair.here, function["for_users"]),
        ("nobody", "anon", pair.nobody, function["for_nobody"]),
    ):
        if allowed and role in pair.roles:
            yield from _called(pair, function, tables, words, role, who)


def _called(
    pair: Pair, function: dict[str, Any], tables: Sequence[Table], words: str, role: str, who: Acts
) -> Iterator[Crossing]:
    takes_ids = any(kind in ("uuid", "uuid[]") for kind in function["types"])
    ids = [pair.there.org, pair.there.user, *pair.there.rows.values()] if takes_ids else []
    written = _written(pair)
    with acting(pair.connection, role, who):
        unknown = _answer(pair, function, str(uuid4()))
        answers = [] if is_unshown(unknown) else _answers(pair, function, ids)
        become(pair.connection, pair.owner, pair.there)
        touched = _touched(pair, tables, written)
        after = _state(pair, touched)
    changed = after is not None and bool(touched) and after != _state(pair, touched)
    other = sum(answer != unknown for answer in answers if not is_unshown(answer))
    answers_with_mark = sum(pair.there.mark in answer for answer in (unknown, *answers))
    ended = next((answer for answer in (unknown, *answers) if is_unshown(answer)), "")
    learnt = (
        f"{other + answers_with_mark} answer(s) tell of it"
        if other + answers_with_mark
        else ended or "0"
    )
    yield _crossing(function, f"learn of the other tenant, called by {words}", learnt)
    counted = "" if after is not None else "57014: its rows were not counted within the limit"
    done = "its rows are not what they were" if changed else ended or counted or "0"
    yield _crossing(function, f"change the other tenant, called by {words}", done)


def _crossing(function: dict[str, Any], attempt: str, outcome: str) -> Crossing:
    return Crossing(
        function["name"], attempt, outcome, judged(outcome, lambda outcome_: outcome_ == "0")
    )


def _answers(pair: Pair, function: dict[str, Any], ids: Sequence[str]) -> list[str]:
    """The answer for each id: in one statement, or one after the other where one of them ends in an
    error.
    """
    asked = sql.SQL(
        "SELECT place, r::text FROM unnest({}::uuid[]) WITH ORDINALITY AS asked (id, place),"
        " LATERAL {} AS r"
    ).format(list(ids), _call(function, sql.SQL("asked.id")))
    try:
        found = tried(pair.connection, asked, keep=True).fetchall() if ids else []
    except psycopg.Error:
        return _one_by_one(pair, function, ids)
    by_place: dict[object, list[str]] = {}
    for place, row in found:
        by_place.setdefault(place, []).append(UUID.sub("…", str(row)))
    return ["\n".join(sorted(by_place.get(place, []))) for place in range(1, len(ids) + 1)]


def _one_by_one(pair: Pair, function: dict[str, Any], ids: Sequence[str]) -> list[str]:
    """The same, as far as a limit is reached."""
    answers: list[str] = []
    for identifier in ids:
        answers.append(_answer(pair, function, identifier))
        if is_unshown(answers[-1]):
            break
    return answers


def _answer(pair: Pair, function: dict[str, Any], identifier: str) -> str:
    """All rows as text, or SQLSTATE and message; ids are masked, for one is asked for and others
    are drawn.
    """
    try:
        found = tried(
            pair.connection,
            sql.SQL("SELECT r::text FROM {} AS r").format(_call(function, identifier)),
            keep=True,
        ).fetchall()
    except psycopg.Error as error:
        return UUID.sub("…", f"{error.sqlstate} {message_of(error)}")
    return "\n".join(sorted(UUID.sub("…", str(row[0])) for row in found))


def _call(function: dict[str, Any], identifier: object) -> sql.Composed:
    """The call with that id, a value or an expression, for every uuid."""
    values = [
        {"uuid": identifier, "uuid[]": sql.SQL("ARRAY[{}]").format(identifier)}.get(kind, sample)
        for kind, sample in zip(function["types"], function["samples"], strict=True)
    ]
    arguments = [
        sql.SQL("{}::").format(value) + sql.SQL(kind)
        for kind, value in zip(function["types"], values, strict=True)
    ]
    name = sql.Identifier("public", function["function"])
    return sql.SQL("{}({})").format(name, sql.SQL(", ").join(arguments))


def state(pair: Pair, tables: Sequence[Table]) -> State:
    """Of each table how many rows the other tenant has, and what the one made for the proof holds;
    in one order always, for parallel workers hand the tables over as they come to them.
    """
    parts = []
    for table in tables:
        condition = table.of(pair.there)
        if condition is None:
            continue
        made = table.made_by(pair.there) or condition
        parts.append(
            sql.SQL(
                "SELECT {}, count(*), string_agg(md5(r::text), ',' ORDER BY md5(r::text)) FILTER"
                " (WHERE {}) FROM {} AS r WHERE {}"
            ).format(table.name, made, table.relation, condition)
        )
    with acting(pair.connection, pair.owner, pair.there):
        return sorted(
            pair.connection.execute(sql.SQL(" UNION ALL ").join(parts)).fetchall(), key=str
        )


def _state(pair: Pair, tables: Sequence[Table]) -> State | None:
    """The same of these tables; None where the limit does not suffice to count them."""
    try:
        return state(pair, tables) if tables else []
    except psycopg.errors.QueryCanceled:
        return None


def _written(pair: Pair) -> dict[str, tuple[int, str]]:
    return {
        row["name"]: (row["rows"], row["places"])
        for row in rows(pair.connection, query("tenants/written"))
    }


def _touched(
    pair: Pair, tables: Sequence[Table], before: dict[str, tuple[int, str]]
) -> list[Table]:
    """The tables that were written since; all of them where the server does not count."""
    now = _written(pair)
    return [table for table in tables if not now or before.get(table.name) != now.get(table.name)]
