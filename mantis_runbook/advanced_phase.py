"""Phase 4: besides its migrations, bloat measured and rebuilt where the tool is there, and indexes put in order."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mantis_runbook import bloat, checks
from mantis_runbook.bloat import Rebuilding
from mantis_runbook.errors import Refused
from mantis_runbook.evidence import Evidence, Table
from mantis_runbook.lock import hold
from mantis_runbook.migration_phase import MigrationPhase
from mantis_runbook.parameters import AdvancedParameters

__all__ = ["AdvancedPhase"]

INDEX_REPORTS = ("redundant_indexes", "unused_indexes", "missing_indexes")

#: Rows of a report that are shown.
SHOWN = 20


class AdvancedPhase(MigrationPhase):
    """Phase 4."""

    parameters: AdvancedParameters

    def bloat(self) -> Evidence:
        """Tables by wasted space. Where the parameter `repack` says yes, those above the threshold are rebuilt by
        pg_repack, if it is installed.

        Reads only otherwise. A table that could not be rebuilt does not fail the phase. Raises `Refused` where tables are to
        be rebuilt and the phase did not migrate in this run, or another runner is at work.
        """
        with self.run.read("bloat") as connection:
            found, why_not = bloat.measure(connection), bloat.why_not(connection)
        above = found.above()
        tables = [Table("tables by wasted space", [vars(one) for one in found.tables[:SHOWN]], folded=not above)]
        summary = f"{len(above)} of {len(found.tables)} tables waste more than {bloat.THRESHOLD:.0%}"
        if self.parameters.repack == "yes":
            done = self._rebuild()
            tables.append(Table("rebuilt by pg_repack (bytes with indexes and TOAST)", done.records))
            rebuilt = sum(one.state == "rebuilt" for one in done.tables)
            summary += f"; {done.note or f'{rebuilt} of {len(done.tables)} rebuilt'}"
        else:
            summary += f"; {why_not or 'pg_repack is installed, and rebuilds them where the parameter repack says yes'}"
        return Evidence(self.number, "bloat", "info", summary, tuple(tables))

    def _rebuild(self) -> Rebuilding:
        """Behind the migration, which was approved, and alone: it writes every row anew, beside no other runner."""
        if "migrate" not in self._passed():
            raise Refused(
                "no table is rebuilt yet",
                found=f"migrate not passed in run {self.run.name}",
                expected="a phase that was approved and migrated",
                action="run the cell of 'migrate' first",
            )
        with hold(self.run.target, self.run.name, self.run.operator) as fence:
            done = bloat.rebuild(self.run.target, fence=fence)
        self.run.journal.append(
            "bloat.rebuilt", phase=self.number, note=done.note, tables=[asdict(one) for one in done.tables]
        )
        return done

    def indexes(self) -> Evidence:
        """Indexes that are redundant, unused or missing. Reads only."""
        with self.run.read("indexes") as connection:
            reports = {name: checks.report(connection, name) for name in INDEX_REPORTS}
        tables = tuple(
            Table(f"{len(frame)} {name.replace('_', ' ')}", _records(frame), folded=True)
            for name, frame in reports.items()
        )
        return Evidence(self.number, "indexes", "info", ", ".join(table.caption for table in tables), tables)


def _records(frame: Any) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in record.items()} for record in frame.head(SHOWN).to_dict("records")]
