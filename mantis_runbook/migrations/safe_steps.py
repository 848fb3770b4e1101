"""The safe way to the same end: statements cut into steps that nobody has to wait for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import postgast

from mantis_runbook.postgres.statements import (
    Statement,
    grammar,
    nodes,
    quoted,
    relation_name,
    table_key,
    tree,
)

__all__ = [
    "ForeignKey",
    "Proposed",
    "foreign_keys",
    "is_ledger_statement",
    "recut",
    "render",
    "steps_of",
    "without_cascade",
]

LEDGER = ("schema_migrations", "migration_backups")
LEDGER_SCHEMAS = ("", "public", "mantis_runbook")
WIDTH = 110


@dataclass(frozen=True)
class Proposed:
    """A step as it could be written: its name and its lines of SQL."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key: what it refers to, and the two statements that add it without a scan.

    On a new partitioned table it is added at once and `validate` is "": NOT VALID is refused there
    before PostgreSQL 18. `scans` when it was written without NOT VALID; `column` when it stands
    behind a column.
    """

    table: str
    name: str
    referenced: str
    add: str
    validate: str
    scans: bool
    column: str


def render(steps: Iterable[Proposed]) -> str:
    """The steps as text of a migration file."""
    return "\n".join("\n".join((f"-- step: {step.name}", *step.lines)) for step in steps)


def is_ledger_statement(statement: Statement) -> bool:
    """Whether it writes `schema_migrations` or `migration_backups`, also by way of a CTE."""
    if statement.kind in {"CreateFunctionStmt", "RuleStmt"}:
        return False
    writers = nodes(
        tree(statement.text), "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "TruncateStmt"
    )
    return any(_is_ledger(relation) for writer in writers for relation in _written(writer))


def _written(writer: Any) -> list[Any]:
    if writer.DESCRIPTOR.name == "TruncateStmt":
        return list(nodes(writer, "RangeVar"))
    return [writer.relation]


def _is_ledger(relation: Any) -> bool:
    return relation.relname in LEDGER and relation.schemaname in LEDGER_SCHEMAS


def recut(groups: Iterable[tuple[str, Sequence[Statement]]]) -> tuple[Proposed, ...]:
    """The steps that these could be: each group is a step's name ("" for none) and its statements.

    Left out is what the engine does itself (BEGIN, COMMIT, the ledger); apart stand what cannot run
    in a transaction, and foreign keys to tables that exist already.
    """
    created: set[str] = set()
    steps: list[Proposed] = []
    for name, statements in groups:
        kept = [
            statement
            for statement in statements
            if statement.kind != "TransactionStmt" and not is_ledger_statement(statement)
        ]
        for topic, together in _by_topic(kept):
            tables = [statement for statement in together if statement.kind == "CreateStmt"]
            created |= {_table(statement) for statement in tables}
            keys = [
                key
                for statement in tables
                for key in foreign_keys(statement)
                if key.referenced not in created
            ]
            steps.append(
                Proposed(name or topic, tuple(_line(statement, keys) for statement in together))
            )
            steps += steps_of(keys)
            name = ""
    return _with_own_names(steps)


def _by_topic(statements: Sequence[Statement]) -> Iterator[tuple[str, list[Statement]]]:
    together: list[Statement] = []
    for one in statements:
        if together and (_topic(one) != _topic(together[-1]) or one.outside_transaction):
            yield _topic(together[0]), together
            together = []
        together.append(one)
    if together:
        yield _topic(together[0]), together


def _topic(statement: Statement) -> str:
    """What a step of it would be called."""
    node = tree(statement.text)
    if statement.kind == "IndexStmt" and statement.outside_transaction:
        return f"build {node.idxname or 'an index of ' + node.relation.relname}"
    if statement.outside_transaction:
        return statement.summary
    if statement.kind == "CreateExtensionStmt":
        return "extensions"
    if statement.kind in {"DoStmt", "CreateEnumStmt"}:
        return (
            "types"
            if "CREATE TYPE" in statement.text.upper()
            else f"block of line {statement.line}"
        )
    if statement.kind in {"CreateStmt", "AlterTableStmt", "IndexStmt", "CreateTrigStmt"}:
        return str(node.relation.relname)
    if statement.kind == "CreatePolicyStmt":
        return str(node.table.relname)
    if statement.kind == "SelectStmt":
        return f"query of line {statement.line}"
    return statement.summary


def _line(statement: Statement, keys: Sequence[ForeignKey]) -> str:
    own = [key for key in keys if statement.kind == "CreateStmt" and key.table == _table(statement)]
    if own:
        without = ", ".join(dict.fromkeys(key.referenced for key in own))
        return f"{statement.summary} (…);  -- its columns and checks, without REFERENCES {without}"
    if statement.kind == "DropStmt" and tree(statement.text).behavior == grammar.DROP_CASCADE:
        return (
            f"{without_cascade(statement)}  -- without CASCADE, which would decide for you what"
            " goes too"
        )
    flat = " ".join(statement.text.split())
    return f"{flat};" if len(flat) <= WIDTH and "--" not in flat else f"{statement.summary} …;"


def without_cascade(statement: Statement) -> str:
    """The same statement, which then names what depends instead of dropping it."""
    parsed = postgast.parse(statement.text)
    for node in nodes(parsed):
        if "behavior" in node.DESCRIPTOR.fields_by_name and node.behavior == grammar.DROP_CASCADE:
            node.behavior = grammar.DROP_RESTRICT
    return str(postgast.deparse(parsed)) + ";"


def _table(statement: Statement) -> str:
    return table_key(tree(statement.text).relation)


def steps_of(keys: Sequence[ForeignKey]) -> list[Proposed]:
    """Two steps a key: added NOT VALID, then validated."""
    return [
        step
        for key in keys
        for step in (
            Proposed(f"{key.table} refers to {key.referenced}", (key.add,)),
            Proposed(f"validate {key.name}", (key.validate,)),
        )
        if all(step.lines)
    ]


def _with_own_names(steps: Sequence[Proposed]) -> tuple[Proposed, ...]:
    seen: dict[str, int] = {}
    result = []
    for step in steps:
        seen[step.name] = seen.get(step.name, 0) + 1
        again = f" ({seen[step.name]})" if seen[step.name] > 1 else ""
        result.append(Proposed(step.name + again, step.lines))
    return tuple(result)


def foreign_keys(statement: Statement) -> tuple[ForeignKey, ...]:
    """The foreign keys of a CREATE TABLE or an ALTER TABLE … ADD, behind columns or on their
    own.
    """
    node = tree(statement.text)
    if statement.kind not in {"CreateStmt", "AlterTableStmt"}:
        return ()
    columns = [(column, list(nodes(column, "Constraint"))) for column in nodes(node, "ColumnDef")]
    plain = not (statement.kind == "CreateStmt" and node.HasField("partspec"))
    keys = [
        _foreign_key(
            node.relation, key, constraints[position + 1 :], column.colname, not_valid=plain
        )
        for column, constraints in columns
        for position, key in enumerate(constraints)
        if _is_foreign(key)
    ]
    of_columns = {id(one) for _, constraints in columns for one in constraints}
    own = [
        one for one in nodes(node, "Constraint") if _is_foreign(one) and id(one) not in of_columns
    ]
    return tuple(keys + [_foreign_key(node.relation, key, [], "", not_valid=plain) for key in own])


def _is_foreign(constraint: Any) -> bool:
    return bool(constraint.contype == grammar.CONSTR_FOREIGN)


def _foreign_key(
    relation: Any, key: Any, following: Sequence[Any], column: str, *, not_valid: bool
) -> ForeignKey:
    """The key as ALTER TABLE … ADD; of a column's key, its DEFERRABLE stands among what follows
    it.
    """
    columns = [column] if column else [one.string.sval for one in key.fk_attrs]
    name = key.conname or "_".join([relation.relname, *columns, "fkey"])
    parsed = postgast.parse("ALTER TABLE t ADD CONSTRAINT n FOREIGN KEY (c) REFERENCES r NOT VALID")
    statement = parsed.stmts[0].stmt.alter_table_stmt
    statement.relation.CopyFrom(relation)
    constraint = getattr(statement.cmds[0].alter_table_cmd, "def").constraint
    attributes = constraint.fk_attrs[0]
    constraint.CopyFrom(key)
    constraint.conname, constraint.skip_validation, constraint.initially_valid = (
        name,
        not_valid,
        not not_valid,
    )
    del constraint.fk_attrs[:]
    for one in columns:
        attributes.string.sval = one
        constraint.fk_attrs.append(attributes)
    for one in following:
        constraint.deferrable |= one.contype == grammar.CONSTR_ATTR_DEFERRABLE
        constraint.initdeferred |= one.contype == grammar.CONSTR_ATTR_DEFERRED
    return ForeignKey(
        table_key(relation),
        name,
        table_key(key.pktable),
        postgast.deparse(parsed) + ";",
        f"ALTER TABLE {relation_name(relation)} VALIDATE CONSTRAINT {quoted(name)};"
        if not_valid
        else "",
        not key.skip_validation,
        column,
    )
