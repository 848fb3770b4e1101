"""Statements outside a transaction: what the catalogue says became of one that was cut off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mantis_runbook.postgres.connection import Connection, query, rows, scalar
from mantis_runbook.postgres.statements import Statement, nodes, option, quoted, relation_name, tree

__all__ = ["Trace", "needs_young_snapshots", "trace", "waits_without_blocking"]


@dataclass(frozen=True)
class Trace:
    """What there is of a statement: done, being done by another session (`busy` says by whom),
    half, or nothing.

    `repairs` must run before it is tried again; `instead` finishes it in its place. `detail` is
    worth a note.
    """

    name: str = ""
    is_done: bool = False
    busy: str = ""
    detail: str = ""
    repairs: tuple[str, ...] = ()
    instead: str = ""


def waits_without_blocking(statement: Statement) -> bool:
    """Whether it waits for other transactions while nobody queues behind it; a lock timeout would
    only break it.

    DETACH PARTITION CONCURRENTLY is not of these: it ends with an exclusive lock on the partition.
    """
    return statement.kind in {"IndexStmt", "DropStmt"} or _is_concurrent_reindex(statement)


def needs_young_snapshots(statement: Statement) -> bool:
    """Whether any old snapshot in the database holds it up."""
    return statement.kind == "IndexStmt" or _is_concurrent_reindex(statement)


def trace(connection: Connection, statement: Statement) -> Trace:
    """What the catalogue has of the statement.

    Nothing for those that may simply run again (VACUUM, ALTER SYSTEM …).
    """
    look = TRACES.get(statement.kind)
    return look(connection, statement) if look else Trace()


def _is_concurrent_reindex(statement: Statement) -> bool:
    return statement.kind == "ReindexStmt" and option(tree(statement.text).params, "concurrently")


def _index_build(connection: Connection, statement: Statement) -> Trace:
    name = statement.index or ""
    builds = rows(connection, query("engine/index_state"), {"name": name})
    if not builds:
        return Trace(name)
    if builds[0]["builder"]:
        return Trace(name, busy=f"index {name} built by {builds[0]['builder']}")
    if builds[0]["is_valid"]:
        return Trace(name, is_done=True, detail=builds[0]["definition"])
    drop = f"DROP INDEX CONCURRENTLY IF EXISTS {builds[0]['name']}"
    return Trace(name, detail="an invalid leftover was dropped and built again", repairs=(drop,))


def _index_drop(connection: Connection, statement: Statement) -> Trace:
    """An index that is half dropped is invalid, and is dropped by the same statement."""
    [wrapped] = tree(statement.text).objects
    name = ".".join(quoted(part.string.sval) for part in wrapped.list.items)
    return Trace(name, is_done=bool(scalar(connection, "SELECT to_regclass(%s) IS NULL", (name,))))


def _detachment(connection: Connection, statement: Statement) -> Trace:
    root = tree(statement.text)
    [command] = nodes(root, "PartitionCmd")
    parent, partition = relation_name(root.relation), relation_name(command.name)
    partitions = rows(
        connection, query("engine/partition_state"), {"parent": parent, "partition": partition}
    )
    if not partitions:
        return Trace(partition, is_done=True)
    if not partitions[0]["is_pending"]:
        return Trace(partition)
    finalize = f"ALTER TABLE {parent} DETACH PARTITION {partition} FINALIZE"
    return Trace(partition, detail="a half done detachment was finished", instead=finalize)


def _reindex(connection: Connection, statement: Statement) -> Trace:
    if not _is_concurrent_reindex(statement):
        return Trace()
    leftovers = [row["name"] for row in rows(connection, query("engine/reindex_leftovers"))]
    note = "invalid copies of an earlier try were dropped" if leftovers else ""
    return Trace(
        detail=note,
        repairs=tuple(f"DROP INDEX CONCURRENTLY IF EXISTS {name}" for name in leftovers),
    )


def _whole_object(
    kind: str, attribute: str, *, drops: bool
) -> Callable[[Connection, Statement], Trace]:
    def look(connection: Connection, statement: Statement) -> Trace:
        name = str(getattr(tree(statement.text), attribute))
        objects: list[dict[str, Any]] = rows(
            connection, query("engine/whole_objects"), {"kind": kind, "name": name}
        )
        return Trace(name, is_done=objects[0]["is_there"] != drops)

    return look


TRACES: dict[str, Callable[[Connection, Statement], Trace]] = {
    "IndexStmt": _index_build,
    "DropStmt": _index_drop,
    "AlterTableStmt": _detachment,
    "ReindexStmt": _reindex,
    "CreatedbStmt": _whole_object("database", "dbname", drops=False),
    "DropdbStmt": _whole_object("database", "dbname", drops=True),
    "CreateTableSpaceStmt": _whole_object("tablespace", "tablespacename", drops=False),
    "DropTableSpaceStmt": _whole_object("tablespace", "tablespacename", drops=True),
    "CreateSubscriptionStmt": _whole_object("subscription", "subname", drops=False),
    "DropSubscriptionStmt": _whole_object("subscription", "subname", drops=True),
}
