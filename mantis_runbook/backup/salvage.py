"""Salvage: rows that only a rollback's tables hold, written to files and read back first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from mantis_runbook.backup.backup import sha256
from mantis_runbook.errors import Failed
from mantis_runbook.postgres import commands
from mantis_runbook.postgres.catalog import Catalog
from mantis_runbook.postgres.connection import (
    Connection,
    Identity,
    identity,
    message_of,
    query,
    rows,
)

__all__ = ["Loss", "Salvage", "Salvaged", "losses", "take", "take_late"]


@dataclass(frozen=True)
class Salvaged:
    """One file: the table (and, where only a column goes, the column), its rows, its SHA-256."""

    table: str
    column: str
    rows: int
    file: str
    sha256: str


@dataclass(frozen=True)
class Salvage:
    """All that a rollback would have lost, in `folder`, with a script that brings it back.

    `restored` is how, in order.
    """

    folder: Path
    files: tuple[Salvaged, ...]
    restored: tuple[Loss, ...] = ()

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [vars(file) for file in self.files]


@dataclass(frozen=True)
class Loss:
    """A table, or a column (`only`) of one, that goes.

    `key` finds the rows again: the primary key, or, in a table that has none and stays, every
    column it had before. `late` is what was written to a column after it was salvaged.
    """

    schema: str
    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    only: str = ""
    late: bool = False

    @property
    def relation(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.table)

    @property
    def name(self) -> str:
        """The table as SQL writes it."""
        return f"{_quoted(self.schema)}.{_quoted(self.table)}"

    @property
    def source(self) -> sql.Composed:
        if self.late:
            return self._kept
        names = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        where = (
            sql.SQL(" WHERE {} IS NOT NULL").format(sql.Identifier(self.only))
            if self.only
            else sql.SQL("")
        )
        return sql.SQL("SELECT {} FROM {}").format(names, self.relation) + where

    @property
    def _kept(self) -> sql.Composed:
        """The last value that was kept for each row, as text."""
        names = [
            sql.SQL("key_values[{}] AS {}").format(sql.Literal(place), sql.Identifier(name))
            for place, name in enumerate(self.key, start=1)
        ]
        last = sql.SQL(
            "SELECT DISTINCT ON (key_values) {}, value AS {} FROM mantis_runbook.kept_value WHERE"
            " (schema_name, table_name, column_name) = ({}, {}, {}) ORDER BY key_values,"
            " kept_value.id DESC"
        )
        return last.format(
            sql.SQL(", ").join(names),
            sql.Identifier(self.only),
            *map(sql.Literal, (self.schema, self.table, self.only)),
        )

    @property
    def file(self) -> str:
        parts = [re.sub(r"\W", "_", part) for part in (self.schema, self.table, self.only) if part]
        return ".".join([*parts, *(["late"] if self.late else []), "copy"])


def losses(
    connection: Connection, before: Catalog, *, spared: Sequence[str] = ()
) -> tuple[Loss, ...]:
    """What is there now and was not in the catalogue `before`: tables, and columns of older tables.

    `spared` are tables and columns, by qualified name, that were not there and will not go.
    """
    # Partitions of a table that was one table before come back into it, by the rollback itself.
    whole = [
        name for name, definition in before["tables"].items() if "partitioned by" not in definition
    ]
    known = {
        "before": [*before["tables"]],
        "spared": list(spared),
        "columns": [*before["columns"]],
        "whole": whole,
    }
    tables = [
        Loss(row["schema"], row["name"], tuple(row["key"] or ()), tuple(row["columns"]))
        for row in rows(connection, query("salvage/tables"), known)
    ]
    columns = [
        Loss(
            row["schema"],
            row["name"],
            tuple(row["key"]),
            (*row["key"], row["column"]),
            only=row["column"],
        )
        for row in rows(connection, query("salvage/columns"), known)
    ]
    return (*tables, *columns)


def take(connection: Connection, losing: Sequence[Loss], folder: Path) -> Salvage:
    """Copy every row that the rollback would lose into `folder`, read each file back and compare;
    all in one snapshot.

    Raises `Failed` when a file cannot be written, or does not read back as what the table holds;
    nothing was dropped by then.
    """
    return _written(connection, Salvage(folder, ()), losing)


def take_late(connection: Connection, salvage: Salvage) -> Salvage:
    """Add what was written to columns after they were salvaged and before they were dropped
    (`seal.keep`).

    Raises `Failed` as `take` does; what was kept stays in the database then. So it does when this
    is never reached: the next rollback brings it.
    """
    late = [
        Loss(
            row["schema"],
            row["name"],
            tuple(row["key"]),
            (*row["key"], row["column"]),
            row["column"],
            late=True,
        )
        for row in rows(connection, query("salvage/kept"))
    ]
    if not late:
        return salvage
    complete = _written(connection, salvage, late)
    for loss in late:
        connection.execute(
            "DELETE FROM mantis_runbook.kept_value WHERE (schema_name, table_name, column_name) ="
            " (%s, %s, %s)",
            (loss.schema, loss.table, loss.only),
        )
    return complete


def _written(connection: Connection, salvage: Salvage, losing: Sequence[Loss]) -> Salvage:
    """The salvage with these added to it; all in one snapshot."""
    folder = salvage.folder
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            written = [
                (loss, file) for loss in losing if (file := _copy(connection, loss, folder)).rows
            ]
        files = (*salvage.files, *(file for _, file in written))
        restored = (*salvage.restored, *(loss for loss, _ in written))
        (folder / "restore.sql").write_text(_restore_script(restored, identity(connection)))
    except OSError as error:
        raise _failed(folder, f"{error.strerror} ({error.filename or folder})") from error
    except psycopg.Error as error:
        raise _failed(folder, message_of(error)) from error
    return replace(salvage, files=files, restored=restored)


def _failed(folder: Path, found: str) -> Failed:
    return Failed(
        f"rows that the rollback would lose could not be salvaged into {folder}",
        found=found,
        expected="a file for each table and column that goes",
        action="nothing was dropped; remove the cause and run again",
    )


def _copy(connection: Connection, loss: Loss, folder: Path) -> Salvaged:
    """COPY's text format: psql before 18 takes a line `\\.` inside a CSV value for the end of the
    file.
    """
    path = folder / loss.file
    copy_out = sql.SQL("COPY ({}) TO STDOUT").format(loss.source)
    with connection.cursor() as cursor, path.open("wb") as file, cursor.copy(copy_out) as copy:
        for block in copy:
            file.write(block)
    expected = _digest(connection, loss.source, loss.columns)
    read_back = _read_back(connection, loss, path)
    if read_back != expected:
        raise Failed(
            f"salvage of {loss.schema}.{loss.table} does not read back",
            found=f"{read_back[0]} rows",
            expected=f"{expected[0]} rows",
            action=f"nothing was dropped; look at {path}",
        )
    if not expected[0]:
        path.unlink()
    return Salvaged(
        f"{loss.schema}.{loss.table}",
        loss.only,
        expected[0],
        loss.file,
        sha256(path) if expected[0] else "",
    )


def _read_back(connection: Connection, loss: Loss, path: Path) -> tuple[int, Any]:
    """Load the file into a temporary table and hash that."""
    scratch = sql.Identifier("pg_temp", "salvaged")
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE salvaged ON COMMIT DROP AS {} WITH NO DATA").format(
            loss.source
        )
    )
    copy_in = sql.SQL("COPY {} FROM STDIN").format(scratch)
    with connection.cursor() as cursor, cursor.copy(copy_in) as copy, path.open("rb") as file:
        while block := file.read(1 << 16):
            copy.write(block)
    digest = _digest(connection, sql.SQL("SELECT * FROM {}").format(scratch), loss.columns)
    connection.execute(sql.SQL("DROP TABLE {}").format(scratch))
    return digest


def _digest(
    connection: Connection, source: sql.Composable, columns: Sequence[str]
) -> tuple[int, Any]:
    names = sql.SQL(", ").join(sql.Identifier("row", name) for name in columns)
    row = connection.execute(
        sql.SQL("SELECT count(*), sum(hashtextextended(ROW({})::text, 0)) FROM ({}) AS row").format(
            names, source
        )
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def _restore_script(there: Sequence[Loss], home: Identity) -> str:
    """A psql script that loads the files into the tables, after the migration was applied again."""
    lines = [
        "-- Brings salvaged rows back: apply the migration again, then run this in this folder:",
        '--     psql "host=… port=… user=… dbname=…" --file=restore.sql',
        (
            "-- With the database written out: a service or a variable would not say which. It"
            " refuses any database but the"
        ),
        "-- one the rows came from; --set=elsewhere=yes is for a copy of that.",
        (
            "-- A row that the migration made anew gives way to the salvaged one of the same key."
            " Triggers and foreign keys"
        ),
        (
            "-- rest meanwhile, since rows come back as they were. The files are in COPY's text"
            " format."
        ),
        "\\set ON_ERROR_STOP on",
        "\\if :{?elsewhere}",
        "\\else",
        commands.guard(home, "add --set=elsewhere=yes if you mean it"),
        "\\endif",
        "BEGIN;",
        "SET LOCAL session_replication_role = replica;",
        "SET LOCAL row_security = off;",
    ]
    for loss in there:
        lines += _restore(loss)
    if tables := [loss.name for loss in there if not loss.only]:
        listed = sql.Literal(tables).as_string(None)
        lines.append(query("salvage/restore_sequences").replace("{tables}", listed))
    return "\n".join([*lines, "COMMIT;", ""])


def _restore(loss: Loss) -> list[str]:
    columns = ", ".join(map(_quoted, loss.columns))
    return [
        (
            "CREATE TEMPORARY TABLE salvaged ON COMMIT DROP"  # noqa: S608
            f" AS SELECT {columns} FROM {loss.name} WITH NO DATA;"
        ),
        f"\\copy salvaged FROM '{loss.file}'",
        *(_restore_column(loss) if loss.only else _restore_rows(loss, columns)),
        "DROP TABLE salvaged;",
    ]


def _restore_rows(loss: Loss, columns: str) -> list[str]:
    insert = (
        f"INSERT INTO {loss.name} ({columns}) OVERRIDING SYSTEM VALUE"  # noqa: S608
        f" SELECT {columns} FROM salvaged;"
    )
    if not loss.key:
        return [insert]
    delete = f"DELETE FROM {loss.name} AS t USING salvaged AS s WHERE {_match(loss)};"  # noqa: S608
    return [delete, insert]


def _restore_column(loss: Loss) -> list[str]:
    only = _quoted(loss.only)
    return [
        f"UPDATE {loss.name} AS t SET {only} = s.{only}"  # noqa: S608
        f" FROM salvaged AS s WHERE {_match(loss)};"
    ]


def _match(loss: Loss) -> str:
    """By text: a column that is part of no key may have a type without equality (json), and may be
    NULL.
    """
    left, right = (", ".join(f"{side}.{_quoted(name)}" for name in loss.key) for side in "ts")
    return f"ROW({left})::text = ROW({right})::text"


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)
