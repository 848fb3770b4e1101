"""Scenarios carried out on a connection, statement by statement, in transactions that are rolled back."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from mantis_runbook.analyse import analyse
from mantis_runbook.database import Connection, connect, query, rows
from mantis_runbook.errors import Failed, Refused
from mantis_runbook.scenarios import Assignment, Scenario, Statement, Value, bind, evaluate
from mantis_runbook.target import Target

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
]

#: What would make two executions of one statement differ for reasons that are not the database's: parallel workers
#: (each reads its own share), compilation by cost, sequential scans that begin where another one stands, plans that
#: turn generic at the sixth execution. `row_security` is on: the scenarios act as users.
SESSION = {
    "row_security": "on",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "synchronize_seqscans": "off",
    "plan_cache_mode": "force_custom_plan",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "0",
}

#: ANALYZE reads 300 rows for each point of this target: all rows of tables up to 300,000, where the default's sample
#: would make the statistics, and now and then a plan, a matter of chance.
STATISTICS_TARGET = "1000"

#: Copies are told apart by number; those that a killed run left are replaced by the next one's.
_numbers = itertools.count(1)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Bound:
    """A statement with its variables' values in place. A commit checks what would be checked at COMMIT."""

    statement: Statement
    text: str


def opened(target: Target, timeout_s: int = 60, **session: str) -> Connection:
    """A fresh session for scenarios; a statement that takes longer than `timeout_s` seconds fails."""
    connection = connect(target, "performance", **(SESSION | session), statement_timeout=f"{timeout_s}s")
    # psycopg deallocates all statements, also those a scenario prepared, once it has prepared one and sees an ALTER.
    connection.prepare_threshold = None
    return connection


def level(target: Target) -> dict[str, int]:
    """Vacuum and analyse, so that two databases stand alike; the size of each table, in blocks.

    A table that cannot be analysed stays without statistics in both: the proof of the backup named it.
    """
    with _maintaining(target) as connection:
        connection.execute("VACUUM (FREEZE, INDEX_CLEANUP ON)")
        analyse(connection)
        return _sizes(connection)


def rewrite(target: Target, tables: Sequence[str]) -> dict[str, int]:
    """Write these tables and their indexes anew, without dead space; names and sizes as with `level`.

    Rows come to lie in the order of their primary key, so that two databases hold the same rows side by side.
    """
    with _maintaining(target) as connection:
        keys = {
            row["name"]: row["key"] for row in rows(connection, query("performance/keys"), {"tables": list(tables)})
        }
        for table in tables:
            key = keys.get(table)
            connection.execute((f"CLUSTER {table} USING {key}" if key else f"VACUUM (FULL) {table}").encode())
        if tables:
            connection.execute(b"VACUUM (FREEZE) " + ", ".join(tables).encode())
            analyse(connection, tables)
        return _sizes(connection)


def _sizes(connection: Connection) -> dict[str, int]:
    return {row["name"]: row["blocks"] for row in rows(connection, query("performance/sizes"))}


def _maintaining(target: Target) -> Connection:
    return connect(target, "performance", lock_timeout="0", default_statistics_target=STATISTICS_TARGET)


@contextmanager
def copied(target: Target) -> Iterator[Target]:
    """A copy of the database beside it, alike to the byte, for the length of the block.

    Raises `Refused` when somebody is connected to the database, or the role may not copy it.
    """
    source = target.parameters["dbname"]
    name = f"mantis_scratch_copy_{hashlib.sha256(source.encode()).hexdigest()[:10]}_{next(_numbers)}"
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    with connect(target, "performance", lock_timeout="0") as connection:
        connection.execute(drop)
        _copy(connection, source, name)
    try:
        yield target.database(name)
    finally:
        with connect(target, "performance", lock_timeout="0") as connection:
            connection.execute(drop)


