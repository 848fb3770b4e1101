"""Salvage: rows that exist only in what a rollback drops, written to files and read back before anything is dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import stamina
from psycopg import sql

from mantis_runbook.backup import sha256
from mantis_runbook.catalog import Catalog
from mantis_runbook.database import Connection, query, rows
from mantis_runbook.errors import Failed

__all__ = ["Salvage", "Salvaged", "seal", "take", "unseal"]

SEAL = "mantis_runbook_seal"


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
    """All that a rollback would have lost, in `folder`, with a script that brings it back."""

    folder: Path
    files: tuple[Salvaged, ...]

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [vars(file) for file in self.files]


@dataclass(frozen=True)
class _Loss:
    """A table, or a column of one: what is copied, and as which columns it comes back."""

    schema: str
    table: str
    columns: tuple[str, ...]
    only: str = ""

    @property
    def relation(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.table)

    @property
    def source(self) -> sql.Composed:
        names = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        where = sql.SQL(" WHERE {} IS NOT NULL").format(sql.Identifier(self.only)) if self.only else sql.SQL("")
        return sql.SQL("SELECT {} FROM {}").format(names, self.relation) + where

    @property
    def file(self) -> str:
        return ".".join(part for part in (self.schema, self.table, self.only, "csv") if part)


def losses(connection: Connection, before: Catalog) -> tuple[_Loss, ...]:
    """What is there now and was not in the catalogue `before`: tables, and columns of older tables."""
    names = [*before["tables"]]
    known = {"before": names, "columns": [*before["columns"]]}
    tables = [
        _Loss(row["schema"], row["name"], tuple(row["columns"]))
        for row in rows(connection, query("salvage/tables"), known)
    ]
    columns = [
        _Loss(row["schema"], row["name"], (*(row["key"] or ()), row["column"]), only=row["column"])
        for row in rows(connection, query("salvage/columns"), known)
    ]
    return (*tables, *columns)


def seal(connection: Connection, before: Catalog) -> None:
    """Let the tables that will be dropped take no more writes, so that what is salvaged stays all there is."""
    for loss in losses(connection, before):
        if not loss.only:
            _quickly(
                connection,
                sql.SQL(
                    "CREATE OR REPLACE TRIGGER {} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {} FOR EACH STATEMENT"
                    " EXECUTE FUNCTION mantis_runbook.refuse_write()"
                ).format(sql.Identifier(SEAL), loss.relation),
            )


def unseal(connection: Connection, before: Catalog) -> None:
    """Take the seals off again: the rollback was given up."""
    for loss in losses(connection, before):
        if not loss.only:
            _quickly(connection, sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(SEAL), loss.relation))


def _quickly(connection: Connection, statement: sql.Composed) -> None:
    """With the session's lock timeout, again and again for a minute."""
    for attempt in stamina.retry_context(
        on=psycopg.errors.LockNotAvailable, attempts=None, timeout=60, wait_initial=0.25
    ):
        with attempt:
            connection.execute(statement)


def take(connection: Connection, before: Catalog, folder: Path) -> Salvage:
    """Copy every row that the rollback would lose into `folder`, read each file back and compare; all in one snapshot.

    Raises `Failed` when a file does not read back as what the table holds; nothing was dropped by then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = losses(connection, before)
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        files = tuple(_copy(connection, loss, folder) for loss in found)
    kept = tuple(file for file in files if file.rows)
    (folder / "restore.sql").write_text(_restore_script(found, {file.file for file in kept}))
    return Salvage(folder, kept)


def _copy(connection: Connection, loss: _Loss, folder: Path) -> Salvaged:
    path = folder / loss.file
    copy_out = sql.SQL("COPY ({}) TO STDOUT WITH (FORMAT csv, HEADER)").format(loss.source)
    with connection.cursor() as cursor, path.open("wb") as file:
        with cursor.copy(copy_out) as copy:
            for block in copy:
                file.write(block)
        expected = _digest(connection, loss.source, loss.columns)
        found = _read_back(connection, loss, path)
    if found != expected:
        raise Failed(
            f"salvage of {loss.schema}.{loss.table} does not read back",
            found=f"{found[0]} rows",
            expected=f"{expected[0]} rows",
            action=f"nothing was dropped; look at {path}",
        )
    if not expected[0]:
        path.unlink()
    return Salvaged(
        f"{loss.schema}.{loss.table}", loss.only, expected[0], loss.file, sha256(path) if expected[0] else ""
    )


def _read_back(connection: Connection, loss: _Loss, path: Path) -> tuple[int, Any]:
    """Load the file into a temporary table and hash that."""
    scratch = sql.Identifier("pg_temp", "salvaged")
    connection.execute(sql.SQL("CREATE TEMPORARY TABLE salvaged ON COMMIT DROP AS {} WITH NO DATA").format(loss.source))
    copy_in = sql.SQL("COPY {} FROM STDIN WITH (FORMAT csv, HEADER)").format(scratch)
    with connection.cursor() as cursor, cursor.copy(copy_in) as copy, path.open("rb") as file:
        while block := file.read(1 << 16):
            copy.write(block)
    digest = _digest(connection, sql.SQL("SELECT * FROM {}").format(scratch), loss.columns)
    connection.execute(sql.SQL("DROP TABLE {}").format(scratch))
    return digest


def _digest(connection: Connection, source: sql.Composable, columns: Sequence[str]) -> tuple[int, Any]:
    names = sql.SQL(", ").join(sql.Identifier("row", name) for name in columns)
    row = connection.execute(
        sql.SQL("SELECT count(*), sum(hashtextextended(ROW({})::text, 0)) FROM ({}) AS row").format(names, source)
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def _restore_script(found: Sequence[_Loss], files: set[str]) -> str:
    """A psql script that loads the files into the tables, after the migration was applied again."""
    lines = [
        "-- Brings salvaged rows back: apply the migration again, then run this with psql in this folder.",
        "-- Triggers and foreign keys rest while it runs, since rows come back as they were.",
        "BEGIN;",
        "SET LOCAL session_replication_role = replica;",
    ]
    for loss in (loss for loss in found if loss.file in files):
        lines += _restore_column(loss) if loss.only else _restore_table(loss)
    return "\n".join([*lines, "COMMIT;", ""])


def _restore_table(loss: _Loss) -> list[str]:
    columns = ", ".join(_quoted(name) for name in loss.columns)
    return [
        f"\\copy {_quoted(loss.schema)}.{_quoted(loss.table)} ({columns}) FROM '{loss.file}' WITH (FORMAT csv, HEADER)"
    ]


def _restore_column(loss: _Loss) -> list[str]:
    table, keys = f"{_quoted(loss.schema)}.{_quoted(loss.table)}", loss.columns[:-1]
    columns = ", ".join(_quoted(name) for name in loss.columns)
    match = " AND ".join(f"t.{_quoted(key)} = s.{_quoted(key)}" for key in keys)
    only = _quoted(loss.only)
    return [
        f"CREATE TEMPORARY TABLE s ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA;",
        f"\\copy s FROM '{loss.file}' WITH (FORMAT csv, HEADER)",
        f"UPDATE {table} AS t SET {only} = s.{only} FROM s WHERE {match};",
        "DROP TABLE s;",
    ]


def _quoted(name: str) -> str:
    return psycopg.sql.Identifier(name).as_string(None)
