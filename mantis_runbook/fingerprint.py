"""What the tables hold, as numbers that can be compared."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, dataclass, field, replace
from functools import reduce
from typing import Any

import pandas as pd
import psycopg
from psycopg import sql

from mantis_runbook import application, database, display
from mantis_runbook.database import Connection
from mantis_runbook.errors import Refused
from mantis_runbook.pinned import CONTENT, DEFINITIONS, pinned, snapshot_of_one_instant

__all__ = [
    "Comparison",
    "Fingerprint",
    "LargeObjects",
    "RowType",
    "SequenceState",
    "Sums",
    "TableFingerprint",
    "Verdict",
    "compare",
    "compare_restored",
    "counts",
    "positions",
    "row_types",
    "take",
    "take_parallel",
    "take_relation",
]

#: Two hashes of one row text that have nothing in common but the text.
SEEDS = (0x4D616E746973, 0x52756E626F6F6B)

#: Settings without which a fingerprint would not be what it says it is.
REQUIRED = {
    "row_security": ("off", "connect with row_security = off: hidden rows would count as none"),
    "transaction_isolation": (
        "repeatable read",
        "open a REPEATABLE READ transaction: tables would differ in their instant",
    ),
}

#: Rows of another table's type, field by field. IS DISTINCT FROM tells a row of nulls from no row.
ROW_FIELDS = sql.SQL("CASE WHEN {value} IS DISTINCT FROM NULL THEN ROW({fields})::text END")
ARRAY_FIELDS = sql.SQL(
    "(SELECT array_agg(CASE WHEN e IS DISTINCT FROM NULL THEN ROW({fields})::text END)::text || array_dims({value})"
    " FROM (SELECT unnest({value}) AS e) AS of_array)"
)

#: The organisation of rows that name none.
NO_ORGANISATION = ""


@dataclass(frozen=True)
class Sums:
    """Rows, and two sums over the hashes of their text: exact, whatever the order, and never overflowing.

    Sums and not XOR: a row that is there twice more would cancel out.
    """

    rows: int = 0
    first: int = 0
    second: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.rows + other.rows, self.first + other.first, self.second + other.second)


@dataclass(frozen=True)
class TableFingerprint:
    """One table. `columns` are those that were hashed, in that order; `organisations` is empty where no column tells whose a row is."""

    columns: tuple[str, ...]
    total: Sums
    organisations: Mapping[str, Sums]


@dataclass(frozen=True)
class SequenceState:
    """Where a sequence stands. Sequences belong to no transaction: it may be later than the snapshot of the rows."""

    last_value: int
    is_called: bool
    increment: int = 1

    @property
    def place(self) -> tuple[int, bool]:
        """Grows as numbers are drawn, whichever way the sequence counts."""
        return (self.last_value if self.increment > 0 else -self.last_value, self.is_called)


@dataclass(frozen=True)
class LargeObjects:
    """All large objects: how many, their bytes, and sums over the hashes of their pages and sizes, by number."""

    objects: int
    bytes: int
    first: int
    second: int


@dataclass(frozen=True)
class RowType:
    """The fields of a column that is of a table's row type, or an array of it: they grow when that table gains a column."""

    fields: tuple[str, ...]
    is_array: bool


