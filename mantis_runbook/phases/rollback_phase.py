"""The rollback as its notebook sees it: choose, confirm, carry out, compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mantis_runbook import display
from mantis_runbook.engine import rolling_back as rollbacks
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.errors import Failed
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.files import Migration
from mantis_runbook.phases.parameters import RollbackParameters
from mantis_runbook.phases.recorded_phase import RecordedPhase
from mantis_runbook.postgres.connection import Connection, connect, refuse_read_only
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs.evidence import Evidence, Table

__all__ = ["LookOnly", "RollbackPhase"]


class RollbackPhase(RecordedPhase):
    """Rolling back one version, or all after it, newest first."""

    parameters: RollbackParameters

    def candidates(self) -> Evidence:
        """Which versions could be rolled back, and what stands on them. Reads only."""
        with self.run.connect("rollback") as connection:
            return candidates(connection)

    def choose(self) -> Evidence:
        """The versions that will go, newest first. Raises `Refused` when later ones stand on one of
        them.
        """
        return self.record.once("choose", self._choose)

    def confirm(self, answer: str = "") -> Evidence:
        """Raises `ApprovalMissing` unless the versions were typed, where the environment asks for
        it.
        """
        return self.record.once("confirm", lambda: self._confirm(answer))

    def carry_out(self) -> Evidence:
        """Salvage what only these versions hold, drop what they made, compare the catalogue with
        the start.
        """
        return self.record.once("carry_out", self._carry_out)

    def _choose(self) -> Evidence:
        with self.run.connect("rollback") as connection:
            refuse_read_only(connection, self.run.target)
            states = Ledger(connection).require().all()
        chosen = rollbacks.choose(
            migration_files.load(), states, self.parameters.version, self.parameters.scope
        )
        records = [
            {
                "version": migration.version,
                "migration": migration.label,
                "title": migration.title,
                "steps": len(migration.rollback.steps),
            }
            for migration in chosen
        ]
        return Evidence(
            self.number,
            "choose",
            "passed",
            f"{len(chosen)} to roll back, newest first",
            (Table("to roll back", records),),
            {"versions": [migration.version for migration in chosen]},
        )

    def _chosen(self) -> tuple[Migration, ...]:
        known = migration_files.load()
        return tuple(
            migration_files.find(known, version)
            for version in self.record.facts("choose")["versions"]
        )

    def _confirm(self, answer: str) -> Evidence:
        chosen, typed = self._chosen(), answer or self.parameters.confirm
        if self.run.environment.rollback_confirmation and not typed:
            names = " ".join(migration.version for migration in chosen)
            typed = self.record.ask(f"type {names} to roll back: ", names)
        rollbacks.require_confirmation(self.run.environment, chosen, typed)
        if not typed:
            return Evidence(
                self.number,
                "confirm",
                "passed",
                f"{self.run.environment.name} needs no confirmation",
            )
        how = f"typed by {self.run.operator}"
        return Evidence(
            self.number, "confirm", "passed", how, facts={"approver": self.run.operator}
        )

    def _carry_out(self) -> Evidence:
        with self.record.progress("rollback") as progress:
            done = rollbacks.roll_back(
                self.run, self._chosen(), rollbacks.salvage_folder(self.run), watch=progress
            )
        steps: list[dict[str, Any]] = [
            record for applied in done.applied for record in applied.records
        ]
        tables = [
            Table("steps", steps, "state"),
            Table(f"salvaged into {done.salvage.folder}", done.salvage.records),
        ]
        if not done.left_behind.exactly_equal:
            tables.append(
                Table(
                    "differences from the catalogue before",
                    [vars(change) for change in done.left_behind.all],
                )
            )
        if not done.left_behind.is_empty:
            raise Failed(
                "the rollback leaves a difference",
                found=str(done.left_behind),
                expected="the catalogue from before the migration",
                action="compare with the backup of that phase; its place is in migration_backups",
            )
        return Evidence(
            self.number,
            "carry_out",
            "passed",
            f"{display.many(len(steps), 'step')}; {rollbacks.NOT_WATCHED};"
            f" {display.many(done.salvage.rows, 'row')} salvaged; {done.left_behind.summary}",
            tuple(tables),
            {"salvage": str(done.salvage.folder), "rows": done.salvage.rows},
        )


@dataclass(frozen=True)
class LookOnly:
    """What the notebook works with when no version was given: it shows, and does nothing."""

    target: Target

    def _repr_html_(self) -> str:
        return display.callout(
            "info",
            "No version was given, so this notebook shows what could be rolled back and does"
            " nothing.",
        )

    def candidates(self) -> Evidence:
        """Which versions could be rolled back, and what stands on them. Reads only."""
        with connect(self.target, "rollback") as connection:
            return candidates(connection)

    def choose(self) -> Evidence:
        """Nothing was chosen."""
        return self._nothing("choose")

    def confirm(self, answer: str = "") -> Evidence:
        """Nothing was chosen, so there is nothing to confirm."""
        return self._nothing("confirm")

    def carry_out(self) -> Evidence:
        """Nothing was chosen, so nothing is done."""
        return self._nothing("carry_out")

    def conclude(self) -> Evidence:
        """Nothing was done."""
        return self._nothing("conclude")

    def _nothing(self, verb: str) -> Evidence:
        return Evidence(
            "rollback",
            verb,
            "not run",
            "no version was given; set the parameter `version` to roll one back",
        )


def candidates(connection: Connection) -> Evidence:
    """All migrations, their state, and the applied ones that stand on them."""
    states, known = Ledger(connection).all(), migration_files.load()
    applied = {version for version, row in states.items() if row.status in rollbacks.APPLIED}
    records = [
        {
            "version": migration.version,
            "migration": migration.label,
            "state": states[migration.version].status
            if migration.version in states
            else "not applied",
            "stand on it": (
                ", ".join(
                    later.version
                    for later in migration_files.dependents(known, migration.version)
                    if later.version in applied
                )
                or "none"
            ),
        }
        for migration in known
    ]
    return Evidence(
        "rollback",
        "candidates",
        "passed",
        f"{len(applied)} of {len(known)} migrations are applied",
        (Table("ledger", records),),
    )
