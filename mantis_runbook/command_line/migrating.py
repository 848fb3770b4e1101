"""Runs begun from the command line: carry phases out, show their plan, take a migration back."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from mantis_runbook.backup import leftovers
from mantis_runbook.backup import scratch as scratches
from mantis_runbook.checks import recognition
from mantis_runbook.command_line import approvals, interrupted_run
from mantis_runbook.engine import rolling_back as rollbacks
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.errors import ApprovalMissing
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.lint import lint
from mantis_runbook.phases import definitions, plan, runner
from mantis_runbook.postgres import target as targets
from mantis_runbook.postgres.connection import connect, refuse_read_only
from mantis_runbook.rehearsal.performance import repertoire
from mantis_runbook.runs import alerts, run
from mantis_runbook.runs.journal import Journal
from mantis_runbook.runs.summary import read as read_summary
from mantis_runbook.watch import application_load

__all__ = ["carry_out", "show_plan", "take_back"]


def carry_out(
    target: str,
    environment: str,
    wanted: str,
    *,
    approve: str,
    scratch: str,
    operator: str,
    choices: Mapping[str, str],
) -> None:
    """Carry phases out, and exit with the verdict's code. `choices` are what single phases are told."""
    place, chosen = targets.resolve(target), definitions.select(wanted)
    limits = run.environment_for(place, environment)
    given = {"target": target, "environment": environment, "scratch": scratch}
    given |= choices
    runner.refuse_unknown(chosen, given)
    repertoire.refuse_unfit(limits)
    hashes = approvals.approvals_for(place, limits, chosen, approve)
    if limits.load_clients and limits.load_rate:
        application_load.program(place)
    if scratch and limits.scratch == "other":
        scratches.refuse_same_server(place, targets.resolve(scratch), limits.name)
    leftovers.tell(leftovers.find(place, scratch))
    begun = interrupted_run.resumed(place, limits, operator, chosen)
    if begun is None:
        begun = run.start(
            place, limits, operator, phases={one.number: list(one.verbs) for one in chosen}
        )
    click.echo(f"run {begun.name} on {place.name} ({limits.name})")
    finished = runner.execute(begun, chosen, given, hashes)
    _tell(begun.folder)
    sys.exit(finished.verdict.exit_code)


def _tell(folder: Path) -> None:
    """The end of a run: the steps as a table, what went wrong, the verdict, where the report
    lies.
    """
    run_summary = read_summary(folder)
    click.echo(f"\n{'phase':28}{'step':16}{'result':14}{'duration':>10}")
    for phase in run_summary.phases:
        for verb in phase.verbs:
            took = f"{verb.duration_ms / 1000:,.1f} s" if verb.duration_ms is not None else ""
            click.echo(f"{phase.notebook or phase.name:28}{verb.verb:16}{verb.result:14}{took:>10}")
    bad = [
        deviation
        for deviation in run_summary.deviations
        if deviation.grade != "warned" and not run_summary.verdict.passed
    ]
    for deviation in [deviation for deviation in bad if deviation.verb] or bad:
        click.secho(
            f"\n{deviation.where}: {deviation.what}" if deviation.where else f"\n{deviation.what}",
            fg="red",
        )
    for problem in alerts.undelivered(Journal(folder).entries()):
        click.secho(f"\n{problem}", err=True, fg="yellow")
    colour = {"passed": "green", "inconclusive": "yellow"}.get(run_summary.verdict.word, "red")
    click.secho(f"\nverdict: {run_summary.verdict}", fg=colour, bold=True)
    click.echo(f"report:  {folder / 'index.html'}")


def show_plan(target: str, environment: str, wanted: str) -> None:
    """What would run, and the hash that approves it."""
    place, chosen = targets.resolve(target), definitions.select(wanted)
    limits = run.environment_for(place, environment)
    with connect(place, "plan") as connection:
        recognition.require_baseline(connection, chosen[0].number)
    planned = approvals.plans_for(place, chosen)
    for phase_plan in planned:
        click.secho(
            f"phase {phase_plan.phase}: {definitions.find(phase_plan.phase).title}", bold=True
        )
        _tell_plan(phase_plan)
    needed = "needed" if limits.approval_required else "not needed"
    click.echo(
        f"\ntarget: {place.name}, database {planned[0].identity.database}; approval {needed} in"
        f" {limits.name}"
    )
    click.secho(f"hash: {plan.combined(planned)}", bold=True)


def _tell_plan(planned: plan.Plan) -> None:
    for migration in planned.migrations:
        lint.refuse_unsafe(migration)
    if not planned.migrations:
        click.echo("  ledger, journal, fence and monitoring functions; backups")
    for record in planned.records:
        step = (
            f"{record['migration']:28} {record['step']:44} {record['how']:22}"
            f" {record['statements']} statement(s)"
        )
        click.echo(f"  {step}\n      {record['what']}")


def take_back(
    version: str, target: str, environment: str, *, operator: str, scope: str, confirm: str
) -> None:
    """Roll a version back, and exit with the verdict's code."""
    place = targets.resolve(target)
    limits = run.environment_for(place, environment)
    with connect(place, "rollback") as connection:
        refuse_read_only(connection, place)
        chosen = rollbacks.choose(
            migration_files.load(), Ledger(connection).require().all(), version, scope
        )
    names = " ".join(one.version for one in chosen)
    if limits.rollback_confirmation and not confirm and sys.stdin.isatty():
        confirm = click.prompt(
            f"this drops what {', '.join(one.label for one in chosen)} made; type {names} to"
            " confirm",
            default="",
        )
    try:
        rollbacks.require_confirmation(limits, chosen, confirm)
    except ApprovalMissing as missing:
        approvals.announce_missing(place, limits, missing)
        raise
    begun = run.start(
        place, limits, operator, phases={"rollback": list(definitions.rollback().verbs)}
    )
    given = {
        "target": target,
        "environment": environment,
        "version": version,
        "scope": scope,
        "confirm": confirm,
    }
    finished = runner.execute(begun, (definitions.rollback(),), given, {})
    _tell(begun.folder)
    sys.exit(finished.verdict.exit_code)
