"""What users rely on after every migration: tenant isolation, and the old application's needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mantis_runbook.checks import promises, worsened
from mantis_runbook.checks.worsened import Finding
from mantis_runbook.display import many
from mantis_runbook.engine.step_journal import StepJournal
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases.final.judging import earlier_runs
from mantis_runbook.phases.final.suite import required
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.postgres.catalog import Catalog, snapshot
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.runs.evidence import Evidence, Table

__all__ = ["compatibility", "tenants"]


def tenants(record: PhaseRecord) -> Evidence:
    """Tenant isolation, tried as users of two organisations, as a user of none, and as nobody."""
    with record.run.connect("tenants") as connection, record.proving() as watch:
        now = snapshot(connection)
        findings, records, tried, acts = promises.weigh_tenants(
            connection,
            _before(record, connection),
            now,
            watch=watch,
            is_ours=_made(connection, now),
        )
    worse, warned = worsened.problems(findings), worsened.warnings(findings)
    evidence = Evidence(
        record.number,
        "tenants",
        _verdict(findings),
        f"{tried} on {len(records)} tables, views and functions, {len(worse)} got"
        f" through{_warned(warned)}",
        (
            Table(
                "tenant isolation: tables, views and functions",
                records,
                "verdict",
                folded=not worse,
                note=acts.summary if acts else "",
            ),
        ),
    )
    return required(evidence, "tenant isolation is broken", "; ".join(map(str, worse)))


def compatibility(record: PhaseRecord) -> Evidence:
    """Whether the baseline's own statements and catalogue still serve the old application."""
    with record.run.read("compatibility") as connection, record.proving() as watch:
        findings, records, tried = promises.weigh_contract(
            connection, _before(record, connection), snapshot(connection), watch=watch
        )
    worse, warned = worsened.problems(findings), worsened.warnings(findings)
    evidence = Evidence(
        record.number,
        "compatibility",
        _verdict(findings),
        f"{tried}, {len(worse)} broken{_warned(warned)}",
        (Table("compatibility contract", records, "verdict", folded=not worse),),
    )
    return required(evidence, "the old application would not work", "; ".join(map(str, worse)))


def _before(record: PhaseRecord, connection: Connection) -> promises.Before:
    """What held before any migration, as the first rehearsal kept it.

    Without that record the whole promise must hold.
    """
    text = StepJournal(connection).catalog_before(migration_files.first_version())
    catalog = Catalog.from_json(text) if text else None
    first = migration_files.load()[0].phase
    kept = (
        earlier_runs(record)
        .evidence.get((first, "rehearse"), {})
        .get("facts", {})
        .get(promises.KEPT)
    )
    return (
        promises.Before.from_dict(kept, catalog) if kept else promises.Before(None, catalog=catalog)
    )


def _made(connection: Connection, now: Catalog) -> Callable[[str], bool]:
    """Whether a migration made a table, a view or a function.

    A partition belongs to its table, whoever made it.
    """
    journal = StepJournal(connection)
    made: set[str] = set()
    for migration in migration_files.load():
        then, after = (
            journal.catalog_before(migration.version),
            journal.catalog_after(migration.version),
        )
        if then and after:
            old, new = Catalog.from_json(then), Catalog.from_json(after)
            for kind in ("tables", "views", "functions"):
                made |= new[kind].keys() - old[kind].keys()
    made |= {name for name, text in now["tables"].items() if "partition of " in text}
    plain = {name.replace("public.", "") for name in made}
    return lambda name: name in plain


def _verdict(findings: Sequence[Finding]) -> str:
    """The verdict of a verb whose findings are weighed by what was so before."""
    words = {"pass": "passed", "warn": "warned", "inconclusive": "inconclusive", "fail": "failed"}
    return words[worsened.word(findings)]


def _warned(findings: Sequence[Finding]) -> str:
    return (
        f"; {many(len(findings), 'thing')} that no migration has to answer for" if findings else ""
    )
