"""Subscriptions in a copy: dropped without asking the publisher, whose slot is the original's."""

from __future__ import annotations

from psycopg import sql

from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.target import Target

__all__ = ["forget"]

HELD = """
    SELECT subname::text
    FROM pg_subscription
    WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = %s)
    ORDER BY subname
"""

#: In this order: DROP SUBSCRIPTION drops the slot at the publisher, unless it has none any more,
#: and only one that is disabled can lose it.
#: https://www.postgresql.org/docs/current/sql-dropsubscription.html
STEPS = (
    "ALTER SUBSCRIPTION {} DISABLE",
    "ALTER SUBSCRIPTION {} SET (slot_name = NONE)",
    "DROP SUBSCRIPTION {}",
)


def forget(server: Target, database: str) -> tuple[str, ...]:
    """Drop the subscriptions of a copy, whatever restored them there; their names.

    The publisher is not asked.

    With a subscription in it a database cannot be dropped.
    """
    with connect(server, "scratch") as connection:
        held = tuple(name for (name,) in connection.execute(HELD, (database,)).fetchall())
    if held:
        with connect(server.database(database), "scratch", lock_timeout="10s") as connection:
            for name in map(sql.Identifier, held):
                for step in STEPS:
                    connection.execute(sql.SQL(step).format(name))
    return held
