"""Scenarios carried out on a connection, in transactions that are rolled back."""

from __future__ import annotations

import random
import re
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from mantis_runbook.backup import scratch
from mantis_runbook.errors import Failed, Refused
from mantis_runbook.postgres.analyse import analyse
from mantis_runbook.postgres.connection import Connection, connect, message_of, query, rows
from mantis_runbook.postgres.target import Target
from mantis_runbook.rehearsal.performance.scenarios import (
    Assignment,
    Scenario,
    Statement,
    Value,
    bind,
    evaluate,
)

__all__ = [
    "Bound",
    "copied",
    "deferred",
    "level",
    "opened",
    "play",
    "rewrite",
    "rolled_back",
    "run",
    "run_rows",
    "steps",
    "tried",
]

#: What would make two executions of one statement differ for reasons that are not the database's:
#: parallel workers (each reads its own share), compilation by cost, sequential scans that begin
#: where another one stands, plans that turn generic at the sixth execution. `row_security` is on:
#: the scenarios act as users.
SESSION = {
    "row_security": "on",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "synchronize_seqscans": "off",
    "plan_cache_mode": "force_custom_plan",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "0",
}

#: ANALYZE reads 300 rows for each point of this target: all rows of tables up to 300,000, where the
#: default's sample would make the statistics, and now and then a plan, a matter of chance.
STATISTICS_TARGET = "1000"

#: What stands in for a script's transaction that it rolls back.
SAVEPOINT = {"begin": "SAVEPOINT of_the_script", "rollback": "ROLLBACK TO SAVEPOINT of_the_script"}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Bound:
    """A statement with its variables' values in place; COMMIT checks deferred constraints."""

    statement: Statement
    text: str


def opened(target: Target, timeout_s: int = 60, **session: str) -> Connection:
    """A fresh session for scenarios; a statement longer than `timeout_s` seconds fails."""
    connection = connect(
        target, "performance", **(SESSION | session), statement_timeout=f"{timeout_s}s"
    )
    # psycopg deallocates all statements, also those a scenario prepared, once it has prepared one
    # and sees an ALTER.
    connection.prepare_threshold = None
    return connection


def level(target: Target) -> dict[str, int]:
    """Vacuum and analyse, so that two databases stand alike; the size of each table, in blocks.

    A table that cannot be analysed stays without statistics in both: the proof of the backup named
    it.
    """
    with _maintaining(target) as connection:
        connection.execute("VACUUM (FREEZE, INDEX_CLEANUP ON)")
        analyse(connection)
        return _sizes(connection)


def rewrite(target: Target, tables: Sequence[str]) -> dict[str, int]:
    """Rewrite these tables and their indexes without dead space; names and sizes as with `level`.

    Rows come to lie in the order of their primary key, so that two databases hold the same rows
    side by side.
    """
    with _maintaining(target) as connection:
        keys = {
            row["name"]: row["key"]
            for row in rows(connection, query("performance/keys"), {"tables": list(tables)})
        }
        for table in tables:
            key = keys.get(table)
            connection.execute(
                (f"CLUSTER {table} USING {key}" if key else f"VACUUM (FULL) {table}").encode()
            )
        if tables:
            connection.execute(b"VACUUM (FREEZE) " + ", ".join(tables).encode())
            analyse(connection, tables)
        return _sizes(connection)


def _sizes(connection: Connection) -> dict[str, int]:
    return {row["name"]: row["blocks"] for row in rows(connection, query("performance/sizes"))}


def _maintaining(target: Target) -> Connection:
    return connect(
        target, "performance", lock_timeout="0", default_statistics_target=STATISTICS_TARGET
    )


@contextmanager
def copied(target: Target) -> Iterator[Target]:
    """A copy of the database beside it, alike to the byte, for the length of the block.

    Raises `Refused` when somebody is connected to the database, or the role may not copy it.
    """
    source = target.complete()["dbname"]
    name = f"{scratch.PREFIX}copy_{secrets.token_hex(8)}"
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    with connect(target, "performance", lock_timeout="0") as connection:
        _copy(connection, source, name)
    try:
        yield target.database(name)
    finally:
        with connect(target, "performance", lock_timeout="0") as connection:
            connection.execute(drop)


def _copy(connection: Connection, source: str, name: str) -> None:
    known = rows(
        connection,
        "SELECT shobj_description(oid, 'pg_database') AS mark FROM pg_database WHERE datname = %s",
        (source,),
    )
    origin = scratch.Mark.from_json(known[0]["mark"]) if known else None
    mark = scratch.mark_of(origin.run if origin else "", origin.target if origin else "", source)
    try:
        scratch.make(connection, name, source, mark)
    except (
        psycopg.errors.ObjectInUse,
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.DiskFull,
    ) as error:
        raise Refused(
            f"database {source} cannot be copied to count in the copy",
            found=f"{message_of(error)} ({error.diag.message_detail or 'no detail'})",
            expected=(
                "no other session in it, a role with CREATEDB that owns it, and disk for the copy"
            ),
            action="end the sessions, grant the right, or free the disk",
        ) from None


