"""Which column each parameter of a statement is compared with or written into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mantis_runbook.postgres import statements as grammar
from mantis_runbook.postgres.connection import Connection, query, rows

__all__ = ["Column", "Columns", "compared", "read"]


@dataclass(frozen=True)
class Column:
    """A column; `place` is its position in the primary key, None outside of it."""

    table: str
    name: str
    type: str
    place: int | None

    @property
    def quoted(self) -> str:
        return grammar.quoted(self.name)


Columns = Mapping[str, Mapping[str, Column]]


def read(connection: Connection, tables: Sequence[str]) -> Columns:
    """The columns of these tables, by table and name."""
    columns: dict[str, dict[str, Column]] = {}
    for row in rows(connection, query("learnt/columns"), {"tables": list(tables)}):
        column = Column(row["name"], row["column"], row["type"], row["place"])
        columns.setdefault(row["name"], {})[row["column"]] = column
    return columns


def compared(root: Any, columns: Columns) -> Iterator[tuple[int, Column]]:
    """Each parameter's number and its column, the outer parts of the statement first."""
    aliases = {
        (
            relation.alias.aliasname if relation.HasField("alias") else relation.relname
        ): grammar.relation_name(relation)
        for relation in grammar.nodes(root, "RangeVar")
    }
    for node in grammar.nodes(root, "A_Expr", "InsertStmt", "UpdateStmt", "OnConflictClause"):
        kind = node.DESCRIPTOR.name
        if kind == "A_Expr":
            for asked, other in ((node.lexpr, node.rexpr), (node.rexpr, node.lexpr)):
                column = next(
                    (_resolved(one, aliases, columns) for one in grammar.nodes(other, "ColumnRef")),
                    None,
                )
                if column:
                    yield from ((one.number, column) for one in grammar.nodes(asked, "ParamRef"))
        elif kind == "InsertStmt":
            yield from _inserted(node, columns)
        else:
            table = grammar.relation_name(node.relation) if kind == "UpdateStmt" else ""
            yield from _assigned(node.target_list, [table] if table else list(columns), columns)


def _resolved(reference: Any, aliases: Mapping[str, str], columns: Columns) -> Column | None:
    names = [
        field.string.sval for field in reference.fields if field.WhichOneof("node") == "string"
    ]
    if not names:
        return None
    tables = (
        [aliases.get(names[-2], "")] if len(names) > 1 else list(dict.fromkeys(aliases.values()))
    )
    return next(
        (columns[table][names[-1]] for table in tables if names[-1] in columns.get(table, {})), None
    )


def _inserted(node: Any, columns: Columns) -> Iterator[tuple[int, Column]]:
    known = columns.get(grammar.relation_name(node.relation), {})
    names = [one.res_target.name for one in node.cols] or list(known)
    select = node.select_stmt.select_stmt
    lists = [one.list.items for one in select.values_lists] or [select.target_list]
    for values in lists:
        for name, value in zip(names, values, strict=False):
            if name in known:
                yield from ((one.number, known[name]) for one in grammar.nodes(value, "ParamRef"))


def _assigned(
    targets: Any, tables: Sequence[str], columns: Columns
) -> Iterator[tuple[int, Column]]:
    for target in targets:
        column = next(
            (
                columns[table][target.res_target.name]
                for table in tables
                if target.res_target.name in columns.get(table, {})
            ),
            None,
        )
        if column:
            yield from (
                (each.number, column) for each in grammar.nodes(target.res_target.val, "ParamRef")
            )
