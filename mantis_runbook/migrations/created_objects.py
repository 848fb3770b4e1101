"""What a migration would create: tables, columns, enums and their labels, indexes, functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mantis_runbook.migrations.files import Migration
from mantis_runbook.postgres.statements import grammar, nodes, relation_name, tree

__all__ = ["Planned", "planned"]

#: How the grammar calls types that the catalogue calls otherwise is left to the server:
#: to_regtype() knows both.
TABLES = {
    "CreateStmt": "table",
    "ViewStmt": "view",
    "CreateTableAsStmt": "table",
    "CreateSeqStmt": "sequence",
}


@dataclass(frozen=True)
class Planned:
    """An object that a migration creates, by its unqualified name.

    `parts` are pairs: columns and their types of a table (or of one column that is added to it),
    labels of an enum (with nothing beside them), types of a function's arguments (likewise).
    """

    version: str
    kind: str
    name: str
    parts: tuple[tuple[str, str], ...] = ()


def planned(migration: Migration) -> tuple[Planned, ...]:
    """All objects that the migration's file creates, in order.

    What a DO block makes is not seen.
    """
    return tuple(
        Planned(migration.version, kind, name, tuple(parts))
        for step in migration.up.steps
        for statement in step.statements
        for kind, name, parts in _made(tree(statement.text))
    )


def _made(node: Any) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """What is replaced on purpose (CREATE OR REPLACE) is nobody's leftover."""
    kind = node.DESCRIPTOR.name
    if getattr(node, "replace", False):
        return
    if kind == "CreateEnumStmt":
        yield "enum", _last(node.type_name), [(value.string.sval, "") for value in node.vals]
    elif kind == "IndexStmt" and node.idxname:
        yield "index", node.idxname, [(_bare(node.relation), "")]
    elif kind == "CreateFunctionStmt":
        yield (
            "function",
            _last(node.funcname),
            [(_type(one.arg_type), "") for one in _arguments(node)],
        )
    elif kind == "AlterTableStmt":
        yield from (
            ("column", _bare(node.relation), [_column(column)])
            for command in nodes(node, "AlterTableCmd")
            if grammar.AlterTableType.Name(command.subtype) == "AT_AddColumn"
            for column in nodes(command, "ColumnDef")
        )
    elif kind in TABLES:
        relation = {"ViewStmt": "view", "CreateSeqStmt": "sequence"}.get(kind, "relation")
        created = node.into.rel if kind == "CreateTableAsStmt" else getattr(node, relation)
        columns = [
            _column(one.column_def)
            for one in getattr(node, "table_elts", ())
            if one.HasField("column_def")
        ]
        yield TABLES[kind], _bare(created), columns


def _arguments(node: Any) -> list[Any]:
    """Those that tell functions of one name apart."""
    result = ("FUNC_PARAM_OUT", "FUNC_PARAM_TABLE")
    return [
        argument
        for argument in nodes(node, "FunctionParameter")
        if grammar.FunctionParameterMode.Name(argument.mode) not in result
    ]


def _column(column: Any) -> tuple[str, str]:
    return column.colname, _type(column.type_name)


def _type(name: Any) -> str:
    """A type as text that to_regtype() reads, its modifier included: numeric(12,2), api_scope[]."""
    modifiers = ",".join(str(one.a_const.ival.ival) for one in name.typmods)
    return (
        f"{_last(name.names)}{f'({modifiers})' if modifiers else ''}{'[]' * len(name.array_bounds)}"
    )


def _last(names: Any) -> str:
    return str(names[-1].string.sval)


def _bare(relation: Any) -> str:
    return relation_name(relation).rsplit(".", 1)[-1]
