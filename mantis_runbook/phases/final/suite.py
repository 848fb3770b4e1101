"""The final suite: every check, every validation, and the strategy's own integrity checks."""

from __future__ import annotations

from mantis_runbook.checks import named_checks, validations
from mantis_runbook.display import many
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.errors import Inconclusive, Refused, ValidationFailed
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases.evidence_tables import checks_tables
from mantis_runbook.phases.record import PhaseRecord, show
from mantis_runbook.postgres import blockers
from mantis_runbook.postgres.connection import rows
from mantis_runbook.runs.evidence import Evidence, Table

__all__ = ["integrity", "precheck", "required", "validate"]


def precheck(record: PhaseRecord) -> Evidence:
    """Every migration is applied, and every check of this phase passes."""
    with (
        record.run.read("precheck", patience_s=named_checks.PATIENCE_S) as connection,
        blockers.refusing(connection),
    ):
        states = Ledger(connection).require().all()
        missing = [
            migration.label
            for migration in migration_files.load()
            if migration.version not in states or states[migration.version].status != "completed"
        ]
        if missing:
            raise Refused(
                "the final validation needs every migration",
                found=f"not completed: {', '.join(missing)}",
                expected="all completed",
                action="run the notebooks of their phases first",
            )
        lax = {"durability"} if record.run.environment.unsafe_durability else set[str]()
        checks = named_checks.run(connection, record.number, tolerate=lax)
    verdict = {"pass": "passed", "warn": "warned", "fail": "failed"}[checks.verdict]
    summary = (
        f"{many(len(checks.results), 'check')}: {len(checks.failed)} failed, {len(checks.warned)}"
        " warned"
    )
    evidence = Evidence(record.number, "precheck", verdict, summary, checks_tables(checks))
    if checks.failed:
        show(evidence)
        checks.require()
    return evidence


def integrity(record: PhaseRecord) -> Evidence:
    """The strategy's `validate_schema_integrity()`, with its thresholds and the sharper checks."""
    with record.run.read("integrity") as connection:
        results = rows(
            connection, "SELECT check_name, status, details FROM validate_schema_integrity()"
        )
    failed = [row["check_name"] for row in results if row["status"] != "PASS"]
    records = [
        {"check": row["check_name"], "verdict": row["status"].lower(), "details": row["details"]}
        for row in results
    ]
    evidence = Evidence(
        record.number,
        "integrity",
        "failed" if failed or not results else "passed",
        f"{len(results)} checks of the final suite, {len(failed)} failed",
        (Table("validate_schema_integrity()", records, "verdict"),),
    )
    return required(evidence, "the final suite failed", ", ".join(failed))


def validate(record: PhaseRecord) -> Evidence:
    """Every validation of every migration, and the strategy's own tests."""
    with record.run.read("validation") as connection:
        suite = validations.validate_suite(connection, migration_files.load())
    failed = suite.problems
    records = [
        {"file": script.source, "statements": len(script.results), "verdict": script.verdict}
        for script in suite.scripts
    ]
    evidence = Evidence(
        record.number,
        "validate",
        "failed" if failed else "passed",
        f"{many(suite.statements, 'statement')} of {many(len(suite.scripts), 'file')},"
        f" {len(failed)} failed",
        (Table("validations and tests", records, "verdict"),),
        {"statements": suite.statements},
    )
    return required(evidence, f"{many(len(failed), 'validation')} failed", "; ".join(failed))


def required(evidence: Evidence, what: str, failures: str) -> Evidence:
    """The evidence, where it is good; otherwise shows it and raises what its verdict means."""
    if evidence.good:
        return evidence
    show(evidence)
    raise (Inconclusive if evidence.verdict == "inconclusive" else ValidationFailed)(
        what,
        found=failures or "nothing was checked",
        expected="none",
        action="the table above names each; correct its cause and run this cell again",
    )
