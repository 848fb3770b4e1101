"""Settings that change how PostgreSQL writes things down, held still for the length of a block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from psycopg.pq import TransactionStatus

from mantis_runbook.postgres.connection import Connection, scalar

__all__ = ["CONTENT", "DEFINITIONS", "pinned", "snapshot_of_one_instant"]

#: For what pg_get_…def() and regclass write: every name in full, quoted only where it must be.
DEFINITIONS = {"search_path": "", "quote_all_identifiers": "off"}

#: For values as text. A timestamp, a float or a bytea reads differently under other settings.
CONTENT = DEFINITIONS | {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
}


@contextmanager
def pinned(connection: Connection, settings: Mapping[str, str]) -> Iterator[None]:
    """Hold these settings inside a transaction (a new one, or the caller's) and put the old values
    back at its end.
    """
    with connection.transaction():
        before = {name: _value(connection, name) for name in settings}
        _set(connection, settings)
        yield
        _set(connection, before)


@contextmanager
def snapshot_of_one_instant(connection: Connection) -> Iterator[None]:
    """A read-only REPEATABLE READ transaction, unless the caller is inside a transaction of their
    own already.
    """
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    with connection.transaction():
        if idle:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _value(connection: Connection, name: str) -> str:
    return str(scalar(connection, "SELECT current_setting(%s)", (name,)))


def _set(connection: Connection, settings: Mapping[str, str]) -> None:
    names, values = list(settings), list(settings.values())
    connection.execute(
        "SELECT set_config(name, value, true) FROM unnest(%s::text[], %s::text[]) AS s(name,"
        " value)",
        (names, values),
    )
