"""Back up: the database dumped and fingerprinted from one snapshot, and on record in the ledger."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import Any

from mantis_runbook.backup import backup, missing_rows
from mantis_runbook.backup.backup import Backup
from mantis_runbook.backup.fingerprint import Fingerprint
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.phases.definitions import PREPARATION
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.phases.verbs.already_applied import is_applied, not_needed
from mantis_runbook.runs.evidence import Evidence, Table

__all__ = ["back_up"]


def back_up(record: PhaseRecord) -> Evidence:
    """Dump and fingerprint the database; what a run that was cut off while it dumped left is
    removed first.

    The facts hold the backup, its identifiers in the ledger by file name, and the deletions counted
    before it.
    """
    if is_applied(record):
        return not_needed(record, "back_up")
    folder = record.run.backups / f"phase-{record.number}"
    if folder.exists():
        shutil.rmtree(folder)
    with record.run.read("statistics") as connection:
        deleted = missing_rows.deletions(connection)
    taken = backup.take(record.run.target, folder, derived=record.definition.kind == PREPARATION)
    identifiers = _recorded(record, taken)
    content = taken.fingerprint
    files = [
        {"file": name, "MiB": round(size / 2**20, 2), "SHA-256": taken.checksums[name]}
        for name, size in taken.sizes.items()
    ]
    return Evidence(
        record.number,
        "back_up",
        "passed",
        f"{content.rows:,} rows of {len(content.tables)} tables dumped and fingerprinted from one"
        " snapshot",
        (
            Table(f"files in {folder}", files),
            Table("rows per organisation", _organisations(content), folded=True),
        ),
        {"backup": taken.as_dict(), "ids": identifiers, "deletions": vars(deleted)},
        chart="organisations",
        charted=1,
    )


def _recorded(record: PhaseRecord, taken: Backup) -> dict[str, Any]:
    """The dumps' identifiers in the ledger, by file name."""
    with record.run.connect("backup") as connection:
        book = Ledger(connection).require()
        return {
            name: book.record_backup(
                record.number, str(taken.folder / name), taken.sizes[name], taken.checksums[name]
            )
            for name in taken.sizes
            if name.startswith("mantis_")
        }


def _organisations(content: Fingerprint) -> list[dict[str, Any]]:
    """Rows by organisation, the largest first."""
    organisations = Counter[str]()
    for table in content.tables.values():
        organisations.update(
            {name: sums.rows for name, sums in table.organisations.items() if name}
        )
    return [
        {"organisation": name[:8], "rows": count} for name, count in organisations.most_common()
    ]