@dataclass(frozen=True)
class Fingerprint:
    """The content of a database's tables at one instant, by their qualified names.

    `sequences` were read at the beginning, `sequences_later` at the end of a dump, if there was one. `large_objects` is
    None where only some tables were looked at, and in what an earlier version of the runbook took.
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
        lines = [
            (name, table.total.rows, len(table.organisations), len(table.columns), f"{table.total.first:x}")
            for name, table in sorted(self.tables.items())
        ]
        return pd.DataFrame(lines, columns=["table", "rows", "organisations", "columns", "sum"])

    def _repr_html_(self) -> str:
        return display.table(self.frame, caption=f"{self.rows:,} rows in {len(self.tables)} tables")

    def to_json(self) -> str:
        """Sums are written as texts, since many a reader of JSON would round them."""
        plain = {
            "tables": {name: _table_to_plain(table) for name, table in self.tables.items()},
            "sequences": _sequences_to_plain(self.sequences),
            "sequences_later": _sequences_to_plain(self.sequences_later),
            "large_objects": [str(number) for number in astuple(self.large_objects)] if self.large_objects else None,
        }
        return json.dumps(plain, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        plain = json.loads(text)
        return cls(
            {name: _table_from_plain(table) for name, table in plain["tables"].items()},
            _sequences_from_plain(plain["sequences"]),
            _sequences_from_plain(plain.get("sequences_later", {})),
            LargeObjects(*map(int, plain["large_objects"])) if plain.get("large_objects") else None,
        )


def _sequences_to_plain(sequences: Mapping[str, SequenceState]) -> dict[str, list[Any]]:
    return {name: [str(state.last_value), state.is_called, state.increment] for name, state in sequences.items()}


def _sequences_from_plain(plain: Mapping[str, Sequence[Any]]) -> dict[str, SequenceState]:
    """An earlier version of the runbook wrote no increment."""
    return {name: SequenceState(int(value), bool(called), *more) for name, (value, called, *more) in plain.items()}


def _table_to_plain(table: TableFingerprint) -> dict[str, Any]:
    return {
        "columns": list(table.columns),
        "total": _sums_to_plain(table.total),
        "organisations": {name: _sums_to_plain(sums) for name, sums in table.organisations.items()},
    }


def _table_from_plain(plain: Mapping[str, Any]) -> TableFingerprint:
    organisations = {name: _sums_from_plain(sums) for name, sums in plain["organisations"].items()}
    return TableFingerprint(tuple(plain["columns"]), _sums_from_plain(plain["total"]), organisations)


def _sums_to_plain(sums: Sums) -> list[str]:
    return [str(sums.rows), str(sums.first), str(sums.second)]


def _sums_from_plain(plain: Sequence[str]) -> Sums:
    return Sums(int(plain[0]), int(plain[1]), int(plain[2]))


@dataclass(frozen=True)
class _Job:
    """One table to hash: where it is and which of its columns count."""

    name: str
    schema: str
    relation: str
    partitioned: bool
    columns: tuple[str, ...]
    organisation: str
    condition: str | None = None
    row_types: Mapping[str, RowType] = field(default_factory=dict)

    def query(self, written_before: int | None = None) -> sql.Composed:
        return sql.SQL(database.query("fingerprint/content")).format(
            first=sql.Literal(SEEDS[0]),
            second=sql.Literal(SEEDS[1]),
            organisation=sql.Identifier("t", self.organisation) if self.organisation else sql.SQL("NULL"),
            columns=sql.SQL(", ").join(self._text(column) for column in self.columns),
            table=self._source(),
            condition=sql.SQL("")
            if written_before is None
            else sql.SQL("WHERE age(t.xmin) > age({}::text::xid)").format(sql.Literal(str(written_before))),
        )

    def _source(self) -> sql.Composed:
        """The table without those that inherit from it; of an extension's table what the extension has dumped."""
        only = sql.SQL("" if self.partitioned else "ONLY")
        source = sql.SQL("{} {}").format(only, sql.Identifier(self.schema, self.relation))
        if not self.condition:
            return source
        return sql.SQL("(SELECT * FROM {} {})").format(source, sql.SQL(self.condition))

    def _text(self, column: str) -> sql.Composable:
        """The column; of one that holds rows of a table, the fields that are pinned."""
        value = sql.Identifier("t", column)
        if (pinned_type := self.row_types.get(column)) is None:
            return value
        rows_of = ARRAY_FIELDS if pinned_type.is_array else ROW_FIELDS
        fields = sql.SQL(", ").join(
            sql.SQL("({}).{}").format(sql.Identifier("e") if pinned_type.is_array else value, sql.Identifier(name))
            for name in pinned_type.fields
        )
        return rows_of.format(value=value, fields=fields)


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

    Names are qualified, as PostgreSQL writes them: `public.reader`. `columns` pins what is hashed, and with it which
    tables; one that is gone is left out, and `compare` tells so. `ignore` names tables to leave out.
    `row_types` (of `row_types(…)`) pins the fields of columns that hold another table's rows. `written_before` restricts
    all tables to rows that transactions before that number (as `xmin` shows it) wrote. `sequences` are positions that
    were read earlier (by `positions`).
    `sequences` (of `positions(…)`) are where the sequences stood before, if that matters.

    Inside a transaction of the caller it must be REPEATABLE READ, so that all tables are seen at one instant; else one
    is opened. Raises `Refused` on another isolation level, where row security could hide rows or the role may not read
    them all, and for an unknown table.
    Memory grows with the number of organisations, not with the rows.
    """
    with _reading(connection):
        pinned_types = row_types or {}
        jobs = [
            replace(job, row_types=pinned_types.get(job.name, {})) for job in _jobs(connection, tables, columns, ignore)
        ]
        stand = _sequences(connection) if sequences is None else sequences
        large = _large_objects(connection) if tables is None and written_before is None else None
        hashed = {job.name: _hash(connection, job, written_before) for job in jobs}
        return Fingerprint(hashed, stand, large_objects=large)


def positions(connection: Connection) -> dict[str, SequenceState]:
    """Where the sequences stand now, by their qualified names."""
    with pinned(connection, DEFINITIONS):
        return _sequences(connection)


def row_types(connection: Connection) -> dict[str, dict[str, RowType]]:
    """Columns that hold rows of a table (its row type, or an array of it), by table: with the fields of now."""
    found = dict[str, dict[str, RowType]]()
    with pinned(connection, DEFINITIONS):
        for row in database.rows(connection, database.query("fingerprint/row_types"), {"without": [database.SCHEMA]}):
            found.setdefault(row["name"], {})[row["column"]] = RowType(tuple(row["fields"]), row["is_array"])
    return found


def take_relation(connection: Connection, schema: str, relation: str) -> TableFingerprint:
    """One table by itself: a partition too, which `take` hashes with its root only, and no table that inherits."""
    with _reading(connection):
        found = database.rows(connection, database.query("fingerprint/columns"), (schema, relation))
        columns = tuple(row["name"] for row in found)
        return _hash(
            connection, _Job(f"{schema}.{relation}", schema, relation, False, columns, _organisation_in(columns))
        )


def take_parallel(
    connect: Callable[[], AbstractContextManager[Connection]],
    snapshot: str,
    tables: Collection[str] | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    *,
    ignore: Collection[str] = (),
    workers: int = 2,
) -> Fingerprint:
    """As `take`, by several sessions that all see the exported `snapshot` (of `pg_export_snapshot()`).

    `connect` opens one connection a worker. The transaction that exported the snapshot must stay open meanwhile.
    """
    with connect() as first, _importing(first, snapshot):
        jobs = _jobs(first, tables, columns, ignore)
        sequences = _sequences(first)
        large = _large_objects(first) if tables is None else None
    waiting = deque(jobs)
    with ThreadPoolExecutor(workers, thread_name_prefix="fingerprint") as pool:
        futures = [pool.submit(_work, connect, snapshot, waiting) for _ in range(workers)]
        hashed = reduce(lambda all_, future: all_ | future.result(), futures, dict[str, TableFingerprint]())
    return Fingerprint({job.name: hashed[job.name] for job in jobs}, sequences, large_objects=large)


def counts(connection: Connection, tables: Collection[str]) -> dict[str, int]:
    """Rows of each of these tables that is there, by its qualified name; without those of tables that inherit from it."""
    statement = sql.SQL("SELECT count(*) FROM {} AS t")
    with _reading(connection):
        found = [job for job in _jobs(connection, None, None, ()) if job.name in tables]
        return {job.name: _count(connection, statement.format(job._source())) for job in found}


def _count(connection: Connection, statement: sql.Composed) -> int:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0])


def _work(
    connect: Callable[[], AbstractContextManager[Connection]], snapshot: str, waiting: deque[_Job]
) -> dict[str, TableFingerprint]:
    """Hash tables until none is waiting; an error empties the queue, so that the other workers end soon."""
    hashed = {}
    try:
        with connect() as connection, _importing(connection, snapshot):
            while job := _next(waiting):
                hashed[job.name] = _hash(connection, job)
    except BaseException:
        waiting.clear()
        raise
    return hashed


def _next(waiting: deque[_Job]) -> _Job | None:
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
    found = "" if row is None else str(row[0])
    if found != expected:
        raise Refused(f"fingerprint: setting {setting}", found=found, expected=expected, action=action)


def _jobs(
    connection: Connection,
    tables: Collection[str] | None,
    columns: Mapping[str, Sequence[str]] | None,
    ignore: Collection[str],
) -> list[_Job]:
    """The tables to hash, the largest first."""
    scope = {"without": [database.SCHEMA], "ignore": list(ignore)}
    found = database.rows(connection, database.query("fingerprint/tables"), scope)
    known = {row["name"]: row for row in found}
    if unknown := sorted(set(tables or ()) - set(known) - set(columns or ())):
        raise Refused(
            "fingerprint", found="no table " + ", ".join(unknown), expected="qualified names as in public.reader",
            action="correct the names; a partition is hashed with its root",
        )  # fmt: skip
    wanted = set(known) if tables is None else set(tables)
    wanted = wanted if columns is None else wanted & set(columns)
    return [_job(row, None if columns is None else columns[name]) for name, row in known.items() if name in wanted]


def _job(row: Mapping[str, Any], pinned_columns: Sequence[str] | None) -> _Job:
    there = row["columns"]
    columns = there if pinned_columns is None else [column for column in pinned_columns if column in there]
    return _Job(
        row["name"],
        row["schema"],
        row["relation"],
        row["partitioned"],
        tuple(columns),
        _organisation_in(there),
        row["condition"],
    )


def _organisation_in(columns: Collection[str]) -> str:
    """The column that tells whose a row is; empty where none does."""
    column = application.load().tenant_column
    return column if column in columns else ""


def _hash(connection: Connection, job: _Job, written_before: int | None = None) -> TableFingerprint:
    try:
        found = connection.execute(job.query(written_before))
    except psycopg.errors.InsufficientPrivilege as error:
        raise Refused(
            f"fingerprint of {_short(job.name)}", found=error.diag.message_primary or "no right to read it",
            expected="a role that reads every row", action="connect as a superuser or as a role with BYPASSRLS",
        ) from error  # fmt: skip
    groups = {
        NO_ORGANISATION if organisation is None else str(organisation): Sums(int(rows), int(first), int(second))
        for organisation, rows, first, second in found
    }
    total = reduce(Sums.__add__, groups.values(), Sums())
    return TableFingerprint(job.columns, total, groups if job.organisation else {})


def _sequences(connection: Connection) -> dict[str, SequenceState]:
    found = database.rows(connection, database.query("fingerprint/sequences"), {"without": [database.SCHEMA]})
    if not found:
        return {}
    query = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}, last_value, is_called, {} FROM {}").format(
            sql.Literal(row["name"]), sql.Literal(row["increment"]), sql.Identifier(row["schema"], row["relation"])
        )
        for row in found
    )
    return {
        str(name): SequenceState(int(value), bool(called), int(increment))
        for name, value, called, increment in connection.execute(query)
    }


def _large_objects(connection: Connection) -> LargeObjects:
    """Page by page where the role may read the table of pages, as a superuser; else by the right on each object."""
    [may] = database.rows(connection, "SELECT has_table_privilege('pg_catalog.pg_largeobject', 'SELECT') AS read")
    name = "fingerprint/large_objects" if may["read"] else "fingerprint/large_objects_by_right"
    query = sql.SQL(database.query(name)).format(first=sql.Literal(SEEDS[0]), second=sql.Literal(SEEDS[1]))
    try:
        [row] = database.rows(connection, query)
    except psycopg.errors.InsufficientPrivilege as error:
        raise Refused(
            "fingerprint of the large objects", found=error.diag.message_primary or "no right to read them",
            expected="a role that reads all of them, as the dump must", action="GRANT SELECT ON LARGE OBJECT … to our role",
        ) from error  # fmt: skip
    return LargeObjects(*(int(row[column] or 0) for column in ("objects", "bytes", "first", "second")))


@dataclass(frozen=True)
class Verdict:
    """One table, compared. Either side is None where the table is not there. Rows are `(found, expected)`."""

    table: str
    before: TableFingerprint | None
    after: TableFingerprint | None

    @property
    def is_equal(self) -> bool:
        if self.before is None or self.after is None or self.before.columns != self.after.columns:
            return False
        return self.before.total == self.after.total and not self.organisations

    @property
    def expected(self) -> int | None:
        return None if self.before is None else self.before.total.rows

    @property
    def found(self) -> int | None:
        return None if self.after is None else self.after.total.rows

    @property
    def missing_columns(self) -> tuple[str, ...]:
        """Columns that were hashed before and are not there any more."""
        if self.before is None or self.after is None:
            return ()
        return tuple(column for column in self.before.columns if column not in self.after.columns)

    @property
    def organisations(self) -> dict[str, tuple[Sums, Sums]]:
        """Where it differs: organisation → (found, expected). Empty where one side tells none."""
        if self.before is None or self.after is None or not (self.before.organisations and self.after.organisations):
            return {}
        old, new = self.before.organisations, self.after.organisations
        pairs = {name: (new.get(name, Sums()), old.get(name, Sums())) for name in sorted(old.keys() | new.keys())}
        return {name: (found, expected) for name, (found, expected) in pairs.items() if found != expected}

    @property
    def message(self) -> str:
        """One line: `reader has 49,812 rows, expected 50,000 (organisation 3f2a1b4c…: 188 fewer)`."""
        table = _short(self.table)
        if self.before is None:
            return f"{table} was not there before, and has {_rows(self.found)}"
        if self.after is None:
            return f"{table} is missing, expected {_rows(self.expected)}"
        if self.missing_columns:
            return f"{table} has lost {', '.join(self.missing_columns)}, so its content cannot be compared"
        if self.before.columns != self.after.columns:
            return f"{table} was hashed over other columns, so its content cannot be compared"
        if self.found != self.expected:
            return f"{table} has {_rows(self.found)}, expected {self.expected:,}{self._where()}"
        if not self.is_equal:
            return f"{table} has {_rows(self.found)} as expected, but their content differs{self._where()}"
        return f"{table} is equal, {_rows(self.found)}"

    def _where(self) -> str:
        """The first three organisations in which it differs, and how many more there are."""
        parts = [_organisation(name, found, expected) for name, (found, expected) in self.organisations.items()]
        more = [f"{len(parts) - 3} more"] if len(parts) > 3 else []
        return f" ({', '.join(parts[:3] + more)})" if parts else ""


@dataclass(frozen=True)
class Comparison:
    """Two fingerprints, table by table; and what else differs, a sentence each."""

    verdicts: tuple[Verdict, ...]
    others: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Every table is equal, there was at least one to compare, and nothing else differs."""
        return bool(self.verdicts) and not self.others and all(verdict.is_equal for verdict in self.verdicts)

    @property
    def differing(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if not verdict.is_equal)

    @property
    def message(self) -> str:
        if not self.verdicts:
            return "no table was compared"
        if self.is_equal:
            rows = _rows(sum(verdict.found or 0 for verdict in self.verdicts))
            count = len(self.verdicts)
            return f"{count} tables with {rows} are equal" if count > 1 else f"1 table with {rows} is equal"
        return "; ".join([*(verdict.message for verdict in self.differing), *self.others])

    @property
    def frame(self) -> pd.DataFrame:
        lines = [
            (v.table, "equal" if v.is_equal else "differs", v.found, v.expected, len(v.organisations), v.message)
            for v in self.verdicts
        ]
        names = ["table", "verdict", "found", "expected", "organisations", "message"]
        return pd.DataFrame(lines, columns=names).astype({"found": "Int64", "expected": "Int64"})

    def __str__(self) -> str:
        return self.message

    def _repr_html_(self) -> str:
        """The differing tables first, each with what differs."""
        ordered = sorted(self.verdicts, key=lambda verdict: (verdict.is_equal, verdict.table))
        differing = f"{len(self.differing)} of {len(self.verdicts)} tables differ"
        caption = differing if self.differing else self.message
        return display.table([_line(verdict) for verdict in ordered], verdict_column="verdict", caption=caption)


