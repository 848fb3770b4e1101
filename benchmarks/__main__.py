"""The benchmarks, one after the other, on a sandbox of their own: `make bench`; `make bench-gate`
for the gate's trials.

    python -m benchmarks [PART …] [--rows 500000] [--scale 1.0] [--repeat 1] [--trials 20]

Parts: ready, backup, rehearsal, proofs, fingerprint, gaps, memory; and, only when they are named,
growth (from 1 to 20 times the data, a quarter of an hour) and trials (half an hour).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

PARTS = ("ready", "backup", "rehearsal", "proofs", "fingerprint", "gaps", "memory")
LONG = ("growth", "trials")


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS + LONG))
@click.option(
    "--rows", default=500_000, show_default=True, help="gaps: rows of each table of the change"
)
@click.option(
    "--scale",
    default=1.0,
    show_default=True,
    help="gaps, rehearsal, proofs: amount of data of the baseline",
)
@click.option("--repeat", default=1, show_default=True, help="gaps: measurements of each")
@click.option("--trials", default=20, show_default=True, help="trials: of each case")
def main(parts: tuple[str, ...], rows: int, scale: float, repeat: int, trials: int) -> None:
    """Print figures of this machine, each beside its aim. Nothing is asserted."""
    folder = Path(tempfile.mkdtemp(prefix="mantis-bench-"))
    os.environ |= {
        "MANTIS_RUNBOOK_SANDBOX": str(folder / "sandbox"),
        "MANTIS_RUNBOOK_REPORTS": str(folder / "reports"),
        "MANTIS_RUNBOOK_BACKUPS": str(folder / "backups"),
    }
    from benchmarks import (
        backup,
        fingerprint,
        gaps,
        growth,
        memory,
        performance_trials,
        proofs,
        ready,
        rehearsal,
    )
    from mantis_runbook import sandbox

    work: dict[str, Callable[[], object]] = {
        "ready": ready.main,
        "backup": backup.main,
        "rehearsal": lambda: rehearsal.main([f"--scale={scale}"], standalone_mode=False),
        "proofs": lambda: proofs.main([f"--scale={scale}"], standalone_mode=False),
        "fingerprint": lambda: fingerprint.main([], standalone_mode=False),
        "gaps": lambda: gaps.main(
            [f"--rows={rows}", f"--scale={scale}", f"--repeat={repeat}"], standalone_mode=False
        ),
        "memory": memory.main,
        "growth": growth.main,
        "trials": lambda: performance_trials.main([f"--trials={trials}"], standalone_mode=False),
    }
    try:
        if "ready" not in (parts or PARTS):
            sandbox.start(scale=scale if "backup" in parts else 0.001)
        for part in parts or PARTS:
            load = " ".join(f"{average:.1f}" for average in os.getloadavg())
            click.secho(f"\n{part} (load of the machine {load}, {os.cpu_count()} cores)", bold=True)
            work[part]()
    finally:
        sandbox.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
