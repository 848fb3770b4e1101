"""Phase 4: besides its migrations, bloat measured and rebuilt where the tool is there, and indexes
put in order.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd

from mantis_runbook.checks import named_checks
from mantis_runbook.display import duration, many
from mantis_runbook.engine.fence import hold
from mantis_runbook.errors import Failed, Refused
from mantis_runbook.phases.advanced import bloat, repack_leftovers
from mantis_runbook.phases.advanced.bloat import Rebuilding
from mantis_runbook.phases.migrating_phase import MigrationPhase
from mantis_runbook.phases.parameters import AdvancedParameters
from mantis_runbook.runs.evidence import Evidence, Table

__all__ = ["AdvancedPhase"]

#: Reports on indexes, and what one index and more of each are called.
INDEX_REPORTS = {
    "redundant_indexes": ("redundant index", "redundant indexes"),
    "unused_indexes": ("unused index", "unused indexes"),
    "missing_indexes": ("missing index", "missing indexes"),
}

#: What makes a table worth a rebuild, in words.
WORTH_IT = (
    f"{bloat.THRESHOLD * 100:.0f} % or more wasted, in {bloat.SMALLEST / 2**20:.0f} MiB or more"
)

#: Rows of a report that are shown.
SHOWN = 20


class AdvancedPhase(MigrationPhase):
    """Phase 4."""

    parameters: AdvancedParameters

    def bloat(self) -> Evidence:
        """Tables by wasted space. Where the parameter `repack` says yes, those above the threshold
        are rebuilt by pg_repack, if it is installed.

        Reads only otherwise. A table that could not be rebuilt does not fail the phase; one that
        lost rows does: raises `Failed`. Raises `Refused` where tables are to be rebuilt and the
        phase did not migrate in this run, or another runner is at work.
        """
        with self.run.read("bloat") as connection:
            measured, why_not = bloat.measure(connection), bloat.why_not(connection)
            left = repack_leftovers.leftovers(connection)
        above = measured.above()
        tables = [_bloat_table(measured)]
        summary = (
            f"{many(len(above), 'table')} of {len(measured.tables)} worth a rebuild ({WORTH_IT})"
        )
        if left:
            tables.append(
                Table(
                    "left by pg_repack",
                    [{"table": one.table, "found": one.message} for one in left],
                )
            )
        if self.parameters.repack == "yes":
            done = self._rebuild()
            tables.append(
                Table("rebuilt by pg_repack", [_rebuilt_record(one) for one in done.tables])
            )
            rebuilt = sum(one.state == "rebuilt" for one in done.tables)
            summary += f"; {done.note or f'{rebuilt} of {len(done.tables)} rebuilt'}"
        else:
            summary += "; " + (
                why_not
                or "pg_repack is installed, and rebuilds them where the parameter repack says yes"
            )
        if stale := [one for one in left if not one.at_work]:
            summary += (
                f"; {many(len(stale), 'table')} with remains of a killed pg_repack, which a rebuild"
                " removes first"
            )
        return Evidence(self.number, "bloat", "info", summary, tuple(tables))

    def _rebuild(self) -> Rebuilding:
        """Behind the migration, which was approved, and alone: it writes every row anew, beside no
        other runner.
        """
        if "migrate" not in self.record.passed():
            raise Refused(
                "no table is rebuilt yet",
                found=f"migrate not passed in run {self.run.name}",
                expected="a phase that was approved and migrated",
                action="run the cell of 'migrate' first",
            )
        with hold(self.run.target, self.run.name, self.run.operator) as fence:
            done = bloat.rebuild(self.run.target, fence=fence)
        self.run.journal.append(
            "bloat.rebuilt",
            phase=self.number,
            note=done.note,
            tables=[asdict(one) for one in done.tables],
        )
        if done.lost:
            raise Failed(
                f"the rebuild of {', '.join(one.table for one in done.lost)} lost rows",
                found="; ".join(one.note for one in done.lost),
                expected="the rows that were there before",
                action=(
                    "stop the application's writes, and restore the table from this phase's backup,"
                    " which was proven (pg_restore --data-only --table); no other table was rebuilt"
                ),
            )
        return done

    def indexes(self) -> Evidence:
        """Indexes that are redundant, unused or missing. Reads only."""
        with self.run.read("indexes") as connection:
            reports = {name: named_checks.report(connection, name) for name in INDEX_REPORTS}
        counts = {name: many(len(frame), *INDEX_REPORTS[name]) for name, frame in reports.items()}
        tables = tuple(
            Table(counts[name] + _cut(len(frame)), _records(frame), folded=True)
            for name, frame in reports.items()
        )
        return Evidence(self.number, "indexes", "info", ", ".join(counts.values()), tables)


def _bloat_table(measured: bloat.Bloated) -> Table:
    above = measured.above()
    records = [
        {
            "table": table.table,
            "MiB": round(_mebibytes(table.bytes), 1),
            "wasted": None if table.bloat is None else f"{table.bloat * 100:.1f} %",
            "worth a rebuild": table.table in above,
            "method": table.method,
        }
        for table in measured.tables[:SHOWN]
    ]
    note = (
        f"Worth a rebuild: {WORTH_IT}. In a smaller table a few half-filled pages are a large"
        " share, and little space."
    )
    caption = f"{many(len(measured.tables), 'table')} by wasted space{_cut(len(measured.tables))}"
    return Table(caption, records, folded=not above, note=note)


def _rebuilt_record(rebuilt: bloat.Rebuilt) -> dict[str, Any]:
    return {
        "table": rebuilt.table,
        "state": rebuilt.state,
        "MiB before": round(_mebibytes(rebuilt.before), 1),
        "MiB after": round(_mebibytes(rebuilt.after), 1),
        "duration": duration(rebuilt.duration_s * 1000),
        "note": rebuilt.note,
    }


def _cut(rows: int) -> str:
    return f", the first {SHOWN}" if rows > SHOWN else ""


def _mebibytes(size: int) -> float:
    return size / 2**20


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The first rows, for reading: a size is told in words beside its bytes, and what was never
    reset has no instant.
    """
    shown = frame.head(SHOWN).drop(columns="bytes", errors="ignore")
    if "counted_since" in shown:
        shown["counted_since"] = [_since(value) for value in shown["counted_since"]]
    return [
        {str(key): value for key, value in record.items()} for record in shown.to_dict("records")
    ]


def _since(reset: Any) -> str:
    return "the beginning: never reset" if pd.isna(reset) else f"{reset:%Y-%m-%d %H:%M}"
