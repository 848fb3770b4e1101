"""Both proofs of a rehearsal, before and after each phase together, against the one full proof that
there was before.

    python -m benchmarks.proofs [--target NAME] [--scale 1.0] [--rounds 5] [--base COMMIT]

The earlier code is checked out into a worktree of its own and runs in a process of its own, on the
same databases, turn and turn about. Works in databases of its own; needs the repository's history.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import click

from benchmarks import ways
from benchmarks.performance_trials import database
from benchmarks.rehearsal import prepared
from mantis_runbook import settings
from mantis_runbook.checks import learnt_statements, promises
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.target import Target, resolve

#: The last commit that proved both promises once, after the migration.
BASE = "17768f6"

AIM = 1.2

EARLIER = """
import json, sys, time
from mantis_runbook.checks import promises
from mantis_runbook.postgres.target import Target
for line in sys.stdin:
    place = Target("base", "variable", json.loads(line))
    began = time.monotonic()
    proof = promises.kept(place)
    print(json.dumps([time.monotonic() - began, proof.problems]), flush=True)
"""


@contextmanager
def earlier(base: str) -> Iterator[Callable[[Target], float]]:
    """The full proof as that commit makes it: seconds on a database."""
    home = settings.home()
    with tempfile.TemporaryDirectory(prefix="mantis-base-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run(
            ["git", "worktree", "add", "--detach", "--quiet", tree, base], cwd=home, check=True
        )
        environment = os.environ | {"PYTHONPATH": str(tree), "MANTIS_RUNBOOK_HOME": str(tree)}
        process = subprocess.Popen(
            [sys.executable, "-c", EARLIER],
            cwd=tree,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None

        def proof(place: Target) -> float:
            print(json.dumps(place.parameters), file=process.stdin, flush=True)
            seconds, problems = json.loads(process.stdout.readline())  # type: ignore[union-attr]
            if problems:
                raise SystemExit(f"the earlier proof failed: {'; '.join(problems)}")
            return float(seconds)

        try:
            yield proof
        finally:
            process.stdin.close()
            process.wait()
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=home, check=True)


def pair(copy: Target, migrated: Target) -> tuple[float, float]:
    """Seconds of the proof before and of the one after."""
    began = time.monotonic()
    with connect(copy, "benchmark") as connection:
        was = promises.before(copy, learnt_statements.statements(connection))
    between = time.monotonic()
    proof = promises.kept(migrated, was)
    if proof.problems:
        raise SystemExit(f"the proof failed: {'; '.join(proof.problems)}")
    return between - began, time.monotonic() - between


@click.command()
@click.option("--target", "name", default="", help="as for mantis-runbook; the sandbox by default")
@click.option("--scale", default=1.0, show_default=True, help="amount of data")
@click.option("--rounds", default=5, show_default=True, help="times that each is measured")
@click.option("--base", default=BASE, show_default=True, help="commit whose proof is the measure")
def main(name: str, scale: float, rounds: int, base: str) -> None:
    """Print seconds and ratio, phase by phase; the median of the rounds' ratios decides."""
    server = resolve(name)
    with prepared(server, scale) as place, earlier(base) as proof:
        for phase in ("1", "2", "3", "4"):
            with database(server, "mantis_bench_proofs", place.parameters["dbname"]) as copy:
                ways.engine(place, migration_files.order_for(migration_files.load(), phase))
                once, before, after, ratios = [], [], [], []
                for _ in range(rounds):
                    once.append(proof(place))
                    first, second = pair(copy, place)
                    before.append(first)
                    after.append(second)
                    ratios.append((first + second) / once[-1])
            click.echo(
                f"phase {phase}: one proof of {base} {median(once):5.2f} s   now before"
                f" {median(before):5.2f} s and after {median(after):5.2f} s   ratio"
                f" {median(ratios):4.2f}   (aim {AIM:g})"
            )


if __name__ == "__main__":
    main()
