"""Strong locks: on which existing tables a statement stops writers or readers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import postgast

from mantis_runbook.errors import MigrationFileError
from mantis_runbook.migrations.safe_steps import foreign_keys
from mantis_runbook.postgres.statements import (
    Statement,
    grammar,
    nodes,
    option,
    parse_statements,
    quoted,
    table_key,
    tree,
)

__all__ = [
    "Scene",
    "commands",
    "dropped",
    "expanded",
    "key_of",
    "strong_locks",
    "subtype",
    "target",
]

#: Forms of ALTER TABLE that take SHARE UPDATE EXCLUSIVE or less: they stop neither readers nor
#: writers.
GENTLE = {
    "AT_ValidateConstraint",
    "AT_SetStatistics",
    "AT_SetOptions",
    "AT_ResetOptions",
    "AT_SetRelOptions",
    "AT_ResetRelOptions",
    "AT_ClusterOn",
    "AT_DropCluster",
    "AT_AttachPartition",
}


@dataclass
class Scene:
    """What the statements so far have made: tables nobody uses yet, their indexes, foreign keys and
    proven checks.

    Tables are told apart by `table_key`. A table that is not in `created` is one that the
    application uses.
    """

    created: set[str] = field(default_factory=set)
    indexes: dict[str, str] = field(default_factory=dict)
    keys: dict[str, dict[str, str]] = field(default_factory=dict)
    promised: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    proven: dict[str, set[str]] = field(default_factory=dict)
    validated: set[tuple[str, str]] = field(default_factory=set)

    def exists(self, table: str) -> bool:
        """Whether the table was there before this migration."""
        return bool(table) and table not in self.created

    def happens(self, statement: Statement) -> None:
        """Remember what a statement made, once it was judged."""
        node = tree(statement.text)
        for relation in _made(node):
            self.created.add(table_key(relation))
        if statement.kind == "IndexStmt":
            self.indexes[node.idxname] = table_key(node.relation)
        if statement.kind == "RenameStmt" and target(node) in self.created:
            self.created.add(".".join([*target(node).split(".")[:-1], node.newname]))
        for key in foreign_keys(statement):
            self.keys.setdefault(key.table, {})[key.name] = key.referenced
        for command in commands(node):
            self._alters(target(node), command)

    def _alters(self, table: str, command: Any) -> None:
        if subtype(command) == "AT_DropConstraint":
            self.keys.get(table, {}).pop(command.name, None)
        if subtype(command) == "AT_AddConstraint":
            constraint = getattr(command, "def").constraint
            self.promised[table, constraint.conname] = _columns_not_null(constraint)
        if subtype(command) == "AT_ValidateConstraint":
            columns = self.promised.get((table, command.name), set())
            self.proven.setdefault(table, set()).update(columns)
            self.validated.add((table, command.name))


def expanded(statement: Statement) -> tuple[Statement, ...]:
    """The statement itself; of a DO block the statements in it, as far as they are written out and
    not composed.
    """
    if statement.kind != "DoStmt":
        return (statement,)
    try:
        parsed = postgast.parse_plpgsql(statement.text)
    except postgast.PgQueryError:
        return (statement,)
    return (statement, *(one for query in _queries(parsed) for one in _parsed(query)))


def _queries(parsed: Any) -> Iterator[str]:
    """The queries of statements that do something; expressions and queries that only ask are left
    out.
    """
    if isinstance(parsed, list):
        for part in parsed:
            yield from _queries(part)
    elif isinstance(parsed, dict):
        for name, part in parsed.items():
            if name == "PLpgSQL_stmt_execsql":
                yield part["sqlstmt"]["PLpgSQL_expr"]["query"]
            elif name == "PLpgSQL_stmt_dynexecute":
                yield from _constant(part["query"]["PLpgSQL_expr"]["query"])
            else:
                yield from _queries(part)


def _constant(expression: str) -> list[str]:
    """The text of EXECUTE 'text'; nothing when it is composed."""
    selected = list(nodes(postgast.parse(f"SELECT {expression}"), "ResTarget"))
    value = selected[0].val if selected else None
    return (
        [value.a_const.sval.sval]
        if value is not None and value.WhichOneof("node") == "a_const"
        else []
    )


def _parsed(query: str) -> tuple[Statement, ...]:
    try:
        return parse_statements(query)
    except MigrationFileError:
        return ()


def commands(node: Any) -> list[Any]:
    """The forms of an ALTER TABLE; none for any other statement, nor for ALTER INDEX, ALTER VIEW
    …
    """
    if node.DESCRIPTOR.name != "AlterTableStmt" or node.objtype != grammar.OBJECT_TABLE:
        return []
    return [one.alter_table_cmd for one in node.cmds]


def subtype(command: Any) -> str:
    """The name the grammar gives to one command of an ALTER TABLE, such as `AT_AddColumn`."""
    return str(grammar.AlterTableType.Name(command.subtype))


def target(node: Any) -> str:
    """The table a statement is about; "" for statements about none, or several."""
    if node.DESCRIPTOR.name == "CreatePolicyStmt" or node.DESCRIPTOR.name == "AlterPolicyStmt":
        return table_key(node.table)
    if "relation" not in node.DESCRIPTOR.fields_by_name or not node.HasField("relation"):
        return ""
    return table_key(node.relation)


def strong_locks(statement: Statement, scene: Scene) -> set[str]:
    """Existing tables on which the statement takes SHARE or stronger: writers wait, or readers as
    well.
    """
    rule = LOCKS.get(statement.kind)
    if rule is None or statement.outside_transaction:
        return set()
    return {table for table in rule(statement, tree(statement.text), scene) if scene.exists(table)}


def _made(node: Any) -> list[Any]:
    """What a statement creates for certain: with IF NOT EXISTS or OR REPLACE it may be there, and
    in use.
    """
    kind = node.DESCRIPTOR.name
    if getattr(node, "if_not_exists", False) or getattr(node, "replace", False):
        return []
    if kind == "CreateStmt":
        return [node.relation]
    if kind == "CreateForeignTableStmt":
        return [node.base_stmt.relation]
    if kind == "CreateTableAsStmt":
        return [node.into.rel]
    if kind == "SelectStmt" and node.HasField("into_clause"):
        return [node.into_clause.rel]
    return [node.view] if kind == "ViewStmt" else []


def _columns_not_null(constraint: Any) -> set[str]:
    """Columns of which a CHECK says that they are not null, alone or joined by AND."""
    if constraint.contype != grammar.CONSTR_CHECK:
        return set()
    terms = [constraint.raw_expr]
    columns = set()
    while terms:
        term = terms.pop()
        if term.WhichOneof("node") == "bool_expr" and term.bool_expr.boolop == grammar.AND_EXPR:
            terms += term.bool_expr.args
        if (
            term.WhichOneof("node") == "null_test"
            and term.null_test.nulltesttype == grammar.IS_NOT_NULL
        ):
            columns |= {
                one.fields[-1].string.sval for one in nodes(term.null_test.arg, "ColumnRef")
            }
    return columns


def _locks_of_creation(statement: Statement, node: Any, _: Scene) -> set[str]:
    own = table_key(node.relation)
    parents = (
        {table_key(one.range_var) for one in node.inh_relations}
        if node.HasField("partbound")
        else set()
    )
    return {key.referenced for key in foreign_keys(statement)} - {own} | parents


def _locks_of_alteration(statement: Statement, node: Any, scene: Scene) -> set[str]:
    table = target(node)
    locked = {key.referenced for key in foreign_keys(statement)}
    for command in commands(node):
        if subtype(command) not in GENTLE:
            locked.add(table)
        if subtype(command) == "AT_AttachPartition":
            locked.add(table_key(getattr(command, "def").partition_cmd.name))
        if subtype(command) == "AT_DropConstraint":
            locked |= {scene.keys.get(table, {}).get(command.name, "")}
    return locked


def _locks_of_drop(_: Statement, node: Any, scene: Scene) -> set[str]:
    kind, names = grammar.ObjectType.Name(node.remove_type), dropped(node)
    if kind in {"OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"}:
        return {key_of(name[:-1]) for name in names}
    if kind == "OBJECT_INDEX":
        return {scene.indexes.get(name[-1], "") for name in names}
    if kind != "OBJECT_TABLE":
        return set()
    tables = {key_of(name) for name in names}
    return tables | {
        referenced for table in tables for referenced in scene.keys.get(table, {}).values()
    }


def dropped(node: Any) -> list[list[str]]:
    """The names of a DROP, each in its parts; a trigger's or policy's begins with its table's."""
    lists = [one.list.items for one in node.objects if one.WhichOneof("node") == "list"]
    return [[part.string.sval for part in parts] for parts in lists]


