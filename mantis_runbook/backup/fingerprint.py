"""What the tables hold, as numbers that can be compared."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from mantis_runbook import display
from mantis_runbook.backup import beside_tables
from mantis_runbook.backup.beside_tables import (
    LargeObjects,
    SequenceState,
    sequences_from_plain,
    sequences_to_plain,
)
from mantis_runbook.backup.hashed_table import (
    HashedTable,
    RowType,
    organisation_in,
    tables_to_hash,
)
from mantis_runbook.errors import Refused
from mantis_runbook.postgres import connection as database
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.output_settings import (
    CONTENT,
    DEFINITIONS,
    pinned,
    snapshot_of_one_instant,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "NO_ORGANISATION",
    "Fingerprint",
    "Sums",
    "TableFingerprint",
    "counts",
    "row_types",
    "take",
    "take_parallel",
    "take_relation",
]

#: Settings without which a fingerprint would not be what it says it is.
REQUIRED = {
    "row_security": ("off", "connect with row_security = off: hidden rows would count as none"),
    "transaction_isolation": (
        "repeatable read",
        "open a REPEATABLE READ transaction: tables would differ in their instant",
    ),
}

#: The organisation of rows that name none.
NO_ORGANISATION = ""


@dataclass(frozen=True)
class Sums:
    """Rows, and two sums over the hashes of their text: exact, whatever the order, and never
    overflowing.

    Sums and not XOR: a row that is there twice more would cancel out.
    """

    rows: int = 0
    first: int = 0
    second: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.rows + other.rows, self.first + other.first, self.second + other.second)


@dataclass(frozen=True)
class TableFingerprint:
    """One table.

    `columns` are those that were hashed, in that order; `organisations` is empty where no column
    tells whose a row is.
    """

    columns: tuple[str, ...]
    total: Sums
    organisations: Mapping[str, Sums]


@dataclass(frozen=True)
class Fingerprint:
    """The content of a database's tables at one instant, by their qualified names.

    `sequences` were read at the beginning, `sequences_later` at the end of a dump, if there was
    one. `large_objects` is None where only some tables were looked at, and in what an earlier
    version of the runbook took.
    """

    tables: Mapping[str, TableFingerprint]
    sequences: Mapping[str, SequenceState]
    sequences_later: Mapping[str, SequenceState] = field(default_factory=dict)
    large_objects: LargeObjects | None = None

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """What was hashed; give it to `take` to hash the same again after columns were added."""
        return {name: table.columns for name, table in self.tables.items()}

    @property
    def rows(self) -> int:
        return sum(table.total.rows for table in self.tables.values())

    @property
    def frame(self) -> pd.DataFrame:
        import pandas as pd

        lines = [
            (
                name,
                table.total.rows,
                len(table.organisations),
                len(table.columns),
                f"{table.total.first:x}",
            )
            for name, table in sorted(self.tables.items())
        ]
        return pd.DataFrame(lines, columns=["table", "rows", "organisations", "columns", "sum"])

    def _repr_html_(self) -> str:
        return display.table(self.frame, caption=f"{self.rows:,} rows in {len(self.tables)} tables")

    def to_json(self) -> str:
        """Sums are written as texts, since many a reader of JSON would round them."""
        plain = {
            "tables": {name: _table_to_plain(table) for name, table in self.tables.items()},
            "sequences": sequences_to_plain(self.sequences),
            "sequences_later": sequences_to_plain(self.sequences_later),
            "large_objects": (
                [str(number) for number in astuple(self.large_objects)]
                if self.large_objects
                else None
            ),
        }
        return json.dumps(plain, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        plain = json.loads(text)
        return cls(
            {name: _table_from_plain(table) for name, table in plain["tables"].items()},
            sequences_from_plain(plain["sequences"]),
            sequences_from_plain(plain.get("sequences_later", {})),
            LargeObjects(*map(int, plain["large_objects"])) if plain.get("large_objects") else None,
        )


def _table_to_plain(table: TableFingerprint) -> dict[str, Any]:
    return {
        "columns": list(table.columns),
        "total": _sums_to_plain(table.total),
        "organisations": {name: _sums_to_plain(sums) for name, sums in table.organisations.items()},
    }


def _table_from_plain(plain: Mapping[str, Any]) -> TableFingerprint:
    organisations = {name: _sums_from_plain(sums) for name, sums in plain["organisations"].items()}
    return TableFingerprint(
        tuple(plain["columns"]), _sums_from_plain(plain["total"]), organisations
    )


def _sums_to_plain(sums: Sums) -> list[str]:
    return [str(sums.rows), str(sums.first), str(sums.second)]


def _sums_from_plain(plain: Sequence[str]) -> Sums:
    return Sums(int(plain[0]), int(plain[1]), int(plain[2]))


def take(
    connection: Connection,
    tables: Collection[str] | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    *,
    ignore: Collection[str] = (),
    row_types: Mapping[str, Mapping[str, RowType]] | None = None,
    written_before: int | None = None,
    sequences: Mapping[str, SequenceState] | None = None,
) -> Fingerprint:
    """Hash the content of `tables` (default: all of the users' tables), each in one pass.

    Names are qualified, as PostgreSQL writes them: `public.reader`. `columns` pins what is hashed,
    and with it which tables; one that is gone is left out, and `compare` tells so. `ignore` names
    tables to leave out. `row_types` (of `row_types(…)`) pins the fields of columns that hold
    another table's rows. `written_before` restricts all tables to rows that transactions before
    that number (as `xmin` shows it) wrote. `sequences` are positions that were read earlier (by
    `positions`).

    Inside a transaction of the caller it must be REPEATABLE READ, so that all tables are seen at
    one instant; else one is opened. Raises `Refused` on another isolation level, where row security
    could hide rows or the role may not read them all, and for an unknown table. Memory grows with
    the number of organisations, not with the rows.
    """
    with _reading(connection):
        pinned_types = row_types or {}
        jobs = [
            replace(job, row_types=pinned_types.get(job.name, {}))
            for job in tables_to_hash(connection, tables, columns, ignore)
        ]
        stand = beside_tables.sequences(connection) if sequences is None else sequences
        large = (
            beside_tables.large_objects(connection)
            if tables is None and written_before is None
            else None
        )
        hashed = {job.name: _hash(connection, job, written_before) for job in jobs}
        return Fingerprint(hashed, stand, large_objects=large)


def row_types(connection: Connection) -> dict[str, dict[str, RowType]]:
    """Columns that hold rows of a table (its row type, or an array of it), by table: with the
    fields of now.
    """
    types = dict[str, dict[str, RowType]]()
    with pinned(connection, DEFINITIONS):
        for row in database.rows(
            connection, database.query("fingerprint/row_types"), {"without": [database.SCHEMA]}
        ):
            types.setdefault(row["name"], {})[row["column"]] = RowType(
                tuple(row["fields"]), row["is_array"]
            )
    return types


def take_relation(connection: Connection, schema: str, relation: str) -> TableFingerprint:
    """One table by itself: a partition too, which `take` hashes with its root only, and no table
    that inherits.
    """
    with _reading(connection):
        of_relation = database.query("fingerprint/columns")
        columns = tuple(
            row["name"] for row in database.rows(connection, of_relation, (schema, relation))
        )
        job = HashedTable(
            name=f"{schema}.{relation}",
            schema=schema,
            relation=relation,
            partitioned=False,
            columns=columns,
            organisation=organisation_in(columns),
        )
        return _hash(connection, job)


def take_parallel(
    connect: Callable[[], AbstractContextManager[Connection]],
    snapshot: str,
    tables: Collection[str] | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    *,
    ignore: Collection[str] = (),
    workers: int = 2,
) -> Fingerprint:
    """As `take`, by several sessions that all see the exported `snapshot` (of
    `pg_export_snapshot()`).

    `connect` opens one connection a worker. The transaction that exported the snapshot must stay
    open meanwhile.
    """
    with connect() as first, _importing(first, snapshot):
        jobs = tables_to_hash(first, tables, columns, ignore)
        sequences = beside_tables.sequences(first)
        large = beside_tables.large_objects(first) if tables is None else None
    waiting = deque(jobs)
    with ThreadPoolExecutor(workers, thread_name_prefix="fingerprint") as pool:
        futures = [pool.submit(_work, connect, snapshot, waiting) for _ in range(workers)]
        hashed = reduce(
            lambda all_, future: all_ | future.result(), futures, dict[str, TableFingerprint]()
        )
    return Fingerprint({job.name: hashed[job.name] for job in jobs}, sequences, large_objects=large)


def counts(connection: Connection, tables: Collection[str]) -> dict[str, int]:
    """Rows of each of these tables that is there, by its qualified name; without those of tables
    that inherit from it.
    """
    statement = sql.SQL("SELECT count(*) FROM {} AS t")
    with _reading(connection):
        jobs = [job for job in tables_to_hash(connection, None, None, ()) if job.name in tables]
        return {job.name: _count(connection, statement.format(job.source())) for job in jobs}


def _count(connection: Connection, statement: sql.Composed) -> int:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0])


def _work(
    connect: Callable[[], AbstractContextManager[Connection]],
    snapshot: str,
    waiting: deque[HashedTable],
) -> dict[str, TableFingerprint]:
    """Hash tables until none is waiting; an error empties the queue and so ends all workers."""
    hashed = {}
    try:
        with connect() as connection, _importing(connection, snapshot):
            while job := _next(waiting):
                hashed[job.name] = _hash(connection, job)
    except BaseException:
        waiting.clear()
        raise
    return hashed


def _next(waiting: deque[HashedTable]) -> HashedTable | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None


@contextmanager
def _importing(connection: Connection, snapshot: str) -> Iterator[None]:
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        with _reading(connection):
            yield


@contextmanager
def _reading(connection: Connection) -> Iterator[None]:
    """Hold what a fingerprint depends on, or refuse."""
    with snapshot_of_one_instant(connection):
        for setting, (expected, action) in REQUIRED.items():
            _refuse_unless(connection, setting, expected, action)
        with pinned(connection, CONTENT):
            yield


def _refuse_unless(connection: Connection, setting: str, expected: str, action: str) -> None:
    row = connection.execute("SELECT current_setting(%s)", (setting,)).fetchone()
    value = "" if row is None else str(row[0])
    if value != expected:
        raise Refused(
            f"fingerprint: setting {setting}", found=value, expected=expected, action=action
        )


def _hash(
    connection: Connection, job: HashedTable, written_before: int | None = None
) -> TableFingerprint:
    try:
        sums = connection.execute(job.query(written_before))
    except psycopg.errors.InsufficientPrivilege as error:
        raise Refused(
            f"fingerprint of {job.name.removeprefix('public.')}",
            found=error.diag.message_primary or "no right to read it",
            expected="a role that reads every row",
            action="connect as a superuser or as a role with BYPASSRLS",
        ) from error
    groups = {
        NO_ORGANISATION if organisation is None else str(organisation): Sums(
            int(rows), int(first), int(second)
        )
        for organisation, rows, first, second in sums
    }
    total = reduce(Sums.__add__, groups.values(), Sums())
    return TableFingerprint(job.columns, total, groups if job.organisation else {})
