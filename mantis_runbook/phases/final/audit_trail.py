"""Whether the audit trails are whole: earlier archives, this run's journal, the database's own."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from mantis_runbook.checks import named_checks
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.phases.final.criteria import Trail
from mantis_runbook.postgres.catalog import Catalog
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.runs import archive, manifest
from mantis_runbook.runs.journal import verify_chain

__all__ = ["lost_triggers", "of_archives", "verify"]

#: Finds functions that write the audit trail, in whatever schema.
WRITES = re.compile(r"INSERT\s+INTO\s+(?:\w+\.)?audit_log\b", re.IGNORECASE)

GAPS = "orphaned_audit_entries"


def verify(
    connection: Connection,
    present: Path,
    folders: Collection[Path],
    sources: Collection[str],
    before: Catalog | None,
    now: Catalog,
) -> Trail:
    """Verify it all. `present` is the run's own folder, `folders` those of all runs on this
    database, `sources` the names of the runs that evidence comes from; `before` the catalogue
    before the first migration, `now` the present one.
    """
    archives = of_archives(present, folders, sources, Ledger(connection).archived_heads())
    chain = [f"this run's {what}" for what in verify_chain(present / "journal.jsonl")]
    lost = [f"audit trigger {one}" for one in lost_triggers(before, now)] if before else []
    gaps, unasked = _gaps(connection)
    unknown = (
        [] if before else ["which tables were audited before the first migration is not on record"]
    )
    return Trail(
        archives.verified,
        len(_audited(now)),
        (*archives.broken, *chain, *lost),
        (*archives.open, *unasked, *unknown),
        (*archives.unsure, *gaps),
    )


def of_archives(
    present: Path, folders: Collection[Path], sources: Collection[str], heads: Mapping[str, str]
) -> Trail:
    """Verify the archives of earlier runs against their manifests, and against the `heads` that the
    database keeps.

    A run that was abandoned has no manifest; it is missed only where evidence comes from it. A
    journal that was cut short may not tell any more whose it is, so the runs that the database
    knows are verified too.
    """
    known = {*folders, *(folder for folder in archive.all_runs() if folder.name in heads)} - {
        present
    }
    verified, broken, unsealed, unsure = [], list[str](), [], []
    for folder in sorted(known):
        head = heads.get(folder.name)
        if head is None and not (folder / manifest.MANIFEST).is_file():
            unsealed += [folder.name] if folder.name in sources else []
            continue
        problems = manifest.verify(folder, head)
        broken += [f"run {folder.name}: {problem}" for problem in problems]
        verified += [] if problems else [folder.name]
        if head is None and folder.name in sources:
            unsure.append(
                f"run {folder.name} is as its manifest says, and the database keeps no head to"
                " compare with"
            )
    gone = sorted(heads.keys() - {folder.name for folder in (*known, present)})
    return Trail(
        tuple(verified),
        0,
        tuple(broken),
        tuple(
            f"run {name} is not archived: `mantis-runbook report {name} --finish`"
            for name in unsealed
        ),
        (
            *unsure,
            *(
                f"run {name} is on record in the database, and its folder is not here"
                for name in gone
            ),
        ),
    )


def lost_triggers(before: Catalog, now: Catalog) -> Iterator[str]:
    """Audit triggers of before that are gone, switched off, or do not write the audit trail any
    more. Pure.
    """
    writing = _audited(now)
    for name in sorted(_audited(before)):
        if name not in now["triggers"]:
            yield f"{name} is gone"
        elif name not in writing:
            yield f"{name} does not fire, or does not write audit_log: {now['triggers'][name]}"


def _audited(catalogue: Catalog) -> set[str]:
    """Triggers that fire and write the audit trail. One that was made to fire always, or on a
    replica alone, is another.
    """
    writers = {name for name, text in catalogue["functions"].items() if WRITES.search(text)}
    return {
        name
        for name, text in catalogue["triggers"].items()
        if not text.endswith("; DISABLED")
        and any(f"EXECUTE FUNCTION {writer}" in text for writer in writers)
    }


def _gaps(connection: Connection) -> tuple[list[str], list[str]]:
    """Rows that are gone without a record of it; and that this could not be asked."""
    result = named_checks.run(connection, "5", (GAPS,)).results[0]
    if result.verdict == "fail":
        return [], [f"audit_log: {result.summary}"]
    return [str(one) for one in result.found], []
