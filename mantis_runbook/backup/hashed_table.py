"""The tables to hash, and the query that hashes the rows of one, column by column."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from mantis_runbook import application
from mantis_runbook.errors import Refused
from mantis_runbook.postgres import connection as database
from mantis_runbook.postgres.connection import Connection

__all__ = ["SEEDS", "HashedTable", "RowType", "organisation_in", "tables_to_hash"]

#: Two hashes of one row text that have nothing in common but the text.
SEEDS = (0x4D616E746973, 0x52756E626F6F6B)

#: Rows of another table's type, field by field. IS DISTINCT FROM tells a row of nulls from no row.
ROW_FIELDS = sql.SQL("CASE WHEN {value} IS DISTINCT FROM NULL THEN ROW({fields})::text END")
ARRAY_FIELDS = sql.SQL(
    "(SELECT array_agg(CASE WHEN e IS DISTINCT FROM NULL THEN ROW({fields})::text END)::text ||"
    " array_dims({value}) FROM (SELECT unnest({value}) AS e) AS of_array)"
)


@dataclass(frozen=True)
class RowType:
    """The fields of a column that is of a table's row type, or an array of it: they grow when that
    table gains a column.
    """

    fields: tuple[str, ...]
    is_array: bool


@dataclass(frozen=True)
class HashedTable:
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
            organisation=(
                sql.Identifier("t", self.organisation) if self.organisation else sql.SQL("NULL")
            ),
            columns=sql.SQL(", ").join(self._text(column) for column in self.columns),
            table=self.source(),
            condition=(
                sql.SQL("")
                if written_before is None
                else sql.SQL("WHERE age(t.xmin) > age({}::text::xid)").format(
                    sql.Literal(str(written_before))
                )
            ),
        )

    def source(self) -> sql.Composed:
        """The table without those that inherit from it; of an extension's table what the extension
        has dumped.
        """
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
            sql.SQL("({}).{}").format(
                sql.Identifier("e") if pinned_type.is_array else value, sql.Identifier(name)
            )
            for name in pinned_type.fields
        )
        return rows_of.format(value=value, fields=fields)


def tables_to_hash(
    connection: Connection,
    tables: Collection[str] | None,
    columns: Mapping[str, Sequence[str]] | None,
    ignore: Collection[str],
) -> list[HashedTable]:
    """The tables to hash, the largest first."""
    scope = {"without": [database.SCHEMA], "ignore": list(ignore)}
    hashable = database.rows(connection, database.query("fingerprint/tables"), scope)
    known = {row["name"]: row for row in hashable}
    if unknown := sorted(set(tables or ()) - set(known) - set(columns or ())):
        raise Refused(
            "fingerprint",
            found="no table " + ", ".join(unknown),
            expected="qualified names as in public.reader",
            action="correct the names; a partition is hashed with its root",
        )
    wanted = set(known) if tables is None else set(tables)
    wanted = wanted if columns is None else wanted & set(columns)
    return [
        _job(row, None if columns is None else columns[name])
        for name, row in known.items()
        if name in wanted
    ]


def _job(row: Mapping[str, Any], pinned_columns: Sequence[str] | None) -> HashedTable:
    present = row["columns"]
    columns = (
        present
        if pinned_columns is None
        else [column for column in pinned_columns if column in present]
    )
    return HashedTable(
        name=row["name"],
        schema=row["schema"],
        relation=row["relation"],
        partitioned=row["partitioned"],
        columns=tuple(columns),
        organisation=organisation_in(present),
        condition=row["condition"],
    )


def organisation_in(columns: Collection[str]) -> str:
    """The column that tells whose a row is; empty where none does."""
    column = application.load().tenant_column
    return column if column in columns else ""
