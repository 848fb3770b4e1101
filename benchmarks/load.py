"""A pgbench load at a fixed rate whose figures are told second by second, and how much a server can
take.
"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mantis_runbook.postgres import commands
from mantis_runbook.postgres.target import Target

CLIENTS = 4

PROGRESS = re.compile(r"progress: [\d.]+ s, ([\d.]+) tps, .*? (\d+) failed(?:.* (\d+) skipped)?")
TPS = re.compile(r"tps = ([\d.]+)")


@dataclass(frozen=True)
class Scenario:
    """pgbench scripts, and the variables they are given."""

    scripts: Sequence[Path]
    variables: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        defined = [f"--define={variable}" for variable in self.variables]
        return [
            "--no-vacuum",
            f"--client={CLIENTS}",
            "--jobs=2",
            "--protocol=prepared",
            "--max-tries=10",
            "--random-seed=2026",
            *defined,
            *(f"--file={script}" for script in self.scripts),
        ]


@dataclass
class Load:
    """What a load did: each second's transactions a second, by the monotonic instant the second
    ended.

    The arrivals are drawn from one seed: second for second they are the same in every load of the
    same scenario and rate.
    """

    seconds: list[tuple[float, float]] = field(default_factory=list)
    failed: int = 0
    skipped: int = 0
    aborted: list[str] = field(default_factory=list)

    def kept(self, begin: float, end: float, undisturbed: Load) -> float:
        """Transactions done between two instants, as a share of those that an undisturbed load did
        in the same seconds of its life. A second counts where most of it lies between them.
        """
        places = [
            place
            for place, (ended, _) in enumerate(self.seconds[: len(undisturbed.seconds)])
            if begin + 0.5 <= ended <= end + 0.5
        ]
        usual = sum(undisturbed.seconds[place][1] for place in places)
        return sum(self.seconds[place][1] for place in places) / usual if usual else 0.0


def capacity(target: Target, scenario: Scenario, seconds: int) -> float:
    """Transactions a second that the server does when it is given as many as it takes."""
    pgbench = commands.command("pgbench", target, *scenario.arguments, f"--time={seconds}")
    done = subprocess.run(
        pgbench.arguments, env=pgbench.environment, capture_output=True, text=True
    )
    match = TPS.search(done.stdout)
    if done.returncode != 0 or match is None:
        raise SystemExit(f"pgbench failed: {done.stderr.strip()[-500:]}")
    return float(match[1])


@contextmanager
def loaded(target: Target, scenario: Scenario, rate: float) -> Iterator[Load]:
    """That rate (transactions a second) while the block lasts.

    What is more than 10 s late is skipped.
    """
    load = Load()
    paced = [f"--rate={rate:.1f}", "--latency-limit=10000", "--time=3600", "--progress=1"]
    pgbench = commands.command("pgbench", target, *scenario.arguments, *paced)
    process = pgbench.start(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    listener = threading.Thread(target=_listen, args=(process, load), daemon=True)
    listener.start()
    try:
        yield load
    finally:
        process.terminate()
        process.wait()
        listener.join()


def _listen(process: subprocess.Popen[str], load: Load) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if second := PROGRESS.search(line):
            load.seconds.append((time.monotonic(), float(second[1])))
            load.failed += int(second[2])
            load.skipped += int(second[3] or 0)
        elif "aborted" in line:
            load.aborted.append(line.strip())
