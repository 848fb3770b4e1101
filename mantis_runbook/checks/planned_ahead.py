"""What the migrations ahead will make, so that queries can tell leftovers from our objects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict

from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.engine.step_journal import StepJournal
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.created_objects import planned
from mantis_runbook.migrations.files import Migration
from mantis_runbook.postgres.connection import Connection

__all__ = ["as_json", "planned_ahead"]


def planned_ahead(
    connection: Connection, phase: str, known: Callable[[], Iterable[Migration]] | None = None
) -> str:
    """What the migrations ahead of that phase make, as JSON for the setting that queries read."""
    return as_json(_ahead(connection, phase, (known or migration_files.load)()))


def as_json(chosen: Iterable[Migration]) -> str:
    """All that these migrations make."""
    return json.dumps([asdict(one) for migration in chosen for one in planned(migration)])


def _ahead(connection: Connection, phase: str, known: Iterable[Migration]) -> list[Migration]:
    """The migrations ahead: those of the phase, in phase 0 all. What was begun is ours."""
    ahead = known if phase == "0" else migration_files.order_for(known, phase)
    return [migration for migration in ahead if not _begun(connection, migration.version)]


def _begun(connection: Connection, version: str) -> bool:
    """Whether some of the migration's objects may be there by right: it was applied, or a pass over
    it is open.
    """
    row = Ledger(connection).all().get(version)
    if row is not None and row.status == "completed":
        return True
    if connection.execute("SELECT to_regclass('mantis_runbook.journal')").fetchone() == (None,):
        return False
    last = StepJournal(connection).last_pass(version)
    return (
        last is not None
        and bool(last.started or last.done)
        and (last.direction == "up" or last.is_open)
    )