def compare(before: Fingerprint, after: Fingerprint) -> Comparison:
    """Table by table: is what is there now what was there before? Pure; large objects too, sequences not."""
    names = sorted(before.tables.keys() | after.tables.keys())
    verdicts = tuple(Verdict(name, before.tables.get(name), after.tables.get(name)) for name in names)
    return Comparison(verdicts, tuple(_large_differ(before.large_objects, after.large_objects)))


def compare_restored(before: Fingerprint, after: Fingerprint) -> Comparison:
    """A restored dump with the database it was taken of: as `compare`, and where the sequences stand. Pure.

    A dump takes a sequence's value at some time between the two readings that `before` holds: there it must stand,
    which is equality where nobody drew a number meanwhile. One that went back meanwhile (reset, or begun anew at its
    end) can stand anywhere, and is not judged.
    """
    content = compare(before, after)
    if not before.sequences_later:
        return content
    differing = (
        _sequence_differs(name, first, before.sequences_later.get(name, first), after.sequences.get(name))
        for name, first in sorted(before.sequences.items())
    )
    return replace(content, others=(*content.others, *filter(None, differing)))


def _sequence_differs(name: str, first: SequenceState, last: SequenceState, found: SequenceState | None) -> str:
    if found is None:
        return f"sequence {_short(name)} is missing"
    if last.place < first.place or first.place <= found.place <= last.place:
        return ""
    expected = f"{first.last_value:,}" if first == last else f"{first.last_value:,} to {last.last_value:,}"
    drawn = "" if found.last_value != first.last_value else ", drawn already" if found.is_called else ", not drawn yet"
    return f"sequence {_short(name)} stands at {found.last_value:,}{drawn}, expected {expected}"


