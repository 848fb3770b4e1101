"""The plans that a command is about to carry out, and the hash that approves them."""

from __future__ import annotations

import click

from mantis_runbook import settings
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.errors import ApprovalMissing
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases import definitions, plan
from mantis_runbook.phases.definitions import PhaseDefinition
from mantis_runbook.postgres import target as targets
from mantis_runbook.postgres.connection import connect, identity, refuse_read_only
from mantis_runbook.runs import alerts

__all__ = ["announce_missing", "approvals_for", "plans_for"]


def approvals_for(
    place: targets.Target,
    limits: settings.Environment,
    chosen: tuple[PhaseDefinition, ...],
    given: str,
) -> dict[str, str]:
    """The hash that each phase's notebook is given.

    Raises `ApprovalMissing`, before anything runs, where one is needed; a hash that was given must
    fit everywhere.
    """
    plans = plans_for(place, chosen)
    if limits.approval_required or given:
        try:
            plan.require_approval(plan.combined(plans), given, what="the plan of this run")
        except ApprovalMissing as missing:
            announce_missing(place, limits, missing)
            raise
    return {one.phase: one.hash for one in plans} if given else {}


def announce_missing(
    place: targets.Target, limits: settings.Environment, missing: ApprovalMissing
) -> None:
    """Alert the team that a plan waits for its approval.

    There is no run yet whose journal could record a failed delivery: it is reported here alone.
    """
    if not alerts.is_wanted(limits.alerts):
        return
    title = f"Mantis Runbook: approval waiting on {place.name}"
    body = f"{missing.what}, in {limits.name}: expected {missing.expected}; {missing.action}"
    delivery = alerts.deliver(
        limits.alerts, alerts.Alert("approval waiting", title, body, "warning")
    )
    for problem in delivery.problems:
        click.secho(f"the alert “{title}” was not delivered: {problem}", err=True, fg="yellow")


def plans_for(place: targets.Target, chosen: tuple[PhaseDefinition, ...]) -> list[plan.Plan]:
    """The plan of each phase chosen. Raises `Refused` where a migration was edited since."""
    known = migration_files.load()
    definitions.refuse_unreached(known)
    with connect(place, "plan") as connection:
        refuse_read_only(connection, place)
        who = identity(connection)
        plan.refuse_edited(known, Ledger(connection).all())
    return [
        plan.Plan(phase.number, who, migration_files.order_for(known, phase.number))
        for phase in chosen
    ]
