"""What each form of ALTER TABLE would do to a running system."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import postgast

from mantis_runbook.migrations.lint.lock_model import Scene, commands, subtype, target
from mantis_runbook.migrations.safe_steps import (
    ForeignKey,
    Proposed,
    foreign_keys,
    render,
    steps_of,
)
from mantis_runbook.postgres.statements import Statement, grammar, nodes, quoted, table_key

__all__ = ["Hit", "Hits", "hits_of_alter_table"]

#: Functions whose result is the same for all rows, so that a column's default needs no rewrite.
STABLE = {
    "now",
    "transaction_timestamp",
    "statement_timestamp",
    "current_setting",
    "date_trunc",
    "make_date",
    "make_interval",
    "lower",
    "upper",
    "concat",
    "md5",
    "to_jsonb",
    "jsonb_build_object",
    "jsonb_build_array",
    "json_build_object",
    "json_build_array",
}
SERIAL = {"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"}
REWRITING = {
    "AT_SetTableSpace": "SET TABLESPACE",
    "AT_SetAccessMethod": "SET ACCESS METHOD",
    "AT_SetLogged": "SET LOGGED",
    "AT_SetUnLogged": "SET UNLOGGED",
    "AT_SetExpression": "SET EXPRESSION",
}


@dataclass(frozen=True)
class Hit:
    """A rule that a statement breaks, and the names to fill into its texts."""

    rule: str
    statement: Statement
    facts: dict[str, str]


Hits = Iterator[Hit]


def hits_of_alter_table(statement: Statement, node: Any, scene: Scene) -> Hits:
    """What an ALTER TABLE breaks; tables that nobody uses yet may be altered at will."""
    table = target(node)
    for command in commands(node):
        if subtype(command) == "AT_AttachPartition":
            yield from _attach(statement, command, scene)
        elif scene.exists(table):
            rule = ALTERATIONS.get(subtype(command))
            yield from rule(statement, table, command, scene) if rule else ()
            if subtype(command) in REWRITING:
                yield Hit(
                    "table-rewrites",
                    statement,
                    {"table": table, "kind": REWRITING[subtype(command)]},
                )


def _attach(statement: Statement, command: Any, scene: Scene) -> Hits:
    partition = table_key(getattr(command, "def").partition_cmd.name)
    validated = any(table == partition for table, _ in scene.validated)
    if scene.exists(partition) and not validated:
        name = quoted(f"{partition.split('.')[-1].strip(chr(34))}_bound")
        yield Hit(
            "attach-scans",
            statement,
            {"table": partition, "name": name, "statement": statement.text},
        )


def _detach(statement: Statement, table: str, command: Any, _: Scene) -> Hits:
    part = getattr(command, "def").partition_cmd
    if not part.concurrent:
        yield Hit("detach-blocks", statement, {"table": table, "name": table_key(part.name)})


def _set_not_null(statement: Statement, table: str, command: Any, scene: Scene) -> Hits:
    if command.name not in scene.proven.get(table, set()):
        yield _not_null(statement, table, command.name)


def _not_null(statement: Statement, table: str, column: str) -> Hit:
    name = quoted(f"{table.split('.')[-1].strip(chr(34))}_{column}_not_null")
    return Hit(
        "not-null-scans", statement, {"table": table, "column": quoted(column), "name": name}
    )


def _change_type(statement: Statement, table: str, command: Any, _: Scene) -> Hits:
    new = _type(getattr(command, "def").column_def.type_name)
    yield Hit(
        "type-rewrites", statement, {"table": table, "column": quoted(command.name), "type": new}
    )


def _add_constraint(statement: Statement, table: str, command: Any, _: Scene) -> Hits:
    constraint = getattr(command, "def").constraint
    kind = grammar.ConstrType.Name(constraint.contype)
    if kind == "CONSTR_FOREIGN":
        keys = [key for key in foreign_keys(statement) if key.scans and not key.column]
        yield from (_scanning_key(statement, key) for key in keys if _is_key_of(key, constraint))
    if kind == "CONSTR_CHECK" and not constraint.skip_validation:
        yield _check(statement, table, constraint)
    if kind == "CONSTR_NOTNULL" and not constraint.skip_validation:
        yield _not_null(statement, table, constraint.keys[0].string.sval)
    if kind in INDEXED and not constraint.indexname:
        yield _indexed(statement, table, constraint, [one.string.sval for one in constraint.keys])


def _is_key_of(key: ForeignKey, constraint: Any) -> bool:
    return key.referenced == table_key(constraint.pktable) and (
        not constraint.conname or key.name == constraint.conname
    )


def _scanning_key(statement: Statement, key: ForeignKey) -> Hit:
    facts = {"table": key.table, "referenced": key.referenced, "steps": render(steps_of([key]))}
    return Hit("foreign-key-scans", statement, facts)


def _check(statement: Statement, table: str, constraint: Any, column: str = "") -> Hit:
    plain = table.split(".")[-1].strip('"')
    name = constraint.conname or "_".join(part for part in (plain, column, "check") if part)
    return Hit("check-scans", statement, {
        "table": table, "name": quoted(name), "expression": _expression(constraint.raw_expr),
    })  # fmt: skip


INDEXED = {
    "CONSTR_UNIQUE": "UNIQUE",
    "CONSTR_PRIMARY": "PRIMARY KEY",
    "CONSTR_EXCLUSION": "EXCLUDE",
}


def _indexed(statement: Statement, table: str, constraint: Any, columns: Sequence[str]) -> Hit:
    kind = INDEXED[grammar.ConstrType.Name(constraint.contype)]
    if kind == "EXCLUDE":
        return Hit("exclusion-builds-index", statement, {"table": table})
    plain = table.split(".")[-1].strip('"')
    suffix = ["pkey"] if kind == "PRIMARY KEY" else [*columns, "key"]
    name = quoted(constraint.conname or "_".join([plain, *suffix]))
    of = ", ".join(map(quoted, columns))
    steps = "\n".join(
        (
            _step(f"build {name}", f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} ({of});"),
            _step(
                f"{name} as a constraint",
                f"ALTER TABLE {table} ADD CONSTRAINT {name} {kind} USING INDEX {name};",
            ),
        )
    )
    return Hit("constraint-builds-index", statement, {"table": table, "kind": kind, "steps": steps})


def _add_column(statement: Statement, table: str, command: Any, _: Scene) -> Hits:
    column = getattr(command, "def").column_def
    constraints = {
        grammar.ConstrType.Name(one.constraint.contype): one.constraint
        for one in column.constraints
    }
    facts = {"table": table, "column": quoted(column.colname), "type": _type(column.type_name)}
    default = constraints.get("CONSTR_DEFAULT")
    if reason := _rewrites(column, constraints):
        given = default.raw_expr if default is not None else None
        yield Hit("column-rewrites", statement, facts | {
            "reason": reason, "expression": _expression(given) if given is not None else "<value>",
        })  # fmt: skip
    elif default is None and {"CONSTR_NOTNULL", "CONSTR_PRIMARY"} & set(constraints):
        yield Hit("required-column", statement, facts)
    for key in foreign_keys(statement):
        if key.column == column.colname and "CONSTR_FOREIGN" in constraints:
            yield Hit("column-with-foreign-key", statement, facts | {
                "referenced": key.referenced, "steps": render(steps_of([key])),
            })  # fmt: skip
    if "CONSTR_CHECK" in constraints:
        yield _check(statement, table, constraints["CONSTR_CHECK"], column.colname)
    for kind in INDEXED.keys() & constraints.keys():
        yield _indexed(statement, table, constraints[kind], [column.colname])


def _rewrites(column: Any, constraints: dict[str, Any]) -> str:
    """Why adding the column writes every row anew; "" when it does not."""
    if column.type_name.names[-1].string.sval in SERIAL:
        return "each row gets a number of its own"
    if "CONSTR_IDENTITY" in constraints:
        return "each row gets a number of its own"
    if "CONSTR_GENERATED" in constraints and constraints["CONSTR_GENERATED"].generated_kind != "v":
        return "a stored generated column is computed for each row"
    default = constraints.get("CONSTR_DEFAULT")
    calls = nodes(default, "FuncCall") if default is not None else ()
    volatile = [
        one.funcname[-1].string.sval for one in calls if one.funcname[-1].string.sval not in STABLE
    ]
    return f"the default calls {volatile[0]}(), which may differ for each row" if volatile else ""


# Fragments of SQL ---


def _expression(wrapped: Any) -> str:
    parsed = postgast.parse("SELECT 1")
    parsed.stmts[0].stmt.select_stmt.target_list[0].res_target.val.CopyFrom(wrapped)
    return str(postgast.deparse(parsed)).removeprefix("SELECT ")


def _type(type_name: Any) -> str:
    if type_name.names[-1].string.sval in SERIAL:
        return {
            "serial": "integer",
            "serial4": "integer",
            "smallserial": "smallint",
            "serial2": "smallint",
        }.get(type_name.names[-1].string.sval, "bigint")
    parsed = postgast.parse("SELECT a::text")
    parsed.stmts[0].stmt.select_stmt.target_list[0].res_target.val.type_cast.type_name.CopyFrom(
        type_name
    )
    return str(postgast.deparse(parsed)).removeprefix("SELECT a::")


def _step(name: str, *lines: str) -> str:
    return render([Proposed(name, lines)])


ALTERATIONS: dict[str, Callable[[Statement, str, Any, Scene], Hits]] = {
    "AT_AddConstraint": _add_constraint,
    "AT_AddColumn": _add_column,
    "AT_SetNotNull": _set_not_null,
    "AT_AlterColumnType": _change_type,
    "AT_DetachPartition": _detach,
}
