"""The commands that look after a run's archive: verify it, and make its pages again."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import psycopg

from mantis_runbook import settings
from mantis_runbook.command_line.errors import told
from mantis_runbook.command_line.options import TARGET
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.errors import ParameterError, RunbookError
from mantis_runbook.postgres import target as targets
from mantis_runbook.postgres.connection import connect
from mantis_runbook.runs import archive, manifest, run
from mantis_runbook.runs.summary import read as read_summary

__all__ = ["report_", "verify"]


@click.command()
@click.argument("name", required=False, metavar="[RUN]")
@TARGET
@told
def verify(name: str | None, target: str) -> None:
    """Check that nothing in a run's archive was changed, removed or cut short. Default: the newest
    run.
    """
    folder = _run_folder(name)
    problems = manifest.verify(folder, _kept_head(folder, target))
    for problem in problems:
        click.secho(f"  {problem}", fg="red")
    click.echo(
        f"{folder.name}:"
        f" {f'{len(problems)} problem(s)' if problems else 'everything is as it was written'}"
    )
    sys.exit(1 if problems else 0)


def _run_folder(name: str | None) -> Path:
    runs = archive.all_runs()
    if not runs:
        raise ParameterError(
            "there is no run to verify",
            found=f"none in {settings.reports()}",
            action="run one first",
        )
    known = {folder.name: folder for folder in runs}
    if name and name.rstrip("/").split("/")[-1] not in known:
        raise ParameterError(
            "run",
            found=repr(name),
            expected=f"one of those in {settings.reports()}",
            action="see reports/index.html",
        )
    return known[name.rstrip("/").split("/")[-1]] if name else runs[-1]


def _kept_head(folder: Path, target: str) -> str | None:
    """The head kept in the database, where it can be asked; the archive is verified without it
    otherwise.
    """
    try:
        with connect(targets.resolve(target or archive.target_of(folder)), "verify") as connection:
            book = Ledger(connection)
            kept, why = (
                (book.archived_head(folder.name) if book.exists else None),
                "it keeps none of this run",
            )
    except (RunbookError, psycopg.Error) as error:
        kept, why = None, str(error)
    if kept is None:
        click.secho(f"the head kept in the database was not compared: {why}", err=True, fg="yellow")
    return kept


@click.command("report")
@click.argument("name", required=False, metavar="[RUN]")
@click.option(
    "--finish",
    is_flag=True,
    help="Declare the run finished first, such as one carried out cell by cell in JupyterLab.",
)
@told
def report_(name: str | None, finish: bool) -> None:  # noqa: FBT001
    """Make the pages of a run again from its journal and notebooks, such as of one that was
    killed.
    """
    folder = _run_folder(name)
    if finish and not run.is_finished(folder):
        _finish(folder)
    from mantis_runbook.phases.report import build as report

    click.echo(report.build(folder))
    report.index(settings.reports())


def _finish(folder: Path) -> None:
    target, environment = archive.target_of(folder), read_summary(folder).environment
    ended = run.open_run(target, environment, "", folder.name)
    from mantis_runbook.phases import runner

    with run.working(ended):
        runner.archive_run(ended)
