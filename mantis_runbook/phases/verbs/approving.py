"""Approve: the answer of a person that binds the approval to exactly this plan."""

from __future__ import annotations

from mantis_runbook.phases.phase_plan import plan_of
from mantis_runbook.phases.plan import require_approval
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.runs.evidence import Evidence

__all__ = ["approve"]


def approve(record: PhaseRecord, answer: str = "") -> Evidence:
    """The answer given, by parameter or typed now.

    Raises `ApprovalMissing` where an approval is needed and none, or another, is given.
    """
    plan, environment = plan_of(record), record.run.environment
    if not environment.approval_required:
        return Evidence(
            record.number,
            "approve",
            "passed",
            f"{environment.name} needs no approval",
            facts={"hash": plan.hash},
        )
    given = (
        answer
        or record.parameters.approve
        or record.ask(
            f"type {plan.hash} to approve the plan of phase {record.number}: ", f"hash {plan.hash}"
        )
    )
    require_approval(plan.hash, given, what=f"plan of phase {record.number}")
    operator = record.run.operator
    return Evidence(
        record.number,
        "approve",
        "passed",
        f"approved by {operator}: {plan.hash}",
        facts={"hash": plan.hash, "approver": operator},
    )