def _copy(connection: Connection, source: str, name: str) -> None:
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(source))
    try:
        connection.execute(copy)
    except (psycopg.errors.ObjectInUse, psycopg.errors.InsufficientPrivilege, psycopg.errors.DiskFull) as error:
        raise Refused(
            f"database {source} cannot be copied to count in the copy",
            found=f"{error.diag.message_primary} ({error.diag.message_detail or 'no detail'})",
            expected="no other session in it, a role with CREATEDB that owns it, and disk for the copy",
            action="end the sessions, grant the right, or free the disk",
        ) from None


def deferred(connection: Connection) -> str:
    """The statement that defers again what COMMIT checked; empty where nothing is deferred."""
    names = [row["name"] for row in rows(connection, query("performance/deferred"))]
    return f"SET CONSTRAINTS {', '.join(names)} DEFERRED" if names else ""


def steps(scenario: Scenario, seed: int, defer: str = "") -> Generator[Bound, Row | None, None]:
    r"""The scenario's statements, bound. Send in the row of a statement that has a `\gset`.

    One transaction surrounds all, so what the script's own BEGIN and COMMIT do has a stand-in: COMMIT checks the
    deferred constraints and ends the role, BEGIN does nothing.
    """
    draw, variables = random.Random(f"{seed} {scenario.name}"), dict[str, Value]()
    for item in scenario.items:
        if isinstance(item, Assignment):
            variables[item.name] = evaluate(item, variables, draw)
        elif item.kind == "commit":
            yield Bound(item, "SET CONSTRAINTS ALL IMMEDIATE")
            for after in filter(None, (defer, "RESET ROLE")):
                yield Bound(Statement(item.scenario, after, item.line, "setting"), after)
        elif item.kind != "begin":
            row = yield Bound(item, bind(item.text, variables))
            variables |= _gset(item, row)


def _gset(statement: Statement, row: Row | None) -> dict[str, Value]:
    if statement.gset is None:
        return {}
    if row is None:
        raise Failed(f"scenario statement {statement.name}", found="no row", expected=r"one row for its \gset")
    return {f"{statement.gset}{name}": str(value) for name, value in row.items() if value is not None}


def play(connection: Connection, scenario: Scenario, seed: int, execute: Callable[[Bound], Row | None]) -> None:
    """Carry a scenario out by `execute`, which gives the first row where the statement has a `\\gset`."""
    each = steps(scenario, seed, deferred(connection))
    try:
        bound = next(each)
        while True:
            bound = each.send(execute(bound))
    except StopIteration:
        return


def run(connection: Connection, bound: Bound) -> Row | None:
    """Execute one bound statement; its first row, by column, if it has a `\\gset`. Raises `Failed`, naming it."""
    cursor = _execute(connection, bound)
    if bound.statement.gset is None or cursor.description is None:
        return None
    row = cursor.fetchone()
    return dict(zip((column.name for column in cursor.description), row, strict=True)) if row else None


def run_rows(connection: Connection, bound: Bound) -> list[Any]:
    """All rows of one bound statement. Raises `Failed`, naming it."""
    return _execute(connection, bound).fetchall()


def _execute(connection: Connection, bound: Bound) -> psycopg.Cursor[Any]:
    try:
        return connection.execute(bound.text.encode(), prepare=False)
    except psycopg.Error as error:
        raise Failed(
            f"scenario statement {bound.statement.name} failed",
            found=error.diag.message_primary or str(error),
            expected="a statement that runs before and after the migration alike",
            action="the application sends it too: see what the migration changed under it",
        ) from error


@contextmanager
def rolled_back(connection: Connection) -> Iterator[None]:
    """A transaction whose `now()` has six digits behind the point, and that never commits.

    PostgreSQL drops trailing zeros when it writes a timestamp into JSON: one audit row in ten would be a byte shorter.
    """
    while True:
        connection.execute("BEGIN")
        row = connection.execute("SELECT extract(microseconds FROM now())::bigint %% 10 <> 0", ()).fetchone()
        if row == (True,):
            break
        connection.execute("ROLLBACK")
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("ROLLBACK")
