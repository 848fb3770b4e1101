"""Approve: the plan of a phase, and the answer that binds its approval to exactly this plan."""

from __future__ import annotations

from mantis_runbook import display, migrations
from mantis_runbook import plan as plans
from mantis_runbook.errors import ApprovalMissing
from mantis_runbook.evidence import Evidence, Table
from mantis_runbook.phase_record import PhaseRecord

__all__ = ["approve", "refuse_other_plan", "show_plan"]


def show_plan(record: PhaseRecord) -> Evidence:
    """What will run, and the hash that approves it. Reads only."""
    plan = _plan(record)
    tables = (Table(display.many(len(plan.records), "step"), plan.records),) if plan.records else ()
    return Evidence(record.number, "plan", "passed", f"this plan's hash is {plan.hash}", tables, {"hash": plan.hash})


def approve(record: PhaseRecord, answer: str = "") -> Evidence:
    """The answer given, by parameter or typed now. Raises `ApprovalMissing` where one is needed and none, or another, is
    given."""
    plan, environment = _plan(record), record.run.environment
    if not environment.approval_required:
        return Evidence(
            record.number, "approve", "passed", f"{environment.name} needs no approval", facts={"hash": plan.hash}
        )
    given = (
        answer
        or record.parameters.approve
        or record.ask(f"type {plan.hash} to approve the plan of phase {record.number}: ", f"hash {plan.hash}")
    )
    plans.require_approval(plan.hash, given, what=f"plan of phase {record.number}")
    operator = record.run.operator
    return Evidence(
        record.number,
        "approve",
        "passed",
        f"approved by {operator}: {plan.hash}",
        facts={"hash": plan.hash, "approver": operator},
    )


def refuse_other_plan(record: PhaseRecord) -> None:
    """What was approved must be what runs: files and target may have changed since. Raises `ApprovalMissing`."""
    approved = record.facts("approve").get("hash", "")
    files_now = migrations.order_for(migrations.load(), record.number)
    current = plans.Plan(record.number, record.run.identity, files_now).hash
    if approved != current:
        raise ApprovalMissing(
            f"the plan of phase {record.number} changed after it was approved",
            found=current,
            expected=approved,
            action="begin a new run: back up, rehearse and approve what is there now",
        )


def _plan(record: PhaseRecord) -> plans.Plan:
    return plans.Plan(record.number, record.run.identity, record.migrations)
