"""Default privileges: what they give to an object that a statement makes is taken from it again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from mantis_runbook.postgres.connection import Connection, query, rows
from mantis_runbook.postgres.statements import Statement

__all__ = ["without_default_rights"]

#: Statements that make something which ALTER DEFAULT PRIVILEGES gives rights on, and that cannot
#: grant any themselves: a DO block or a function that makes tables grants what it means, and
#: revokes the rest.
MAKING = {
    "CreateStmt",
    "CreateTableAsStmt",
    "ViewStmt",
    "CreateSeqStmt",
    "CreateFunctionStmt",
    "CompositeTypeStmt",
    "CreateEnumStmt",
    "CreateRangeStmt",
    "CreateDomainStmt",
    "DefineStmt",
    "AlterTableStmt",
}


@contextmanager
def without_default_rights(connection: Connection, statement: Statement) -> Iterator[None]:
    """After the statement, no role but the owner has a right on what it made, but PUBLIC the usual
    one on functions and types.

    So a migration's own GRANT and REVOKE mean the same on every installation. To be entered in the
    step's transaction.
    """
    if statement.kind not in MAKING:
        yield
        return
    before = {
        (row["class"], row["oid"]) for row in rows(connection, query("engine/rights_of_others"))
    }
    yield
    for row in rows(connection, query("engine/rights_of_others")):
        if (row["class"], row["oid"]) not in before and not row["is_usual"]:
            # Both come from the catalogue, quoted by the server.
            connection.execute(sql.SQL(f"REVOKE ALL ON {row['named']} FROM {row['role']} CASCADE"))
