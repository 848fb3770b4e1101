"""A run's archive: verify it, and make its pages again."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import psycopg

from mantis_runbook import settings
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.errors import ParameterError, RunbookError
from mantis_runbook.phases import runner
from mantis_runbook.phases.report import build as report
from mantis_runbook.postgres import target as targets
from mantis_runbook.postgres.connection import connect
from mantis_runbook.runs import archive, manifest, run
from mantis_runbook.runs.summary import read as read_summary

__all__ = ["rebuild", "verify"]


def verify(name: str | None, target: str) -> None:
    """Tell what is not as it was written; exit with 1 where anything is."""
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


def rebuild(name: str | None, *, finish: bool) -> None:
    """Make the pages of a run again; with `finish` its verdict is told first."""
    folder = _run_folder(name)
    if finish and not run.is_finished(folder):
        _finish(folder)
    click.echo(report.build(folder))
    report.index(settings.reports())


def _finish(folder: Path) -> None:
    target, environment = archive.target_of(folder), read_summary(folder).environment
    ended = run.open_run(target, environment, "", folder.name)
    with run.working(ended):
        runner.archive_run(ended)
