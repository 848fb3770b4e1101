"""Backup, proof and rehearsal of each phase together, against plain pg_dump and pg_restore of the
same database.

    python -m benchmarks.rehearsal [--target NAME] [--scale 1.0]

The performance gate is not among it: `make bench-gate` says what that takes. Works in databases of
its own.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from benchmarks import ways
from benchmarks.backup import plain, timed
from benchmarks.performance_trials import database
from mantis_runbook import sandbox, settings
from mantis_runbook.backup import backup
from mantis_runbook.backup.scratch import create_scratch, drop_scratch
from mantis_runbook.engine import ledger
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.files import Migration
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.target import Target, resolve
from mantis_runbook.rehearsal import rehearsal

SCRATCH = "mantis_scratch_bench"

AIM = 4.0


@contextmanager
def prepared(target: Target, scale: float) -> Iterator[Target]:
    """A baseline with the ledger, as phase 0 leaves it."""
    with database(target, "mantis_bench_rehearsal") as place:
        sandbox.load_baseline(place.parameters, scale=scale, seed=2026)
        with connect(place, "benchmark", lock_timeout="0") as connection:
            ledger.install(connection)
            connection.execute("ANALYZE")
        yield place


def ours(target: Target, folder: Path, steps: Sequence[Migration]) -> tuple[float, float]:
    """Seconds until the backup is proven, and those of the rehearsal on the restored copy."""
    began = time.monotonic()
    taken = backup.take(target, folder / "ours")
    scratch = create_scratch(target, SCRATCH)
    try:
        if not (proof := backup.prove(taken, scratch)).is_valid:
            raise SystemExit(f"the proof failed: {proof.content.message}")
        proven = time.monotonic() - began
        outcome = rehearsal.rehearse(
            scratch,
            steps,
            taken.fingerprint,
            settings.environment("development"),
            run="bench",
            who="bench",
        )
        if outcome.problems:
            raise SystemExit(f"the rehearsal failed: {'; '.join(outcome.problems)}")
        return proven, time.monotonic() - began - proven
    finally:
        drop_scratch(target, SCRATCH)
        shutil.rmtree(folder / "ours")


@click.command()
@click.option("--target", "name", default="", help="as for mantis-runbook; the sandbox by default")
@click.option("--scale", default=1.0, show_default=True, help="amount of data")
def main(name: str, scale: float) -> None:
    """Print seconds and ratio, phase by phase, each on the database that the phases before it
    left.
    """
    folder = Path(tempfile.mkdtemp(prefix="mantis-bench-"))
    try:
        with prepared(resolve(name), scale) as place:
            for phase in ("1", "2", "3", "4"):
                steps = migration_files.order_for(migration_files.load(), phase)
                alone = timed(plain, place, folder)
                proven, rehearsed = ours(place, folder, steps)
                click.echo(
                    f"phase {phase}: plain dump and restore {alone:6.1f} s   backup and proof"
                    f" {proven:6.1f} s   rehearsal {rehearsed:6.1f} s   ratio"
                    f" {(proven + rehearsed) / alone:5.2f}   (aim {AIM:g})"
                )
                ways.engine(place, steps)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