def _large_differ(before: LargeObjects | None, after: LargeObjects | None) -> Iterator[str]:
    if before is None or after is None or before == after:
        return
    if (before.objects, before.bytes) != (after.objects, after.bytes):
        found, expected = (f"{one.objects:,} with {one.bytes:,} bytes" for one in (after, before))
        yield f"large objects: {found}, expected {expected}"
    else:
        yield f"large objects: {after.objects:,} as expected, but their content differs"


def _organisation(name: str, found: Sums, expected: Sums) -> str:
    who = f"organisation {name[:8]}…" if name != NO_ORGANISATION else "without organisation"
    if found.rows == expected.rows:
        return f"{who}: other content"
    return f"{who}: {abs(found.rows - expected.rows):,} {'fewer' if found.rows < expected.rows else 'more'}"


def _rows(count: int | None) -> str:
    return f"{count or 0:,} row{'' if count == 1 else 's'}"


def _short(name: str) -> str:
    return name.removeprefix("public.")


def _line(verdict: Verdict) -> dict[str, Any]:
    return {
        "table": _short(verdict.table),
        "verdict": "pass" if verdict.is_equal else "fail",
        "rows found": verdict.found,
        "rows expected": verdict.expected,
        "what differs": "" if verdict.is_equal else verdict.message,
    }
