"""Seals: tables that take no more writes while a rollback salvages and drops them, and columns
whose writes are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import psycopg
import stamina
from psycopg import sql

from mantis_runbook.errors import LockNotObtained
from mantis_runbook.postgres.connection import Connection, query, rows

__all__ = ["NAME", "keep", "seal", "unseal"]

NAME, BY_ROW = "mantis_runbook_seal", "mantis_runbook_seal_by_row"

#: Triggers that keep what is written to a column, one for each column.
KEEPER = "mantis_runbook_keeper"

CREATE = sql.SQL(
    "CREATE OR REPLACE TRIGGER {name} BEFORE {writes} ON {table} FOR EACH {level}"
    " EXECUTE FUNCTION mantis_runbook.refuse_write()"
)
ALWAYS = sql.SQL("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")

KEEP = sql.SQL(
    "CREATE OR REPLACE TRIGGER {name} AFTER INSERT OR UPDATE ON {table} FOR EACH ROW"
    " EXECUTE FUNCTION mantis_runbook.keep_value({arguments})"
)

PATIENCE_S = 60.0


def seal(connection: Connection, tables: Iterable[str], *, patience_s: float = PATIENCE_S) -> None:
    """Let these tables (qualified names, as SQL writes them) and their partitions take no more
    writes, by nobody.

    The trigger is ENABLE ALWAYS: a session that plays a replica is refused as well. Raises
    `LockNotObtained`.
    """
    for row in rows(connection, query("engine/partition_tree"), {"tables": list(tables)}):
        table = sql.Identifier(row["schema"], row["name"])
        # A row that comes by way of the partitioned table fires no statement trigger of its
        # partition.
        wanted = [(NAME, "INSERT OR UPDATE OR DELETE OR TRUNCATE", "STATEMENT")]
        wanted += [(BY_ROW, "INSERT OR UPDATE OR DELETE", "ROW")] if row["is_partition"] else []
        _quickly(
            connection,
            f"seal {row['schema']}.{row['name']}",
            patience_s,
            [
                statement.format(
                    name=sql.Identifier(name),
                    table=table,
                    writes=sql.SQL(writes),
                    level=sql.SQL(level),
                )
                for name, writes, level in wanted
                for statement in (CREATE, ALWAYS)
            ],
        )


def keep(
    connection: Connection,
    schema: str,
    table: str,
    column: str,
    key: Sequence[str],
    *,
    patience_s: float = PATIENCE_S,
) -> None:
    """From now on, keep what anybody writes to this column in `mantis_runbook.kept_value`; the
    table goes on being written.

    What was kept of it before is forgotten: the column is there and has it. Raises
    `LockNotObtained`.
    """
    place, name = sql.Identifier(schema, table), sql.Identifier(f"{KEEPER}_{column}"[:63])
    arguments = sql.SQL(", ").join(map(sql.Literal, (schema, table, column, *key)))
    forget = sql.SQL(
        "DELETE FROM mantis_runbook.kept_value WHERE (schema_name, table_name, column_name) = ({},"
        " {}, {})"
    ).format(*map(sql.Literal, (schema, table, column)))
    _quickly(
        connection,
        f"keep the values of {schema}.{table}.{column}",
        patience_s,
        [
            forget,
            KEEP.format(name=name, table=place, arguments=arguments),
            ALWAYS.format(name=name, table=place),
        ],
    )


def unseal(connection: Connection, *, patience_s: float = PATIENCE_S) -> None:
    """Take all seals off, those of a killed rollback too. Raises `LockNotObtained`."""
    for row in rows(connection, query("engine/seals"), {"names": [NAME, BY_ROW], "keeper": KEEPER}):
        table = sql.Identifier(row["schema"], row["table"])
        drop = sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(row["name"]), table)
        _quickly(connection, f"unseal {row['schema']}.{row['table']}", patience_s, [drop])


def _quickly(
    connection: Connection, what: str, patience_s: float, statements: list[sql.Composed]
) -> None:
    """In one transaction, with the session's lock timeout, again and again."""
    tries = stamina.retry_context(
        on=psycopg.errors.LockNotAvailable,
        attempts=None,
        timeout=patience_s,
        wait_initial=0.25,
        wait_max=1.0,
    )
    try:
        for attempt in tries:
            with attempt, connection.transaction():
                for statement in statements:
                    connection.execute(statement)
    except psycopg.errors.LockNotAvailable as error:
        raise LockNotObtained(
            f"could not {what}",
            found=f"the table in use for {patience_s:.0f} s",
            expected="a free table",
            action="end or wait for the sessions that use it, then run again",
        ) from error
