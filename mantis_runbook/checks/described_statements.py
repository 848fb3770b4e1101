"""The application's learnt statements as the server describes them, planned, never executed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from psycopg import pq, sql

from mantis_runbook.checks.learnt_statements import LearntStatement
from mantis_runbook.checks.tenants.acting import Acts, acting, obstacle
from mantis_runbook.checks.tenants.attempt import bound, is_unshown, tried
from mantis_runbook.errors import MigrationFileError
from mantis_runbook.postgres import statements as grammar
from mantis_runbook.postgres.connection import Connection, message_of, rows
from mantis_runbook.runs.stored import loaded

__all__ = ["Described", "Description", "describe", "worse"]

#: How much of a statement is shown.
WIDTH = 120


@dataclass(frozen=True)
class Description:
    """What the server says of a statement that it prepared and planned as the role that sends it;
    `error` why it did not.
    """

    text: str
    role: str
    calls: int
    parameters: tuple[str, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    error: str = ""

    @property
    def name(self) -> str:
        """Its beginning, in one line."""
        line = " ".join(self.text.split())
        return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


@dataclass(frozen=True)
class Described:
    """Descriptions by statement; `left_out` counts by reason the statements that could not be asked
    about.
    """

    statements: tuple[Description, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Described:
        return loaded(cls, data)


def describe(
    connection: Connection, learnt: Iterable[LearntStatement | Description], who: Acts
) -> Described:
    """Prepare and plan each statement as the role and user it ran under; nothing is executed."""
    descriptions, left_out, obstacles = list[Description](), Counter[str](), dict[str, str]()
    with connection.transaction(force_rollback=True):
        bound(connection)
        for statement in learnt:
            if statement.role not in obstacles:
                obstacles[statement.role] = obstacle(connection, statement.role)
            if why := obstacles[statement.role]:
                left_out[why] += 1
                continue
            with acting(connection, statement.role, who):
                connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
                descriptions.append(_described(connection, statement))
    return Described(tuple(descriptions), dict(left_out.most_common()))


def worse(before: Described, now: Described) -> list[tuple[Description, str]]:
    """Statements that were prepared before and are not any more, or are described otherwise, each
    with what is other.

    New columns at the end of a `SELECT *` are what the application has to expect.
    """
    then = {(one.text, one.role): one for one in before.statements if not one.error}
    changed = []
    for statement in now.statements:
        was = then.get((statement.text, statement.role))
        if was is not None and (why := _other(was, statement)):
            changed.append((statement, why))
    return changed


def _other(was: Description, now: Description) -> str:
    if now.error:
        return now.error
    if was.parameters != now.parameters:
        return f"took {_listed(was.parameters)}, takes {_listed(now.parameters)}"
    columns = now.columns[: len(was.columns)] if _takes_everything(now.text) else now.columns
    if was.columns != columns:
        old, new = ([f"{name} {kind}" for name, kind in one.columns] for one in (was, now))
        return f"gave {_listed(old)}, gives {_listed(new)}"
    return ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _takes_everything(text: str) -> bool:
    try:
        return any(True for _ in grammar.nodes(grammar.tree(text), "A_Star"))
    except (MigrationFileError, psycopg.Error):
        return False


def _described(connection: Connection, statement: LearntStatement | Description) -> Description:
    """As the protocol describes it; then planned, which is when its rights are asked for."""
    plain = Description(statement.text, statement.role, statement.calls)
    try:
        with connection.transaction(force_rollback=True):
            parameters, columns = _prepared(connection, statement.text)
            connection.execute(
                sql.SQL("PREPARE learnt AS {}").format(sql.SQL(statement.text)), prepare=False
            )
            try:
                nulls = sql.SQL(", ").join([sql.NULL] * len(parameters))
                arguments = sql.SQL("({})").format(nulls) if parameters else sql.SQL("")
                tried(connection, sql.SQL("EXPLAIN EXECUTE learnt{}").format(arguments))
            finally:
                connection.execute("DEALLOCATE learnt", prepare=False)
    except psycopg.Error as error:
        reason = f"{error.sqlstate}: {' '.join(message_of(error).split())}"
        return Description(
            statement.text,
            statement.role,
            statement.calls,
            error=f"{reason} (not shown)" if is_unshown(reason) else reason,
        )
    return Description(plain.text, plain.role, plain.calls, parameters, columns)


def _prepared(
    connection: Connection, text: str
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Types of the parameters, names and types of the result's columns. Raises what the server
    says.
    """
    prepared = connection.pgconn.prepare(b"", text.encode())
    if prepared.status != pq.ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(prepared)
    description = connection.pgconn.describe_prepared(b"")
    kinds = [description.param_type(number) for number in range(description.nparams)]
    columns = [
        (description.fname(number) or b"", description.ftype(number))
        for number in range(description.nfields)
    ]
    names = _type_names(connection, [*kinds, *(kind for _, kind in columns)])
    return tuple(names[kind] for kind in kinds), tuple(
        (name.decode(), names[kind]) for name, kind in columns
    )


def _type_names(connection: Connection, oids: list[int]) -> dict[int, str]:
    names = rows(
        connection,
        "SELECT oid::bigint AS oid, format_type(oid, NULL) AS name FROM unnest(%s::oid[]) AS oid",
        (oids,),
    )
    return {row["oid"]: row["name"] for row in names}
