"""Phase 0: ledger, journal, monitoring, the first proven backup, and a look at the data."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from mantis_runbook.backup import backup
from mantis_runbook.checks import named_checks
from mantis_runbook.checks.promises import Before
from mantis_runbook.display import many
from mantis_runbook.engine import ledger
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.errors import BackupNotProven
from mantis_runbook.phases import plan as plans
from mantis_runbook.phases.copy import PhaseCopy
from mantis_runbook.phases.migrating_phase import Around, MigrationPhase, Verb
from mantis_runbook.phases.phase_plan import refuse_other_plan
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.postgres.connection import connect, rows
from mantis_runbook.runs.evidence import Evidence, Table

__all__ = ["Preparation"]

#: The monitoring baseline: samples, and seconds between them.
SAMPLES, PAUSE_S = 10, 0.3

READ_BEFORE = (
    "Nothing here stops a phase: it was so before the migration, and the phases are compared with"
    " it. Each line is worth a look all the same: a way between tenants is one whoever opened it."
)


def _and_the_derived_files(record: PhaseRecord, prove: Verb) -> Evidence:
    """The schema-only and data-only files restored one after the other, where the server's role and
    the copy allow it.
    """
    proven, copy = prove(record), PhaseCopy(record)
    if lacking := proven.facts.get("lacking"):
        beside = (
            "; the schema-only and data-only files are not proven: no copy here can hold their"
            f" {', '.join(lacking)}"
        )
        return replace(proven, verdict="warned", summary=proven.summary + beside)
    with connect(copy.server, "proof") as connection:
        row = connection.execute(
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    if not (row and row[0]):
        beside = (
            "; the schema-only and data-only files are not proven: loading rows alone needs a"
            " superuser"
        )
        return replace(proven, verdict="warned", summary=proven.summary + beside)
    taken = copy.backup
    content = backup.prove_derived(taken, copy.create())
    for name in (
        name for name in taken.sizes if name.startswith(("mantis_schema_", "mantis_data_"))
    ):
        copy.record_proof(name, is_valid=content.is_equal)
    if not content.is_equal:
        raise BackupNotProven(
            "the schema-only and data-only files do not match their snapshot",
            found=content.message,
            expected="equal content",
            action=f"the files are kept at {taken.folder}; the full backup is proven on its own",
        )
    return replace(
        proven, summary=f"{proven.summary}; so do the schema-only and data-only files together"
    )


class Preparation(MigrationPhase):
    """Phase 0. It applies no migration file, so it needs no rehearsal."""

    around: ClassVar[Mapping[str, Around]] = {"prove": _and_the_derived_files}

    def migrate(self) -> Evidence:
        """Ledger, journal, fence, and the monitoring functions."""
        return self._do("migrate", _install)

    def validate(self) -> Evidence:
        """The strategy's pre-migration validation, as tables to read."""
        return self._do("validate", _survey)

    def compare(self) -> Evidence:
        """The strategy's monitor, sampled for a while before anything is changed."""
        return self._do("compare", _sample)


def _install(record: PhaseRecord) -> Evidence:
    refuse_other_plan(record)
    with record.run.connect("prepare") as connection:
        foreign = ledger.shape(connection) == "foreign"
        ledger.install(connection)
        for path in sorted(plans.preparation_files()):
            if path.parent.name == "monitoring":
                connection.execute(path.read_text())
        ledger.close(connection)
        book = Ledger(connection).require()
        named_checks.note_before(connection)
    note = "a schema_migrations of older tooling stays untouched; " if foreign else ""
    files = [
        {"file": path.name, "in": f"sql/{path.parent.name}"} for path in plans.preparation_files()
    ]
    return Evidence(
        record.number,
        "migrate",
        "passed",
        f"{note}ledger in schema {book.schema}, journal and monitoring functions in mantis_runbook",
        (Table("what phase 0 installs", files),),
    )


def _survey(record: PhaseRecord) -> Evidence:
    with record.run.read("survey") as connection:
        statistics, constraints, indexes = (
            named_checks.report(connection, name)
            for name in ("statistics", "constraints", "indexes")
        )
    kinds = constraints.groupby("contype").size().rename("constraints").reset_index()
    per_table = indexes.groupby("tablename").size().rename("indexes").reset_index()
    tables = (
        Table(
            f"{len(statistics)} statistics of the central tables (the first 15)",
            _plain(statistics.head(15)),
        ),
        Table(f"{len(constraints)} constraints by kind", _plain(kinds)),
        Table(f"{len(indexes)} indexes by table", _plain(per_table)),
    )
    summary = (
        f"{len(statistics)} statistics, {len(constraints)} constraints, {len(indexes)} indexes"
        " recorded"
    )
    before = _as_it_is(record)
    warned = (
        f"; {many(len(before.findings), 'thing')} that no migration has to answer for"
        if before.findings
        else ""
    )
    return Evidence(
        record.number,
        "validate",
        "warned" if warned else "passed",
        f"{summary}{warned}",
        (*tables, *before.tables),
        advice=READ_BEFORE if warned else "",
    )


def _as_it_is(record: PhaseRecord) -> Before:
    """How well tenants are apart and the application's statements work now, tried on the restored
    copy.
    """
    copy = PhaseCopy(record)
    if not copy.exists:  # a run that was cut off since
        backup.prove(copy.backup, copy.create())
    return copy.promises_before()


def _sample(record: PhaseRecord) -> Evidence:
    samples = []
    with record.run.read("monitor") as connection:
        for _ in range(SAMPLES):
            samples += rows(connection, "SELECT * FROM monitor_migration_performance()")
            time.sleep(PAUSE_S)
    records = [
        {
            "at": row["timestamp"].isoformat(timespec="milliseconds"),
            "active_connections": row["active_connections"],
            "waiting_queries": row["waiting_queries"],
            "avg_query_ms": (
                round(row["avg_query_time"].total_seconds() * 1000, 1)
                if row["avg_query_time"]
                else 0.0
            ),
            "cache_hit_ratio": (
                float(row["cache_hit_ratio"]) if row["cache_hit_ratio"] is not None else None
            ),
            "disk_usage_gb": float(row["disk_usage_gb"]),
        }
        for row in samples
    ]
    summary = f"{len(records)} samples of the database as it was before the migration"
    return Evidence(
        record.number,
        "compare",
        "passed",
        summary,
        (Table("monitoring baseline", records),),
        chart="monitoring",
    )


def _plain(frame: Any) -> list[dict[str, Any]]:
    return [
        {str(key): value for key, value in record.items()} for record in frame.to_dict("records")
    ]
