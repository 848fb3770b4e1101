"""Mission control: where things stand, what comes next, what the database does now, and the runs so
far.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from mantis_runbook import charts, display
from mantis_runbook.drawing import Picture
from mantis_runbook.engine import interruption
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases import definitions
from mantis_runbook.phases.parameters import MissionParameters, read
from mantis_runbook.phases.progress import live
from mantis_runbook.postgres import target as targets
from mantis_runbook.postgres.connection import connect, query, rows
from mantis_runbook.runs import archive, summary
from mantis_runbook.runs.evidence import Evidence, Table
from mantis_runbook.runs.run import at_work, environment_for

__all__ = ["Mission", "open"]


def open(namespace: Mapping[str, Any]) -> Mission:
    """Mission control for the target that the notebook's parameters name. It reads only, and begins
    no run.
    """
    parameters = read(namespace, MissionParameters)
    return Mission(targets.resolve(parameters.target), parameters.environment)


class Mission:
    """One target, looked at. Every method reads afresh."""

    def __init__(self, target: targets.Target, environment: str = "") -> None:
        self.target, self.environment = target, environment_for(target, environment)

    def standing(self) -> Evidence:
        """Each migration and its state."""
        with connect(self.target, "mission control") as connection:
            states = Ledger(connection).all()
        records = [
            {
                "phase": migration.phase,
                "migration": migration.label,
                "title": migration.title,
                "state": states[migration.version].status
                if migration.version in states
                else "not applied",
            }
            for migration in migration_files.load()
        ]
        done = sum(record["state"] == "completed" for record in records)
        return self._shown(
            "standing",
            f"{done} of {len(records)} migrations are applied",
            Table("migrations", records, "state"),
        )

    def next(self) -> Evidence:
        """Which notebook comes next, and why."""
        with connect(self.target, "mission control") as connection:
            book = Ledger(connection)
            exists, states = book.exists, book.all()
        half = interruption.find(self.target, migration_files.load())
        if half:
            return self._shown("next", str(half))
        for phase in definitions.present():
            ahead = migration_files.order_for(migration_files.load(), phase.number)
            open_ones = [
                migration.label
                for migration in ahead
                if migration.version not in states
                or states[migration.version].status != "completed"
            ]
            if (phase.kind == "preparation" and not exists) or open_ones:
                what = f" for {', '.join(open_ones)}" if open_ones else ""
                return self._shown(
                    "next", f"phase {phase.number}, {phase.title}: open {phase.name}.ipynb{what}"
                )
        return self._shown("next", "every phase whose notebook exists is carried out")

    def backups(self) -> Evidence:
        """Every backup on record, and whether it is proven."""
        with connect(self.target, "mission control") as connection:
            kept = Ledger(connection).backups()
        words = {True: "proven", False: "not valid", None: "not proven"}
        records = [
            {
                "phase": row["phase"],
                "proof": words[row["is_valid"]],
                "MiB": round(row["backup_size_bytes"] / 2**20, 2),
                "taken": row["created_at"],
                "file": row["backup_location"],
            }
            for row in kept
        ]
        proven = sum(record["proof"] == "proven" for record in records)
        return self._shown(
            "backups",
            f"{proven} of {len(records)} backup files are proven",
            Table("backups", records),
        )

    def watch(self, seconds: float = 3.0, every: float = 0.5) -> Picture:
        """Sample the strategy's monitor for so many seconds; the picture moves while it does, and
        stays as it ended.
        """
        import pandas as pd

        samples: list[dict[str, Any]] = []
        ends = time.monotonic() + seconds
        with connect(self.target, "mission control") as connection, live() as update:
            while True:
                samples += rows(connection, query("monitoring/sample"))
                update(display.callout("info", display.many(len(samples), "sample")))
                if time.monotonic() >= ends:
                    break
                time.sleep(every)
        return charts.monitoring(pd.DataFrame(samples))

    def blockers(self) -> Evidence:
        """Who waits for whom, at this moment."""
        with connect(self.target, "mission control") as connection:
            records = rows(connection, query("monitoring/blocked"))
        return self._shown(
            "blockers",
            f"{display.many(len(records), 'session waits', 'sessions wait')} for a lock",
            Table("waiting sessions", records),
        )

    def runs(self) -> Evidence:
        """All runs on this target, newest first."""
        records = []
        for folder in reversed(archive.all_runs()):
            if archive.target_of(folder) == self.target.name:
                run_summary = summary.read(folder)
                word = "at work" if at_work(folder) else run_summary.verdict.word
                records.append(
                    {"verdict": word, "run": run_summary.run, "reason": run_summary.verdict.reason}
                )
        return self._shown(
            "runs",
            f"{display.many(len(records), 'run')} on {self.target.name}",
            Table("runs", records, "verdict"),
        )

    def _shown(self, verb: str, text: str, *tables: Table) -> Evidence:
        return Evidence("mission", verb, "info", text, tables)
