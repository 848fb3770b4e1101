"""What stands on a database, and what killed runs left there."""

from __future__ import annotations

import sys

import click

from mantis_runbook.backup import leftovers
from mantis_runbook.backup import scratch as scratches
from mantis_runbook.engine import interruption
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.postgres import target as targets
from mantis_runbook.postgres.connection import connect, identity
from mantis_runbook.runs import archive, run
from mantis_runbook.runs.summary import read as read_summary

__all__ = ["drop_leftovers", "show"]


def show(target: str, scratch: str) -> None:
    """Migrations, backups, what was left half way, and the newest runs."""
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


def drop_leftovers(names: tuple[str, ...], target: str, scratch: str, *, yes: bool) -> None:
    """Drop what killed runs left, once it was shown and agreed to."""
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
