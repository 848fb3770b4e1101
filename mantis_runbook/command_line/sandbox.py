"""The commands of the sandbox: start it, stop it, look at it, make it anew."""

from __future__ import annotations

import sys

import click

from mantis_runbook.command_line.errors import told

__all__ = ["sandbox"]


@click.group()
def sandbox() -> None:
    """A PostgreSQL of your own with the application's baseline and synthetic data, to try
    everything on.
    """


SCALE = click.option(
    "--scale", default=1.0, show_default=True, help="Amount of data; 1 is about 300,000 rows."
)
SEED = click.option(
    "--seed", default=2026, show_default=True, help="Same seed and scale, same data."
)


@sandbox.command("start")
@SCALE
@SEED
@told
def sandbox_start(scale: float, seed: int) -> None:
    """Start the sandbox, and fill it if it is empty."""
    from mantis_runbook import sandbox as box

    click.echo(box.start(scale, seed))


@sandbox.command("stop")
@told
def sandbox_stop() -> None:
    """Stop the sandbox; its data stays."""
    from mantis_runbook import sandbox as box

    click.echo("stopped" if box.stop() else "it was not running")


@sandbox.command("status")
@told
def sandbox_status() -> None:
    """Show whether the sandbox runs, and what it holds."""
    from mantis_runbook import sandbox as box

    sandbox_status = box.status()
    click.echo(sandbox_status or "not running; start it with `mantis-runbook sandbox start`")
    sys.exit(0 if sandbox_status else 1)


@sandbox.command("reset")
@SCALE
@SEED
@told
def sandbox_reset(scale: float, seed: int) -> None:
    """Make the sandbox anew, with fresh data; what was migrated there is gone."""
    from mantis_runbook import sandbox as box

    click.echo(box.reset(scale, seed))


@sandbox.command("uri")
@told
def sandbox_uri() -> None:
    """Print the sandbox's connection string, for psql and other clients."""
    from mantis_runbook import sandbox as box

    click.echo(box.uri())
