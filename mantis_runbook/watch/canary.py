"""The probe's statements: what each lane executes at every instant, as an application would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from mantis_runbook.postgres.connection import Connection, query, rows

__all__ = ["Canary", "Task", "acknowledging", "reading", "writing"]

Text = sql.SQL | sql.Composed


@dataclass(frozen=True)
class Canary:
    """The statements of a lane: one that prepares, if any, and one for each instant.

    They are prepared because applications' are: a plan that outlives a change of its table fails
    here as it does there.
    """

    prepare: Text | None
    execute: Callable[[int], Text]


Task = Callable[[Connection], Canary]


def reading(table: str) -> Task:
    """Reads a row by its key, with the columns the table had when the probe began."""
    return _kept(_reading, table)


def writing(table: str) -> Task:
    """Takes a writer's lock, and touches no row: it waits exactly as a writer does, and changes
    nothing.
    """
    return _kept(_writing, table)


def acknowledging(probe: str) -> Task:
    """Writes a row of the runbook's own at each instant: what is acknowledged must be there
    afterwards.
    """
    return _kept(_acknowledging, probe)


def _kept(compose: Callable[[Connection, str], Canary], subject: str) -> Task:
    """Composed once and then kept: an application knows the columns of its tables from before,
    too.
    """
    kept: list[Canary] = []

    def canary(connection: Connection) -> Canary:
        if not kept:
            kept.append(compose(connection, subject))
        return kept[0]

    return canary


def _prepared(body: Text) -> Canary:
    execute = sql.SQL("EXECUTE canary")
    return Canary(sql.SQL("PREPARE canary AS {}").format(body), lambda number: execute)


def _reading(connection: Connection, table: str) -> Canary:
    known, name = _known(connection, table)
    columns = sql.SQL(", ").join(map(sql.Identifier, known["columns"]))
    where = _by_key(connection, name, known["key"])
    return _prepared(sql.SQL("SELECT {} FROM {}{} LIMIT 1").format(columns, name, where))


def _by_key(connection: Connection, table: sql.Identifier, key: list[str]) -> Text:
    """The condition that finds some row by its primary key; none where there is no key, or no
    row.
    """
    if not key:
        return sql.SQL("")
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in key)
    row = connection.execute(sql.SQL("SELECT {} FROM {} LIMIT 1").format(texts, table)).fetchone()
    if row is None:
        return sql.SQL("")
    terms = (
        sql.SQL("{} = {}").format(sql.Identifier(name), value)
        for name, value in zip(key, row, strict=True)
    )
    return sql.SQL(" WHERE ") + sql.SQL(" AND ").join(terms)


def _writing(connection: Connection, table: str) -> Canary:
    known, name = _known(connection, table)
    if known["has_statement_trigger"]:
        # Such a trigger would fire, rows or none.
        body = (
            sql.SQL("BEGIN LOCK TABLE {} IN ROW EXCLUSIVE MODE; END")
            .format(name)
            .as_string(connection)
        )
        block = sql.SQL("DO {}").format(body)
        return Canary(None, lambda number: block)
    return _prepared(
        sql.SQL("UPDATE {0} SET {1} = {1} WHERE false").format(
            name, sql.Identifier(known["settable"])
        )
    )


def _acknowledging(connection: Connection, probe: str) -> Canary:
    insert = (
        "PREPARE canary (bigint) AS INSERT INTO mantis_runbook.canary (probe, number) VALUES"
        " ({}, $1)"
    )
    return Canary(
        sql.SQL(insert).format(probe), lambda number: sql.SQL("EXECUTE canary ({})").format(number)
    )


def _known(connection: Connection, table: str) -> tuple[dict[str, Any], sql.Identifier]:
    known = rows(connection, query("probe/table"), {"table": table})[0]
    return known, sql.Identifier(known["schema"], known["name"])