def deferred(connection: Connection) -> str:
    """The statement that defers again what COMMIT checked; empty where nothing is deferred."""
    names = [row["name"] for row in rows(connection, query("performance/deferred"))]
    return f"SET CONSTRAINTS {', '.join(names)} DEFERRED" if names else ""


def steps(scenario: Scenario, seed: int, defer: str = "") -> Generator[Bound, Row | None, None]:
    r"""The scenario's statements, bound. Send in the row of a statement that has a `\gset`.

    One transaction surrounds them all, so the script's own BEGIN and COMMIT are replaced: BEGIN
    does nothing, COMMIT checks the deferred constraints and ends the role. Where the script ends a
    transaction with ROLLBACK, both become a savepoint's.
    """
    draw, variables = random.Random(f"{seed} {scenario.name}"), dict[str, Value]()
    undone = _undone(scenario)
    for item in scenario.items:
        if isinstance(item, Assignment):
            variables[item.name] = evaluate(item, variables, draw)
        elif item.kind == "commit":
            yield Bound(item, "SET CONSTRAINTS ALL IMMEDIATE")
            for after in filter(None, (defer, "RESET ROLE")):
                yield Bound(Statement(item.scenario, after, item.line, "setting"), after)
        elif item.kind in ("begin", "rollback"):
            if item.line in undone:
                text = SAVEPOINT[item.kind]
                yield Bound(Statement(item.scenario, text, item.line, "setting"), text)
        else:
            row = yield Bound(item, bind(item.text, variables))
            variables |= _gset(item, row)


def _undone(scenario: Scenario) -> frozenset[int]:
    """The lines of each BEGIN and ROLLBACK that belong together."""
    lines: set[int] = set()
    begun: int | None = None
    for statement in scenario.statements:
        if statement.kind == "rollback" and begun is not None:
            lines |= {begun, statement.line}
        if statement.kind in ("begin", "commit", "rollback"):
            begun = statement.line if statement.kind == "begin" else None
    return frozenset(lines)


def _gset(statement: Statement, row: Row | None) -> dict[str, Value]:
    if statement.gset is None:
        return {}
    if row is None:
        raise Failed(
            f"scenario statement {statement.name}",
            found="no row",
            expected=r"one row for its \gset",
        )
    return {
        f"{statement.gset}{name}": str(value) for name, value in row.items() if value is not None
    }


def play(
    connection: Connection, scenario: Scenario, seed: int, execute: Callable[[Bound], Row | None]
) -> None:
    """Carry a scenario out; `execute` gives the first row of a statement with a `\\gset`."""
    each = steps(scenario, seed, deferred(connection))
    try:
        bound = next(each)
        while True:
            bound = each.send(execute(bound))
    except StopIteration:
        return


def tried(
    connection: Connection, scenario: Scenario, seed: int, *, reads_only: bool = False
) -> dict[str, int]:
    """Play a scenario once and roll it back; the tables that it wrote to, quoted, and their oids.

    Raises `Failed`, naming the statement that does not run; with `reads_only` that is also one that
    writes.
    """
    with rolled_back(connection):
        if reads_only:
            connection.execute("SET LOCAL transaction_read_only = on")
        play(connection, scenario, seed, lambda bound: run(connection, bound))
        return {row["name"]: row["oid"] for row in rows(connection, query("performance/touched"))}


def run(connection: Connection, bound: Bound) -> Row | None:
    """Execute one bound statement; its first row, by column, if it has a `\\gset`. Raises `Failed`,
    naming it.
    """
    cursor = _execute(connection, bound)
    if bound.statement.gset is None or cursor.description is None:
        return None
    row = cursor.fetchone()
    return (
        dict(zip((column.name for column in cursor.description), row, strict=True)) if row else None
    )


def run_rows(connection: Connection, bound: Bound) -> list[Any]:
    """All rows of one bound statement. Raises `Failed`, naming it."""
    return _execute(connection, bound).fetchall()


def _execute(connection: Connection, bound: Bound) -> psycopg.Cursor[Any]:
    try:
        return connection.execute(bound.text.encode(), prepare=False)
    except psycopg.Error as error:
        raise Failed(
            f"scenario statement {bound.statement.name} failed",
            found=_without_value(message_of(error)),
            expected="a statement that runs before and after the migration alike",
            action="the application sends it too: see what the migration changed under it",
        ) from error


def _without_value(message: str) -> str:
    """What the server says of a value, without the value: it may be drawn from the data."""
    return re.sub(
        r'(invalid input (?:syntax|value) for [^:]*|value out of range[^:]*): ".*',
        r"\1",
        message,
        flags=re.DOTALL,
    )


@contextmanager
def rolled_back(connection: Connection) -> Iterator[None]:
    """A transaction whose `now()` has six digits behind the point, and that never commits.

    PostgreSQL drops trailing zeros when it writes a timestamp into JSON: one audit row in ten would
    be a byte shorter.
    """
    while True:
        connection.execute("BEGIN")
        row = connection.execute(
            "SELECT extract(microseconds FROM now())::bigint %% 10 <> 0", ()
        ).fetchone()
        if row == (True,):
            break
        connection.execute("ROLLBACK")
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("ROLLBACK")
