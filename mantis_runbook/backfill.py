"""Backfills: a large table changed in small batches, each its own transaction, resumable at the key it reached."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from mantis_runbook.database import Connection, query, rows
from mantis_runbook.errors import StepFailed

__all__ = ["SMALLEST", "Batch", "batches", "key_column", "pause_while_pressed"]

SMALLEST, LARGEST, FIRST = 100, 50_000, 1_000

#: Smallest value of each key type: the lower bound before the first batch.
LOWEST = {
    "uuid": "00000000-0000-0000-0000-000000000000",
    "bigint": "-9223372036854775808",
    "integer": "-2147483648",
    "text": "",
}

#: Beyond this many bytes of replay lag on a standby a backfill waits (64 MiB, four WAL segments).
LAG_BYTES = 4 * 16 * 1024 * 1024


@dataclass(frozen=True)
class Batch:
    """A slice of keys: after `lower` up to and including `upper`."""

    lower: str
    upper: str
    size: int


def key_column(connection: Connection, table: str) -> tuple[str, str]:
    """Name and type of the single-column primary key. Raises `StepFailed` where there is none that can be paged."""
    found = rows(
        connection,
        "SELECT attname::text AS name, format_type(atttypid, NULL) AS type FROM pg_index JOIN pg_attribute"
        " ON attrelid = indrelid AND attnum = ANY (indkey) WHERE indrelid = %s::regclass AND indisprimary",
        (table,),
    )
    if len(found) != 1 or found[0]["type"] not in LOWEST:
        raise StepFailed(
            f"table {table} cannot be backfilled in batches",
            found=", ".join(f"{row['name']} {row['type']}" for row in found) or "no primary key",
            expected="a primary key of one column, uuid, bigint, integer or text",
            action="change the step",
        )
    return found[0]["name"], found[0]["type"]


def batches(
    connection: Connection, table: str, *, after: str | None, target_ms: float, run: Callable[[Batch], None]
) -> Iterator[Batch]:
    """Walk the table by its key and `run` each batch; yields it once it is committed.

    The number of rows adapts so that a batch takes about `target_ms`. Memory does not depend on the table's size.
    """
    key, kind = key_column(connection, table)
    _refuse_lowest(connection, table, key, kind, after)
    lower, size = after if after is not None else LOWEST[kind], FIRST
    while (upper := _upper(connection, table, key, lower, size)) is not None:
        batch = Batch(lower, upper, size)
        began = time.monotonic()
        run(batch)
        size = _next_size(size, target_ms, (time.monotonic() - began) * 1000)
        lower = upper
        yield batch


def _refuse_lowest(connection: Connection, table: str, key: str, kind: str, after: str | None) -> None:
    """The lower bound is exclusive, so a row that has the lowest key of all would never be reached."""
    statement = sql.SQL("SELECT 1 FROM {} WHERE {} = %s").format(sql.Identifier(*table.split(".")), sql.Identifier(key))
    if after is None and kind != "text" and connection.execute(statement, (LOWEST[kind],)).fetchone():
        raise StepFailed(
            f"table {table} has a row with the lowest key of all",
            found=LOWEST[kind],
            expected="generated keys",
            action="give that row another key",
        )


def _upper(connection: Connection, table: str, key: str, lower: str, size: int) -> str | None:
    names = {"table": sql.Identifier(*table.split(".")), "key": sql.Identifier(key)}
    page = sql.SQL("SELECT {key}::text FROM {table} WHERE {key} > %s ORDER BY {key} OFFSET %s LIMIT 1").format(**names)
    row = connection.execute(page, (lower, size - 1)).fetchone()
    if row is None:
        rest = sql.SQL("SELECT {key}::text FROM {table} WHERE {key} > %s ORDER BY {key} DESC LIMIT 1").format(**names)
        row = connection.execute(rest, (lower,)).fetchone()
    return str(row[0]) if row else None


def _next_size(size: int, target_ms: float, took_ms: float) -> int:
    """Towards the target, at most doubling or halving, so that one hiccup does not throw the pace off."""
    factor = min(2.0, max(0.5, target_ms / max(took_ms, 1.0)))
    return max(SMALLEST, min(LARGEST, round(size * factor)))


def pause_while_pressed(connection: Connection, *, longest_s: float = 30.0) -> float:
    """Wait while sessions queue for locks or a standby lags; returns the seconds waited, `longest_s` at most."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < longest_s:
        try:
            pressure: dict[str, Any] = rows(connection, query("engine/pressure"))[0]
        except psycopg.errors.InsufficientPrivilege:
            return waited
        if not pressure["waiting"] and pressure["lag_bytes"] < LAG_BYTES:
            return waited
        time.sleep(0.1)
    return time.monotonic() - began
