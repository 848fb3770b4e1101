"""The command line: the same verbs as the notebooks, and what their ends mean as exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from mantis_runbook import logs
from mantis_runbook.backup import leftovers
from mantis_runbook.backup import scratch as scratches
from mantis_runbook.command_line import approvals, interrupted_run
from mantis_runbook.command_line.archives import report_, verify
from mantis_runbook.command_line.errors import told
from mantis_runbook.command_line.options import ENVIRONMENT, OPERATOR, PHASES, SCRATCH, TARGET
from mantis_runbook.command_line.sandbox import sandbox
from mantis_runbook.engine import interruption
from mantis_runbook.engine import rolling_back as rollbacks
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.errors import ApprovalMissing
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.lint import lint
from mantis_runbook.phases import definitions, plan
from mantis_runbook.postgres import target as targets
from mantis_runbook.postgres.connection import connect, identity, refuse_read_only
from mantis_runbook.runs import alerts, archive, run
from mantis_runbook.runs.journal import Journal
from mantis_runbook.runs.summary import read as read_summary
from mantis_runbook.watch import application_load

__all__ = ["main"]

#: Variables that name a file or folder. A notebook's kernel works in another folder, so they are
#: made absolute.
PLACES = (
    *(
        f"MANTIS_RUNBOOK_{name}"
        for name in ("HOME", "REPORTS", "BACKUPS", "SANDBOX", "ENVIRONMENTS", "PG_BIN", "LOG")
    ),
    *(
        "PGSERVICEFILE",
        "PGSYSCONFDIR",
        "PGPASSFILE",
        "PGSSLCERT",
        "PGSSLKEY",
        "PGSSLROOTCERT",
        "PGSSLCRL",
    ),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mantis-runbook")
@click.option(
    "--verbose",
    is_flag=True,
    help="Show each statement of our sessions and each program's command line on stderr.",
)
@click.pass_context
def main(context: click.Context, *, verbose: bool) -> None:
    """Migrate an application's database phase by phase, and prove what was promised.

    Exit codes: 0 passed, 1 failed or rolled back, 2 refused (nothing was changed), 3 inconclusive.
    """
    for name in PLACES:
        if value := os.environ.get(name):
            os.environ[name] = str(Path(value).absolute())
    if verbose and not logs.is_on():
        context.call_on_close(logs.follow())


@main.command("run")
@TARGET
@ENVIRONMENT
@PHASES
@click.option(
    "--approve",
    default="",
    metavar="HASH",
    help="Hash of the plan you have read, as `mantis-runbook plan` shows it.",
)
@SCRATCH
@OPERATOR
@click.option(
    "--currency-map",
    default="",
    metavar="CODE=CODE,…",
    help="Which currency an unknown code stands for, such as ZAR=USD; recorded with your name.",
)
@click.option(
    "--currency-add",
    default="",
    metavar="CODE,…",
    help=(
        "Currencies to add to the schema for good, such as ZAR (ISO 4217); recorded with your name."
    ),
)
@click.option(
    "--repack",
    flag_value="yes",
    default="",
    help="In phase 4, rebuild tables that waste much space with pg_repack, where it is installed.",
)
@told
def run_(
    target: str,
    environment: str,
    wanted: str,
    approve: str,
    scratch: str,
    operator: str,
    currency_map: str,
    currency_add: str,
    repack: str,
) -> None:
    """Carry out the phases unattended: check, back up, prove, rehearse, migrate, validate, compare,
    archive.
    """
    place, chosen = targets.resolve(target), definitions.select(wanted)
    limits = run.environment_for(place, environment)
    # brings papermill and nbconvert, a second or two that no other command waits for
    from mantis_runbook.phases import runner
    from mantis_runbook.rehearsal.performance import repertoire

    given = {"target": target, "environment": environment, "scratch": scratch}
    given |= {"currency_map": currency_map, "currency_add": currency_add}
    given |= {"repack": repack} if repack else {}
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


@main.command("plan")
@TARGET
@ENVIRONMENT
@PHASES
@told
def plan_(target: str, environment: str, wanted: str) -> None:
    """Show what would run, statement by statement, and the hash that approves it. Reads only."""
    place, chosen = targets.resolve(target), definitions.select(wanted)
    limits = run.environment_for(place, environment)
    from mantis_runbook.checks import (
        recognition,
    )  # brings pandas, which the start of other commands need not wait for

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


@main.command()
@TARGET
@SCRATCH
@told
def status(target: str, scratch: str) -> None:
    """Show which migrations the database has, which backups are proven, the runs so far, and what
    killed ones left.
    """
    place = targets.resolve(target)
    with connect(place, "status") as connection:
        who, book = identity(connection), Ledger(connection)
        states, kept = book.all(), book.backups()
    click.echo(
        f"{place.name}: database {who.database}, PostgreSQL {who.version_text}, as {who.role}"
    )
    click.echo(
        "no ledger yet: run phase 0 first" if not book.exists else f"ledger in schema {book.schema}"
    )
    for migration in migration_files.load():
        row = states.get(migration.version)
        when = f"{row.applied_at:%Y-%m-%d %H:%M:%S} UTC" if row and row.applied_at else ""
        click.echo(f"  {migration.label:32} {row.status if row else 'not applied':14} {when}")
    for backup in kept:
        proof = {True: "proven", False: "NOT VALID", None: "not proven"}[backup["is_valid"]]
        click.echo(f"  backup of phase {backup['phase']}: {proof:11} {backup['backup_location']}")
    half = interruption.find(place, migration_files.load())
    if half:
        click.secho(f"  {half}", fg="yellow")
    leftovers.tell(leftovers.find(place, scratch))
    here = [folder for folder in archive.all_runs() if archive.target_of(folder) == place.name]
    for folder in here[-5:]:
        ending = "at work" if run.at_work(folder) else read_summary(folder).verdict
        click.echo(f"  run {folder.name}: {ending}")


@main.command()
@click.argument("names", nargs=-1, metavar="[DATABASE]...")
@TARGET
@SCRATCH
@click.option("--yes", is_flag=True, help="Drop them without asking.")
@told
def clean(names: tuple[str, ...], target: str, scratch: str, *, yes: bool) -> None:
    """Drop scratch databases that killed runs left; shows them first. One of another machine is
    dropped when it is named.

    One that a living run uses is never dropped.
    """
    databases = leftovers.find(targets.resolve(target), scratch)
    chosen = leftovers.chosen(databases, names)
    leftovers.tell(databases)
    if not chosen:
        click.echo("nothing to drop")
        return
    if not yes and not (sys.stdin.isatty() and click.confirm(f"drop {', '.join(chosen)}?")):
        click.echo(f"nothing was dropped; run it with --yes to drop {', '.join(chosen)}")
        return
    for name in chosen:
        scratches.drop(databases[name][0], name)
        click.echo(f"dropped {name}")


@main.command()
@click.argument("version")
@TARGET
@ENVIRONMENT
@OPERATOR
@click.option(
    "--scope",
    default="only",
    type=click.Choice(list(rollbacks.SCOPES)),
    show_default=True,
    help="only: VERSION alone; after: every later one; from: VERSION and every later one.",
)
@click.option(
    "--confirm",
    default="",
    metavar="VERSIONS",
    help="The versions that will go, newest first; asked for where the environment wants it.",
)
@told
def rollback(
    version: str, target: str, environment: str, operator: str, scope: str, confirm: str
) -> None:
    """Roll VERSION back: salvage what only it holds, drop what it made, and compare the catalogue
    with the start.
    """
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
    from mantis_runbook.phases import runner

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


main.add_command(verify)
main.add_command(report_)
main.add_command(sandbox)
