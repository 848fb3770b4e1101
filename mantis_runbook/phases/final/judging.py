"""The strategy's success criteria as a verb: earlier runs, audit trails, and the verdicts."""

from __future__ import annotations

from mantis_runbook.engine.step_journal import StepJournal
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases.final import audit_trail, performance_criterion
from mantis_runbook.phases.final import criteria as success
from mantis_runbook.phases.final.criteria import Trail
from mantis_runbook.phases.final.history import Earlier
from mantis_runbook.phases.final.suite import required
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.postgres.catalog import Catalog, snapshot
from mantis_runbook.runs.evidence import Evidence, Table

__all__ = ["criteria", "earlier_runs", "verified_trail"]


def criteria(record: PhaseRecord) -> Evidence:
    """The strategy's success criteria, each with evidence, figure, and verdict or signatory."""
    earlier = earlier_runs(record)
    judged = success.judge(
        earlier.evidence,
        earlier.verdicts,
        verified_trail(record, earlier),
        performance_asked=record.run.environment.performance.in_rehearsal,
    )
    costs = performance_criterion.costs(earlier.evidence)
    failed = [
        row.criterion for row in judged if row.verdict not in ("pass", "to sign", "not asked")
    ]
    signatures = [row for row in judged if row.verdict == "to sign"]
    unasked = [row for row in judged if row.verdict == "not asked"]
    evidence = Evidence(
        record.number,
        "criteria",
        "failed" if failed else "passed",
        f"{len(judged)} criteria: {len(judged) - len(failed) - len(signatures) - len(unasked)}"
        f" met, {len(failed)} not, {len(signatures)} to be signed, {len(unasked)} not asked in"
        f" {record.run.environment.name}",
        (
            Table(
                "success criteria", [row.record for row in judged], "verdict", link_column="link"
            ),
            *([Table("costs beyond 5 %", costs, link_column="link")] if costs else []),
        ),
    )
    return required(evidence, "success criteria are not met", "; ".join(failed))


def earlier_runs(record: PhaseRecord) -> Earlier:
    """The runs on this very database, each phase's from the one that migrated it."""
    with record.run.connect("status") as connection:
        steps = StepJournal(connection)
        begun = [
            (migration.phase, steps.run_of(migration.version))
            for migration in migration_files.load()
        ]
    phases = {phase for phase, run in begun if run}
    return Earlier(
        record.run,
        {phase: min(run for number, run in begun if run and number == phase) for phase in phases},
    )


def verified_trail(record: PhaseRecord, earlier: Earlier) -> Trail:
    """The audit trails, verified now."""
    with record.run.read("audit trail") as connection:
        text = StepJournal(connection).catalog_before(migration_files.first_version())
        return audit_trail.verify(
            connection,
            record.run.folder,
            earlier.journals.keys(),
            {str(evidence["run"]) for evidence in earlier.evidence.values()},
            Catalog.from_json(text) if text else None,
            snapshot(connection),
        )
