"""What each statement would do to a running system: the rules, over PostgreSQL's own parse tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import postgast

from mantis_runbook.migrations.lint.alter_table import Hit, Hits, hits_of_alter_table
from mantis_runbook.migrations.lint.lock_model import (
    Scene,
    commands,
    dropped,
    key_of,
    subtype,
    target,
)
from mantis_runbook.migrations.safe_steps import (
    ForeignKey,
    Proposed,
    foreign_keys,
    render,
    steps_of,
    without_cascade,
)
from mantis_runbook.migrations.scripts import Step
from mantis_runbook.postgres.connection import GIVING_WAY, SESSION
from mantis_runbook.postgres.statements import (
    Statement,
    grammar,
    nodes,
    option,
    quoted,
    relation_name,
    table_key,
    tree,
)

__all__ = ["ENGINE_SETTINGS", "cascades", "hits_of_statement", "hits_of_step"]

LOCK_MODES = (
    "",
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)
ENGINE_SETTINGS = {name.lower() for name in SESSION | GIVING_WAY} | {
    "transaction_timeout",
    "idle_session_timeout",
}


def hits_of_statement(statement: Statement, step: Step, scene: Scene, *, rollback: bool) -> Hits:
    """What one statement breaks; `rollback` may drop what its migration made from tables that
    existed before it.
    """
    node = tree(statement.text)
    if rule := RULES.get(statement.kind):
        yield from rule(statement, node, scene)
    if not rollback:
        yield from _drops_of_existing(statement, node, scene)
    yield from _unbatched_writes(statement, node, step, scene)
    yield from cascades(statement)


def hits_of_step(locks: Sequence[tuple[Statement, set[str]]], scene: Scene) -> Hits:
    """What the statements of a step break together; each comes with the tables it locked
    strongly.
    """
    statements = [one for one, _ in locks]
    yield from _validated_in_same_step(statements, scene)
    yield from _triggers_in_company(locks, scene)
    yield from _many_strong_locks(locks)


def cascades(statement: Statement) -> Hits:
    """CASCADE of a DROP, TRUNCATE or REVOKE, which no script may have."""
    if statement.kind in {"CreateFunctionStmt", "DoStmt"}:
        return
    root = tree(statement.text)
    behaviors = [one for one in nodes(root) if "behavior" in one.DESCRIPTOR.fields_by_name]
    if any(one.behavior == grammar.DROP_CASCADE for one in behaviors):
        yield Hit("cascade", statement, {"safe": without_cascade(statement)})


# Fragments of SQL
# ------------------------------------------------------------------------------------------------


def _concurrent(statement: Statement) -> str:
    parsed = postgast.parse(statement.text)
    node = parsed.stmts[0].stmt
    getattr(node, node.WhichOneof("node")).concurrent = True
    return str(postgast.deparse(parsed)) + ";"


def _step(name: str, *lines: str) -> str:
    return render([Proposed(name, lines)])


# Rules by kind of statement
# --------------------------------------------------------------------------------------


def _index(statement: Statement, node: Any, scene: Scene) -> Hits:
    table = table_key(node.relation)
    if scene.exists(table) and not node.concurrent:
        name = node.idxname or f"an index of {table}"
        yield Hit("index-blocks-writes", statement, {
            "table": table, "steps": _step(f"build {name}", _concurrent(statement)),
        })  # fmt: skip


def _drop(statement: Statement, node: Any, scene: Scene) -> Hits:
    if node.remove_type == grammar.OBJECT_INDEX and not node.concurrent:
        for name in dropped(node):
            if scene.exists(scene.indexes.get(name[-1], name[-1])):
                index = key_of(name)
                steps = _step(f"drop {index}", f"DROP INDEX CONCURRENTLY {index};")
                yield Hit("drop-index-blocks", statement, {"name": index, "steps": steps})


def _drops_of_existing(statement: Statement, node: Any, scene: Scene) -> Hits:
    if statement.kind == "DropStmt" and node.remove_type == grammar.OBJECT_TABLE:
        tables = [key_of(name) for name in dropped(node)]
        yield from (
            Hit("drop-table", statement, {"table": one}) for one in tables if scene.exists(one)
        )
    for command in commands(node):
        if subtype(command) == "AT_DropColumn" and scene.exists(target(node)):
            yield Hit(
                "drop-column", statement, {"table": target(node), "column": quoted(command.name)}
            )


def _create(statement: Statement, node: Any, scene: Scene) -> Hits:
    own = table_key(node.relation)
    keys = [
        key
        for key in foreign_keys(statement)
        if scene.exists(key.referenced) and key.referenced != own
    ]
    by_table: dict[str, list[ForeignKey]] = {}
    for key in keys:
        by_table.setdefault(key.referenced, []).append(key)
    for referenced, some in by_table.items():
        columns = (
            f"CREATE TABLE {own} (…);  -- its columns and checks, without REFERENCES {referenced}"
        )
        steps = [Proposed(own, (columns,)), *steps_of(some)]
        yield Hit(
            "inline-foreign-key",
            statement,
            {"table": own, "referenced": referenced, "steps": render(steps)},
        )


def _reindex(statement: Statement, node: Any, scene: Scene) -> Hits:
    if option(node.params, "concurrently"):
        return
    name = relation_name(node.relation) if node.HasField("relation") else node.name
    kind = grammar.ReindexObjectType.Name(node.kind).removeprefix("REINDEX_OBJECT_")
    if scene.exists(scene.indexes.get(name, name)) if kind == "INDEX" else scene.exists(name):
        yield Hit("reindex-blocks", statement, {"name": name, "kind": kind})


def _rename(statement: Statement, node: Any, scene: Scene) -> Hits:
    table, new = target(node), quoted(node.newname)
    if not scene.exists(table):
        return
    if node.rename_type in (grammar.OBJECT_TABLE, grammar.OBJECT_VIEW, grammar.OBJECT_MATVIEW):
        yield Hit("rename-table", statement, {"table": table, "new": new})
    if node.rename_type == grammar.OBJECT_COLUMN:
        yield Hit(
            "rename-column", statement, {"table": table, "new": new, "column": quoted(node.subname)}
        )


def _lock(statement: Statement, node: Any, scene: Scene) -> Hits:
    for relation in nodes(node, "RangeVar"):
        if scene.exists(table_key(relation)):
            yield Hit(
                "lock-table",
                statement,
                {"table": table_key(relation), "mode": LOCK_MODES[node.mode]},
            )


def _truncate(statement: Statement, node: Any, scene: Scene) -> Hits:
    for relation in nodes(node, "RangeVar"):
        if scene.exists(table_key(relation)):
            yield Hit("truncate", statement, {"table": table_key(relation)})


def _vacuum(statement: Statement, node: Any, scene: Scene) -> Hits:
    if not option(node.options, "full"):
        return
    tables = [table_key(one) for one in nodes(node, "RangeVar")]
    for table in tables or ["every table"]:
        if scene.exists(table):
            yield Hit("vacuum-full", statement, {"table": table})


def _cluster(statement: Statement, node: Any, scene: Scene) -> Hits:
    table = target(node) or "every clustered table"
    if scene.exists(table):
        yield Hit("cluster", statement, {"table": table})


def _refresh(statement: Statement, node: Any, scene: Scene) -> Hits:
    if scene.exists(target(node)) and not node.concurrent and not node.skip_data:
        yield Hit("refresh-blocks", statement, {"table": target(node)})


def _setting(statement: Statement, node: Any, _: Scene) -> Hits:
    if node.name.lower() in ENGINE_SETTINGS:
        yield Hit("engine-setting", statement, {"name": node.name.lower()})
    if grammar.VariableSetKind.Name(node.kind) == "VAR_RESET_ALL":
        yield Hit("engine-setting", statement, {"name": "lock_timeout"})


def _unbatched_writes(statement: Statement, node: Any, step: Step, scene: Scene) -> Hits:
    if step.batched_over or statement.kind in {"CreateFunctionStmt", "RuleStmt", "PrepareStmt"}:
        return
    for writer in nodes(node, "UpdateStmt", "DeleteStmt", "MergeStmt"):
        table = table_key(writer.relation)
        kind = writer.DESCRIPTOR.name.removesuffix("Stmt").upper()
        if scene.exists(table) and not _changes_nothing(writer):
            yield Hit(
                "unbatched-write",
                statement,
                {
                    "table": table,
                    "kind": kind,
                    "statement": " ".join(statement.text.split()),
                    "conjunction": "AND"
                    if statement.kind != "MergeStmt" and writer.HasField("where_clause")
                    else "WHERE",
                },
            )


def _changes_nothing(writer: Any) -> bool:
    """WHERE false, or a MERGE that only inserts."""
    if writer.DESCRIPTOR.name == "MergeStmt":
        changing = (grammar.CMD_UPDATE, grammar.CMD_DELETE)
        return all(one.command_type not in changing for one in nodes(writer, "MergeWhenClause"))
    constant = writer.where_clause.a_const if writer.HasField("where_clause") else None
    return (
        constant is not None
        and constant.WhichOneof("val") == "boolval"
        and not constant.boolval.boolval
    )


RULES: dict[str, Callable[[Statement, Any, Scene], Hits]] = {
    "IndexStmt": _index,
    "DropStmt": _drop,
    "CreateStmt": _create,
    "AlterTableStmt": hits_of_alter_table,
    "ReindexStmt": _reindex,
    "RenameStmt": _rename,
    "LockStmt": _lock,
    "TruncateStmt": _truncate,
    "VacuumStmt": _vacuum,
    "ClusterStmt": _cluster,
    "RefreshMatViewStmt": _refresh,
    "VariableSetStmt": _setting,
}

# Rules over a step
# -----------------------------------------------------------------------------------------------


def _validated_in_same_step(statements: Sequence[Statement], scene: Scene) -> Hits:
    added: set[tuple[str, str]] = set()
    for statement in statements:
        node = tree(statement.text)
        for command in commands(node):
            if subtype(command) == "AT_AddConstraint" and scene.exists(target(node)):
                added.add((target(node), getattr(command, "def").constraint.conname))
            if (
                subtype(command) == "AT_ValidateConstraint"
                and (target(node), command.name) in added
            ):
                facts = {"table": target(node), "name": quoted(command.name)}
                yield Hit("validate-in-same-step", statement, facts)


def _triggers_in_company(locks: Sequence[tuple[Statement, set[str]]], scene: Scene) -> Hits:
    """Triggers on existing tables, in a step that does more than lock that same table, which costs
    it one wait only.
    """
    for statement, _ in locks:
        table = target(tree(statement.text)) if statement.kind == "CreateTrigStmt" else ""
        company = [
            other for other, tables in locks if tables != {table} and other.kind != "CommentStmt"
        ]
        if scene.exists(table) and company:
            name, text = quoted(tree(statement.text).trigname), " ".join(statement.text.split())
            yield Hit(
                "trigger-shares-step", statement, {"table": table, "name": name, "statement": text}
            )


def _many_strong_locks(locks: Sequence[tuple[Statement, set[str]]]) -> Hits:
    """More tables locked by the step than by any one of its statements: they could stand in steps
    of their own.
    """
    taken = [(one, tables) for one, tables in locks if tables]
    together: set[str] = set().union(*(tables for _, tables in taken))
    if len(together) < 2 or any(tables == together for _, tables in taken):
        return
    steps = [Proposed(one.summary, (" ".join(one.text.split()) + ";",)) for one, _ in taken]
    facts = {"tables": " and ".join(sorted(together)), "steps": render(steps)}
    yield Hit("many-strong-locks", taken[1][0], facts)
