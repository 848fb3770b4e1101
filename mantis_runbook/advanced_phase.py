"""Phase 4: besides its migrations, bloat measured and rebuilt where the tool is there, and indexes put in order."""

from __future__ import annotations

from typing import Any

from mantis_runbook import bloat, checks
from mantis_runbook.evidence import Evidence, Table
from mantis_runbook.migration_phase import MigrationPhase

__all__ = ["AdvancedPhase"]

INDEX_REPORTS = ("redundant_indexes", "unused_indexes", "missing_indexes")

#: Rows of a report that are shown.
SHOWN = 20


class AdvancedPhase(MigrationPhase):
    """Phase 4."""

    def bloat(self, *, rebuild: bool = False) -> Evidence:
        """Tables by wasted space. With `rebuild`, those above the threshold are rebuilt by pg_repack, where it is installed.

        Reads only, unless `rebuild` is given; it never fails the phase.
        """
        with self.run.read("bloat") as connection:
            found = bloat.measure(connection)
        above = found.above()
        tables = [Table("tables by wasted space", [vars(one) for one in found.tables[:SHOWN]], folded=not above)]
        summary = f"{len(above)} of {len(found.tables)} tables waste more than {bloat.THRESHOLD:.0%}"
        if rebuild:
            done = bloat.rebuild(self.run.target)
            tables.append(Table("rebuilt by pg_repack", [vars(one) for one in done.tables]))
            summary += f"; {done.note or f'{len(done.tables)} rebuilt'}"
            self.run.journal.append(
                "bloat.rebuilt", phase=self.number, note=done.note, tables=[one.table for one in done.tables]
            )
        return Evidence(self.number, "bloat", "info", summary, tuple(tables))

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
