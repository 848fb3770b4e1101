"""What the checks found before the first migration: only what got worse since then counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.postgres.connection import Connection, scalar

__all__ = ["SO_BEFORE", "load", "note"]

#: Ends the detail of a finding that stood before the first migration.
SO_BEFORE = " (it was so before the first migration)"

#: A migration in one of these states has left something of its own in the database.
APPLIED = {"running", "completed", "failed"}


def load(connection: Connection) -> Mapping[tuple[str, str], int]:
    """How much was found then, by check and object; empty where phase 0 has not been run."""
    if scalar(connection, "SELECT to_regclass('mantis_runbook.finding_before')") is None:
        return {}
    rows = connection.execute(
        "SELECT check_name, object, found FROM mantis_runbook.finding_before"
    ).fetchall()
    return {(name, object_): count for name, object_, count in rows}


def note(connection: Connection, findings: Iterable[tuple[str, str, int]]) -> bool:
    """Replace the findings noted last (check, object, count); says whether it did.

    Once a migration is applied, what was noted before it stays: later findings may be the
    migration's own.
    """
    if any(row.status in APPLIED for row in Ledger(connection).all().values()):
        return False
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM mantis_runbook.finding_before")
        cursor.executemany(
            "INSERT INTO mantis_runbook.finding_before (check_name, object, found) VALUES (%s, %s,"
            " %s) ON CONFLICT (check_name, object) DO UPDATE SET found = finding_before.found +"
            " EXCLUDED.found",
            list(findings),
        )
    return True
