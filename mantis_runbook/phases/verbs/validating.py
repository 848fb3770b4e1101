"""Validate: every validation of the phase's migrations, and the strategy's tests for them."""

from __future__ import annotations

from mantis_runbook import display
from mantis_runbook.checks import validations
from mantis_runbook.phases import evidence_tables
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.runs.evidence import Evidence

__all__ = ["validate"]


def validate(record: PhaseRecord) -> Evidence:
    """Raises `ValidationFailed` where one fails."""
    with record.run.read("validation") as connection:
        suite = validations.validate_suite(connection, record.migrations)
    problems = suite.problems
    evidence = Evidence(
        record.number,
        "validate",
        "failed" if problems else "passed",
        f"{display.many(suite.statements, 'validation')}, {len(problems)} failed",
        (evidence_tables.validations(suite.scripts),),
    )
    if problems:
        record.show_red(evidence)
        validations.require(suite.scripts)
    return evidence
