"""What a database holds beside its tables: where its sequences stand, and its large objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from mantis_runbook.backup.hashed_table import SEEDS
from mantis_runbook.errors import Refused
from mantis_runbook.postgres import connection as database
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.output_settings import DEFINITIONS, pinned

__all__ = [
    "LargeObjects",
    "SequenceState",
    "large_objects",
    "positions",
    "sequences",
    "sequences_from_plain",
    "sequences_to_plain",
]


@dataclass(frozen=True)
class SequenceState:
    """Where a sequence stands.

    Sequences belong to no transaction: it may be later than the snapshot of the rows.
    """

    last_value: int
    is_called: bool
    increment: int = 1

    @property
    def place(self) -> tuple[int, bool]:
        """Grows as numbers are drawn, whichever way the sequence counts."""
        return (self.last_value if self.increment > 0 else -self.last_value, self.is_called)


@dataclass(frozen=True)
class LargeObjects:
    """All large objects: how many, their bytes, and sums over the hashes of their pages and sizes,
    by number.
    """

    objects: int
    bytes: int
    first: int
    second: int


def positions(connection: Connection) -> dict[str, SequenceState]:
    """Where the sequences stand now, by their qualified names."""
    with pinned(connection, DEFINITIONS):
        return sequences(connection)


def sequences(connection: Connection) -> dict[str, SequenceState]:
    """Where the sequences stand, read under the settings that the caller has pinned."""
    states = database.rows(
        connection, database.query("fingerprint/sequences"), {"without": [database.SCHEMA]}
    )
    if not states:
        return {}
    query = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}, last_value, is_called, {} FROM {}").format(
            sql.Literal(row["name"]),
            sql.Literal(row["increment"]),
            sql.Identifier(row["schema"], row["relation"]),
        )
        for row in states
    )
    return {
        str(name): SequenceState(int(value), bool(called), int(increment))
        for name, value, called, increment in connection.execute(query)
    }


def large_objects(connection: Connection) -> LargeObjects:
    """Page by page where the role may read the table of pages, as a superuser; else by the right on
    each object.
    """
    [may] = database.rows(
        connection, "SELECT has_table_privilege('pg_catalog.pg_largeobject', 'SELECT') AS read"
    )
    name = "fingerprint/large_objects" if may["read"] else "fingerprint/large_objects_by_right"
    query = sql.SQL(database.query(name)).format(
        first=sql.Literal(SEEDS[0]), second=sql.Literal(SEEDS[1])
    )
    try:
        [row] = database.rows(connection, query)
    except psycopg.errors.InsufficientPrivilege as error:
        raise Refused(
            "fingerprint of the large objects",
            found=error.diag.message_primary or "no right to read them",
            expected="a role that reads all of them, as the dump must",
            action="GRANT SELECT ON LARGE OBJECT … to our role",
        ) from error
    return LargeObjects(
        *(int(row[column] or 0) for column in ("objects", "bytes", "first", "second"))
    )


def sequences_to_plain(sequences: Mapping[str, SequenceState]) -> dict[str, list[Any]]:
    """For JSON: values as texts, since many a reader of JSON would round them."""
    return {
        name: [str(state.last_value), state.is_called, state.increment]
        for name, state in sequences.items()
    }


def sequences_from_plain(plain: Mapping[str, Sequence[Any]]) -> dict[str, SequenceState]:
    """From JSON. An earlier version of the runbook wrote no increment."""
    return {
        name: SequenceState(int(value), bool(called), *more)
        for name, (value, called, *more) in plain.items()
    }
