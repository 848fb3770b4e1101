"""Backfills: a large table changed in small batches, resumable at the key that was reached."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import sql

from mantis_runbook.errors import StepFailed
from mantis_runbook.postgres.connection import Connection, query, rows

Result = TypeVar("Result")

__all__ = ["SMALLEST", "Batch", "Courtesy", "batches", "key_column", "pause_while_pressed"]

SMALLEST, LARGEST, FIRST = 100, 50_000, 1_000

#: Smallest value of each key type: the lower bound before the first batch.
LOWEST = {
    "uuid": "00000000-0000-0000-0000-000000000000",
    "bigint": "-9223372036854775808",
    "integer": "-2147483648",
    "smallint": "-32768",
    "text": "",
    "character varying": "",
}

#: Beyond this many bytes of replay lag on a standby a backfill waits (64 MiB, four WAL segments).
LAG_BYTES = 4 * 16 * 1024 * 1024


#: Between two batches at most, in seconds: on a server that is always busy a backfill still comes
#: to its end.
LONGEST_REST_S = 2.0


class Patience(Protocol):
    """Carries work out, again and again while it does not get its lock."""

    def __call__(self, work: Callable[[], Result]) -> Result: ...


@dataclass(frozen=True)
class Batch:
    """A slice of keys: after `lower` up to and including `upper`."""

    lower: str
    upper: str
    size: int


def key_column(connection: Connection, table: str) -> tuple[str, str]:
    """Name and type of the single-column primary key.

    Raises `StepFailed` where there is none that can be paged.
    """
    key_columns = rows(
        connection,
        "SELECT attname::text AS name, format_type(atttypid, NULL) AS type FROM pg_index JOIN"
        " pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey) WHERE indrelid ="
        " to_regclass(%s) AND indisprimary",
        (table,),
    )
    if len(key_columns) != 1 or key_columns[0]["type"] not in LOWEST:
        raise StepFailed(
            f"table {table} cannot be backfilled in batches",
            found=", ".join(f"{row['name']} {row['type']}" for row in key_columns)
            or "no primary key",
            expected="a primary key of one column: " + ", ".join(LOWEST),
            action="change the step",
        )
    return key_columns[0]["name"], key_columns[0]["type"]


def batches(
    connection: Connection,
    table: str,
    *,
    after: str | None,
    target_ms: float,
    run: Callable[[Batch], None],
    patiently: Patience = lambda work: work(),
) -> Iterator[Batch]:
    """Walk the table (as SQL writes its name) by its key and `run` each batch; yields it once it is
    committed.

    The number of rows adapts so that a batch takes about `target_ms`. Memory does not depend on the
    table's size. Whatever touches the table goes through `patiently`.
    """
    key, kind = key_column(connection, table)
    names = {"table": _identifier(connection, table), "key": sql.Identifier(key)}
    patiently(lambda: _refuse_lowest(connection, table, names, kind, after))
    lower, size = after if after is not None else LOWEST[kind], FIRST
    while (upper := patiently(partial(_upper, connection, names, lower, size))) is not None:
        batch = Batch(lower, upper, size)
        began = time.monotonic()
        patiently(partial(run, batch))
        size = _next_size(size, target_ms, (time.monotonic() - began) * 1000)
        lower = upper
        yield batch


def _identifier(connection: Connection, table: str) -> sql.Identifier:
    """The table that is meant by a name as SQL writes it, quoted or not."""
    [relation] = rows(
        connection,
        "SELECT nspname::text AS schema, relname::text AS name FROM pg_class JOIN pg_namespace"
        " ON pg_namespace.oid = relnamespace WHERE pg_class.oid = to_regclass(%s)",
        (table,),
    )
    return sql.Identifier(relation["schema"], relation["name"])


def _refuse_lowest(
    connection: Connection,
    table: str,
    names: Mapping[str, sql.Composable],
    kind: str,
    after: str | None,
) -> None:
    """Refuse the lowest key of all: the lower bound is exclusive and would never reach it."""
    if after is not None:
        return
    look = sql.SQL("SELECT 1 FROM {table} WHERE {key} = %s").format(**names)
    if connection.execute(look, (LOWEST[kind],)).fetchone():
        raise StepFailed(
            f"table {table} has a row with the lowest key of all",
            found=repr(LOWEST[kind]),
            expected="generated keys",
            action="give that row another key",
        )


def _upper(
    connection: Connection, names: Mapping[str, sql.Composable], lower: str, size: int
) -> str | None:
    """The key that ends the next batch.

    `t.` matters: ORDER BY a bare name would sort the text that is selected.
    """
    page = sql.SQL(
        "SELECT t.{key}::text FROM {table} AS t WHERE t.{key} > %s ORDER BY t.{key} "
    ).format(**names)
    row = connection.execute(page + sql.SQL("OFFSET %s LIMIT 1"), (lower, size - 1)).fetchone()
    if row is None:
        row = connection.execute(page + sql.SQL("DESC LIMIT 1"), (lower,)).fetchone()
    return str(row[0]) if row else None


def _next_size(size: int, target_ms: float, took_ms: float) -> int:
    """Towards the target, at most doubling or halving: one hiccup shall not set the pace."""
    factor = min(2.0, max(0.5, target_ms / max(took_ms, 1.0)))
    return max(SMALLEST, min(LARGEST, round(size * factor)))


def pause_while_pressed(
    connection: Connection, *, longest_s: float = 30.0, stop: Callable[[], None] = lambda: None
) -> float:
    """Wait while sessions queue for locks or a standby lags; returns the seconds waited,
    `longest_s` at most.

    `stop` is asked at each look, several times a second, and ends the pause by raising.
    """
    began = time.monotonic()
    while (waited := time.monotonic() - began) < longest_s:
        stop()
        try:
            pressure: dict[str, Any] = rows(connection, query("engine/pressure"))[0]
        except psycopg.errors.InsufficientPrivilege:
            return waited
        if not pressure["waiting"] and pressure["lag_bytes"] < LAG_BYTES:
            return waited
        time.sleep(0.1)
    return time.monotonic() - began


@dataclass
class Courtesy:
    """Rest between batches while others work: after each as long as it took, times the sessions
    that work beside it.

    Alone, a backfill takes all it can get; beside one busy session, half of the time. How many
    there are is the mean of the last looks, one a batch: a single look sees whoever happens to be
    active.
    """

    connection: Connection
    stop: Callable[[], None] = lambda: None
    looks: deque[int] = field(default_factory=lambda: deque(maxlen=10))

    def rest(self, worked_s: float) -> float:
        """Returns the seconds rested, `LONGEST_REST_S` at most.

        `stop` is asked meanwhile, and ends it by raising.
        """
        self.looks.append(rows(self.connection, query("engine/others_at_work"))[0]["active"])
        seconds = min(LONGEST_REST_S, worked_s * sum(self.looks) / len(self.looks))
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.stop()
            time.sleep(min(left, 0.1))
        return seconds