def key_of(name: list[str]) -> str:
    """A name in parts as `table_key` would say it."""
    return ".".join(quoted(part) for part in name).removeprefix("public.")


def _locks_of_rename(_: Statement, node: Any, __: Scene) -> set[str]:
    return (
        {target(node)}
        if node.rename_type in (grammar.OBJECT_TABLE, grammar.OBJECT_COLUMN)
        else set()
    )


def _locks_of_vacuum(_: Statement, node: Any, __: Scene) -> set[str]:
    return (
        {table_key(one) for one in nodes(node, "RangeVar")}
        if option(node.options, "full")
        else set()
    )


def _locks_of_lock(_: Statement, node: Any, __: Scene) -> set[str]:
    share = 5
    return {table_key(one) for one in nodes(node, "RangeVar")} if node.mode >= share else set()


def _locks_of_target(_: Statement, node: Any, __: Scene) -> set[str]:
    return {target(node)}


def _locks_of_all(_: Statement, node: Any, __: Scene) -> set[str]:
    return {table_key(one) for one in nodes(node, "RangeVar")}


LOCKS: dict[str, Callable[[Statement, Any, Scene], set[str]]] = {
    "CreateStmt": _locks_of_creation,
    "AlterTableStmt": _locks_of_alteration,
    "AlterObjectSchemaStmt": _locks_of_target,
    "IndexStmt": _locks_of_target,
    "CreateTrigStmt": _locks_of_target,
    "CreatePolicyStmt": _locks_of_target,
    "AlterPolicyStmt": _locks_of_target,
    "RuleStmt": _locks_of_target,
    "ClusterStmt": _locks_of_target,
    "ReindexStmt": _locks_of_target,
    "RenameStmt": _locks_of_rename,
    "DropStmt": _locks_of_drop,
    "TruncateStmt": _locks_of_all,
    "VacuumStmt": _locks_of_vacuum,
    "LockStmt": _locks_of_lock,
}
