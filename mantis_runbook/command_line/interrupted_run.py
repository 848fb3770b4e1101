"""The run that was killed in the middle of a migration: found, and resumed by the next `run`."""

from __future__ import annotations

import time

import click

from mantis_runbook import settings
from mantis_runbook.engine import interruption
from mantis_runbook.engine.interruption import Interruption
from mantis_runbook.errors import Refused
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases.definitions import PhaseDefinition
from mantis_runbook.postgres import target as targets
from mantis_runbook.runs import run

__all__ = ["resumed"]

#: How long a `run` waits for the server to free the lock of a runner that was killed.
PATIENCE_S = 10.0


def resumed(
    place: targets.Target,
    limits: settings.Environment,
    operator: str,
    chosen: tuple[PhaseDefinition, ...],
) -> run.Run | None:
    """The interrupted run that left a migration half done, resumed to be finished; None if none."""
    half = _left_alone(place)
    if half is None:
        return None
    ways = f"`mantis-runbook rollback {half.version}`"
    if half.direction == "rollback":
        raise Refused(
            str(half), expected="a rollback that ended", action=f"finish it first with {ways}"
        )
    if half.phase not in {phase.number for phase in chosen}:
        raise Refused(
            str(half),
            expected=f"phase {half.phase} among --phases",
            action=f"add it, or take it back: {ways}",
        )
    begun = run.resume(place, limits, operator, half.run)
    click.echo(f"resuming run {half.run}, which was interrupted in migration {half.version}")
    return begun


def _left_alone(place: targets.Target) -> Interruption | None:
    """A migration left half done by a runner that is gone.

    Raises `Refused` while another runner is at work on it.
    """
    deadline = time.monotonic() + PATIENCE_S
    while (half := interruption.find(place, migration_files.load())) and half.holder:
        if time.monotonic() > deadline:
            raise Refused(
                str(half),
                expected="no other run",
                action="wait for it to end; `mantis-runbook status` shows it",
            )
        time.sleep(0.2)
    return half
