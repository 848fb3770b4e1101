"""What the command line says of scratch databases, and which of them it drops."""

from __future__ import annotations

from collections.abc import Sequence

import click

from mantis_runbook.backup import scratch
from mantis_runbook.backup.scratch import Scratch
from mantis_runbook.errors import Refused
from mantis_runbook.postgres import target as targets
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs import run

__all__ = ["Leftovers", "chosen", "find", "tell"]

#: Scratch databases by name, each with the server it is on.
Leftovers = dict[str, tuple[Target, Scratch]]


def find(place: Target, server: str) -> Leftovers:
    """Scratch databases beside the target, and on the scratch server where one is named."""
    servers = [place, *([targets.resolve(server)] if server else [])]
    return {
        one.name: (where, one) for where in servers for one in scratch.all_on(where, run.is_at_work)
    }


def tell(leftovers: Leftovers) -> None:
    """One line for each."""
    for where, database in leftovers.values():
        click.secho(
            f"  scratch database on {where.name}: {database}",
            fg="yellow" if database.state != "in use" else None,
        )
    if any(database.state != "in use" for _, database in leftovers.values()):
        click.echo("  `mantis-runbook clean` drops what killed runs left")


def chosen(leftovers: Leftovers, names: Sequence[str]) -> list[str]:
    """The databases to drop: those named, or all that killed runs of this machine left.

    Raises `Refused` for a name that is no scratch database, or one that a living run uses.
    """
    for name in names:
        scratch.require_ours(name)
        if name not in leftovers:
            raise Refused(
                f"scratch database {name}",
                found="none of that name",
                expected="one that `status` names",
            )
        if leftovers[name][1].state == "in use":
            raise Refused(
                f"scratch database {leftovers[name][1]}",
                action="let that run end; nothing was dropped",
            )
    return list(names) or [
        name for name, (_, database) in leftovers.items() if database.state == "left"
    ]
