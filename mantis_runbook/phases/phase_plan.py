"""The plan of a phase in its run: shown, and held against what was approved."""

from __future__ import annotations

from mantis_runbook import display
from mantis_runbook.errors import ApprovalMissing
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases.plan import Plan
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.runs.evidence import Evidence, Table

__all__ = ["plan_of", "refuse_other_plan", "show_plan"]


def plan_of(record: PhaseRecord) -> Plan:
    """The plan as the phase was opened with it."""
    return Plan(record.number, record.run.identity, record.migrations)


def show_plan(record: PhaseRecord) -> Evidence:
    """What will run, and the hash that approves it. Reads only."""
    plan = plan_of(record)
    tables = (Table(display.many(len(plan.records), "step"), plan.records),) if plan.records else ()
    return Evidence(
        record.number,
        "plan",
        "passed",
        f"this plan's hash is {plan.hash}",
        tables,
        {"hash": plan.hash},
    )


def refuse_other_plan(record: PhaseRecord) -> None:
    """What was approved must be what runs: files and target may have changed since. Raises
    `ApprovalMissing`.
    """
    approved = record.facts("approve").get("hash", "")
    files_now = migration_files.order_for(migration_files.load(), record.number)
    current = Plan(record.number, record.run.identity, files_now).hash
    if approved != current:
        raise ApprovalMissing(
            f"the plan of phase {record.number} changed after it was approved",
            found=current,
            expected=approved,
            action="begin a new run: back up, rehearse and approve what is there now",
        )
