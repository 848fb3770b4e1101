"""Undo: the automatic rollback of a failed migration, where the environment asks for it."""

from __future__ import annotations

import psycopg

from mantis_runbook import display
from mantis_runbook.engine import rolling_back as rollbacks
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.engine.step_journal import StepJournal
from mantis_runbook.errors import Failed, FenceLost, RunbookError
from mantis_runbook.migrations.files import Migration
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.runs.verdict import UNDO

__all__ = ["undo_where_asked"]


def undo_where_asked(record: PhaseRecord, cause: Exception) -> None:
    """Roll back what this run began, and nothing older; the cause stays the phase's failure.

    A refusal changed nothing, and who lost the fence no longer has the right: after either, nothing
    is done.
    """
    if not isinstance(cause, (Failed, psycopg.Error)) or isinstance(cause, FenceLost):
        return
    chosen = _begun_here(record) if record.run.environment.on_trip == "roll back" else ()
    if not chosen:
        return
    record.run.journal.append("verb.started", phase=record.number, verb=UNDO, cause=str(cause))
    try:
        with record.progress("rollback") as progress:
            done = rollbacks.roll_back(
                record.run, chosen, rollbacks.salvage_folder(record.run), watch=progress
            )
    except (RunbookError, psycopg.Error) as error:
        verdict, summary = "failed", f"could not be rolled back by itself: {error}"
    else:
        verdict = "passed" if done.left_behind.is_empty else "failed"
        summary = (
            f"rolled back by itself; {done.left_behind.summary};"
            f" {display.many(done.salvage.rows, 'row')} salvaged; {rollbacks.NOT_WATCHED}"
        )
    record.run.journal.append(
        "verb.finished", phase=record.number, verb=UNDO, verdict=verdict, summary=summary
    )


def _begun_here(record: PhaseRecord) -> tuple[Migration, ...]:
    """Migrations of this phase that this run began and that are not rolled back, newest first."""
    try:
        with record.run.connect("status") as connection:
            book, journal = Ledger(connection), StepJournal(connection)
            states = book.all()
            return tuple(
                migration
                for migration in reversed(record.migrations)
                if migration.version in states
                and states[migration.version].status in rollbacks.APPLIED
                and journal.run_of(migration.version) == record.run.name
            )
    except (RunbookError, psycopg.Error):
        return ()  # the server is gone: the next run reads what happened from ledger and journal
