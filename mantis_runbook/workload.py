"""Load: the strategy's pgbench scenarios, at a fixed rate, for as long as a migration runs."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mantis_runbook import programs, settings
from mantis_runbook.database import connect, identity
from mantis_runbook.target import Target

__all__ = ["Load", "LoadResult", "program", "running", "scenarios"]

#: pgbench tells its figures at its end only, so a load is a chain of short runs.
SPELL_S = 5

PROCESSED = re.compile(r"number of transactions actually processed: (\d+)")
FAILED = re.compile(r"number of failed transactions: (\d+)")
SKIPPED = re.compile(r"number of transactions skipped: (\d+)")
LATENCY = re.compile(r"latency average = ([\d.]+) ms")
ERROR = re.compile(r"(?:ERROR|FATAL|PANIC):\s+(.*)")


@dataclass(frozen=True)
class LoadResult:
    """What a load did. Skipped transactions were due and could not be begun in time: they count as failures."""

    processed: int
    failed: int
    skipped: int
    latency_ms: float
    errors: tuple[str, ...] = ()


@dataclass
class Load:
    """A load that is running; its figures grow spell by spell."""

    spells: list[LoadResult] = field(default_factory=list)

    @property
    def result(self) -> LoadResult:
        """All spells so far together; the latency is the mean over transactions."""
        processed = sum(spell.processed for spell in self.spells)
        weighted = sum(spell.latency_ms * spell.processed for spell in self.spells)
        errors = tuple(dict.fromkeys(error for spell in self.spells for error in spell.errors))
        return LoadResult(
            processed,
            sum(spell.failed for spell in self.spells),
            sum(spell.skipped for spell in self.spells),
            round(weighted / processed, 2) if processed else 0.0,
            errors,
        )


def scenarios(folder: str = "workload") -> tuple[Path, ...]:
    """The pgbench scripts of the project, in name order."""
    return tuple(sorted((settings.sql() / folder).glob("*.sql")))


def program(target: Target) -> Path:
    """The pgbench for that target. Raises `ProgramMissing` when there is none."""
    with connect(target, "load") as connection:
        return programs.find("pgbench", server=identity(connection).major)


@contextmanager
def running(
    target: Target,
    *,
    clients: int,
    rate: float,
    scripts: Sequence[Path],
    seed: int = 2026,
    may_begin: Callable[[], bool] = lambda: True,
) -> Iterator[Load]:
    """Keep the load up while the block lasts. `rate` is in transactions per second, over all clients; 0 means none.

    It writes, so it waits until it `may_begin`: a target that is refused is not touched.
    """
    load, over = Load(), threading.Event()
    if not clients or not rate or not scripts:
        yield load
        return
    pgbench = program(target)

    def keep_up() -> None:
        while not may_begin():
            if over.wait(0.2):
                return
        spell = 0
        while not over.is_set():
            load.spells.append(_spell(pgbench, target, clients, rate, scripts, seed + spell))
            spell += 1

    thread = threading.Thread(target=keep_up, daemon=True)
    thread.start()
    try:
        yield load
    finally:
        over.set()
        thread.join()


def _spell(pgbench: Path, target: Target, clients: int, rate: float, scripts: Sequence[Path], seed: int) -> LoadResult:
    arguments = [
        "--no-vacuum",
        f"--client={clients}",
        f"--jobs={min(clients, 2)}",
        f"--time={SPELL_S}",
        f"--rate={rate}",
        "--latency-limit=10000",
        "--protocol=prepared",
        f"--random-seed={seed}",
        "--max-tries=10",
        *(f"--file={script}" for script in scripts),
    ]
    done = subprocess.run([pgbench, *arguments], env=target.variables(), capture_output=True, text=True)
    text = done.stdout + done.stderr
    if done.returncode != 0 and not PROCESSED.search(text):
        return LoadResult(0, 1, 0, 0.0, tuple(ERROR.findall(text)) or (text.strip()[-300:],))
    return LoadResult(
        _number(PROCESSED, text),
        _number(FAILED, text),
        _number(SKIPPED, text),
        float((LATENCY.search(text) or [0, 0])[1]),
        tuple(ERROR.findall(text)),
    )


def _number(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.search(text)
    return int(match[1]) if match else 0
