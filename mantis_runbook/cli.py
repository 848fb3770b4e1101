"""The command line: the same verbs as the notebooks, and what their ends mean as exit codes.

A command imports what it works with when it is called: help is there at once.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from mantis_runbook import logs
from mantis_runbook.command_line.errors import told
from mantis_runbook.command_line.options import (
    ENVIRONMENT,
    OPERATOR,
    PHASES,
    SCOPES,
    SCRATCH,
    TARGET,
)
from mantis_runbook.command_line.sandbox import sandbox

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
    from mantis_runbook.command_line import migrating

    choices = {"currency_map": currency_map, "currency_add": currency_add}
    migrating.carry_out(
        target,
        environment,
        wanted,
        approve=approve,
        scratch=scratch,
        operator=operator,
        choices=choices | ({"repack": repack} if repack else {}),
    )


@main.command("plan")
@TARGET
@ENVIRONMENT
@PHASES
@told
def plan_(target: str, environment: str, wanted: str) -> None:
    """Show what would run, statement by statement, and the hash that approves it. Reads only."""
    from mantis_runbook.command_line import migrating

    migrating.show_plan(target, environment, wanted)


@main.command()
@TARGET
@SCRATCH
@told
def status(target: str, scratch: str) -> None:
    """Show which migrations the database has, which backups are proven, the runs so far, and what
    killed ones left.
    """
    from mantis_runbook.command_line import state

    state.show(target, scratch)


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
    from mantis_runbook.command_line import state

    state.drop_leftovers(names, target, scratch, yes=yes)


@main.command()
@click.argument("version")
@TARGET
@ENVIRONMENT
@OPERATOR
@click.option(
    "--scope",
    default="only",
    type=click.Choice(SCOPES),
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
    from mantis_runbook.command_line import migrating

    migrating.take_back(
        version, target, environment, operator=operator, scope=scope, confirm=confirm
    )


@main.command()
@click.argument("name", required=False, metavar="[RUN]")
@TARGET
@told
def verify(name: str | None, target: str) -> None:
    """Check that nothing in a run's archive was changed, removed or cut short. Default: the newest
    run.
    """
    from mantis_runbook.command_line import archives

    archives.verify(name, target)


@main.command("report")
@click.argument("name", required=False, metavar="[RUN]")
@click.option(
    "--finish",
    is_flag=True,
    help="Declare the run finished first, such as one carried out cell by cell in JupyterLab.",
)
@told
def report_(name: str | None, *, finish: bool) -> None:
    """Make the pages of a run again from its journal and notebooks, such as of one that was
    killed.
    """
    from mantis_runbook.command_line import archives

    archives.rebuild(name, finish=finish)


main.add_command(sandbox)
