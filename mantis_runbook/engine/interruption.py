"""What was cut off: a migration half applied or half rolled back, by ledger and journal."""

from __future__ import annotations

from dataclasses import dataclass

from mantis_runbook.engine.fence import KEY
from mantis_runbook.engine.ledger import Ledger, LedgerRow
from mantis_runbook.engine.step_journal import StepJournal
from mantis_runbook.migrations.files import Migration
from mantis_runbook.postgres.connection import Connection, connect, query, rows
from mantis_runbook.postgres.target import Target

__all__ = ["Interruption", "find"]


@dataclass(frozen=True)
class Interruption:
    """A pass over a migration that began and did not end: cut off, or (`holder`) somebody's work at
    this moment.
    """

    run: str
    version: str
    phase: str
    direction: str
    holder: str = ""

    def __str__(self) -> str:
        what = (
            f"migration {self.version}"
            if self.direction == "up"
            else f"the rollback of {self.version}"
        )
        if self.holder:
            return f"run {self.run} is at work on {what}: {self.holder}"
        back = f"`mantis-runbook rollback {self.version}`"
        ways = (
            f"`mantis-runbook run` resumes it, {back} takes it back"
            if self.direction == "up"
            else f"finish it: {back}"
        )
        return f"run {self.run} was interrupted in {what}; {ways}"


def find(target: Target, migrations: tuple[Migration, ...]) -> Interruption | None:
    """The first migration on this target that is half applied or half rolled back, if any."""
    with connect(target, "status") as connection:
        book = Ledger(connection)
        if not book.exists:
            return None
        states, journal = book.all(), StepJournal(connection)
        for migration in migrations:
            direction = _direction(migration, states.get(migration.version), journal)
            if direction:
                run = journal.run_of(migration.version) or "unknown"
                return Interruption(
                    run, migration.version, migration.phase, direction, _holder(connection)
                )
    return None


def _direction(migration: Migration, row: LedgerRow | None, journal: StepJournal) -> str:
    """Which way a migration is half way; empty when it is not."""
    last = journal.last_pass(migration.version)
    if last is not None and last.is_open:
        return last.direction
    return "up" if row is not None and row.status in ("running", "failed") else ""


def _holder(connection: Connection) -> str:
    """Who holds the runbook's lock on this database, in words."""
    holders = rows(connection, query("engine/lock_holder"), {"key": KEY})
    return "; ".join(
        f"pid {row['pid']} since {row['backend_start']:%H:%M:%S} UTC" for row in holders
    )
