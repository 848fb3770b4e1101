"""Backup with fingerprints and proof by restore, against plain pg_dump and pg_restore of the same
database.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mantis_runbook import sandbox
from mantis_runbook.backup import backup
from mantis_runbook.backup.scratch import create_scratch, drop_scratch
from mantis_runbook.postgres import commands, programs
from mantis_runbook.postgres.target import Target, resolve

ROUNDS = 3


def main() -> None:
    sandbox.start()
    target, folder = resolve(), Path(tempfile.mkdtemp(prefix="mantis-bench-"))
    try:
        rounds = [
            (timed(plain, target, folder), timed(_ours, target, folder)) for _ in range(ROUNDS)
        ]
    finally:
        shutil.rmtree(folder)
    for alone, ours in rounds:
        print(
            f"plain dump and restore   {alone:8.1f} s   backup and proof {ours:8.1f} s   ratio"
            f" {ours / alone:5.2f}   (aim 2.5)"
        )


def timed(work: Callable[[Target, Path], None], target: Target, folder: Path) -> float:
    """Seconds that the work took."""
    began = time.monotonic()
    work(target, folder)
    return time.monotonic() - began


def plain(target: Target, folder: Path) -> None:
    """What everybody does: pg_dump, and pg_restore into a database beside."""
    file, scratch = folder / "plain.backup", create_scratch(target, "mantis_scratch_bench")
    programs.run(commands.command("pg_dump", target, "--format=custom", f"--file={file}"))
    programs.run(commands.command("pg_restore", scratch, str(file)))
    drop_scratch(target, "mantis_scratch_bench")


def _ours(target: Target, folder: Path) -> None:
    taken = backup.take(target, folder / "ours")
    proof = backup.prove(taken, create_scratch(target, "mantis_scratch_bench"))
    if not proof.is_valid:
        raise SystemExit(f"the proof failed: {proof.content.message}")
    drop_scratch(target, "mantis_scratch_bench")
    shutil.rmtree(folder / "ours")


if __name__ == "__main__":
    main()
