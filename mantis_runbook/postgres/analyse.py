"""Statistics of every table, taken table by table, so that one that fails stops no other."""

from __future__ import annotations

from collections.abc import Collection

import psycopg
from psycopg import sql

from mantis_runbook.postgres.connection import Connection, message_of, query, rows

__all__ = ["analyse"]


def analyse(connection: Connection, only: Collection[str] | None = None) -> tuple[str, ...]:
    """ANALYZE each table and materialized view, or those of `only` (qualified names); a sentence
    for each that failed.

    An extended statistics object over a function that finds its objects by search_path stops a bare
    ANALYZE of the whole database from PostgreSQL 17 on, where a restored copy is:
    https://www.postgresql.org/docs/current/sql-analyze.html
    """
    failed = []
    for row in rows(
        connection, query("performance/analysed"), {"only": None if only is None else list(only)}
    ):
        table = sql.Identifier(row["schema"], row["relation"])
        try:
            connection.execute(sql.SQL("ANALYZE {}").format(table))
        except psycopg.Error as error:
            if connection.broken:
                raise
            failed.append(
                f"table {row['schema']}.{row['relation']} has no statistics in the copy: ANALYZE"
                f" failed: {message_of(error)}"
            )
    return tuple(failed)
