"""Load: the strategy's pgbench scenarios, at a fixed rate, for as long as a run lasts."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from mantis_runbook import settings
from mantis_runbook.errors import TargetError
from mantis_runbook.postgres import commands
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs.load_figures import LoadResult, together

__all__ = ["Load", "program", "running", "scenarios"]

#: A load is a chain of pgbench runs of so many seconds (the strategy's `-P 30`): each tells its
#: figures at its end, and the next one plays what scenarios there are by then.
SPELL_S = 30

PROCESSED = re.compile(r"number of transactions actually processed: (\d+)")
FAILED = re.compile(r"number of failed transactions: (\d+)")
SKIPPED = re.compile(r"number of transactions skipped: (\d+)")
LATENCY = re.compile(r"latency average = ([\d.]+) ms")
ERROR = re.compile(r"(?:ERROR|FATAL|PANIC):\s+(.*)")

#: A client that met an error which no retry cures makes no more transactions, and is not among
#: pgbench's failed ones.
ABORTED = re.compile(r"client \d+ (?:script \d+ )?(aborted.*)")

#: What follows from a statement that could not be prepared, and says nothing of its cause.
UNPREPARED = re.compile(r'prepared statement "P\d*_\d+" does not exist')

#: Seconds before the next spell after one that met errors: it may end as soon as it began.
AFTER_ERRORS_S = 1.0


@dataclass
class Load:
    """A load that is running; its figures grow spell by spell.

    `least_s` is how long it is to last, if the work is shorter.
    """

    spells: list[LoadResult] = field(default_factory=list)
    least_s: float = 0.0

    @property
    def result(self) -> LoadResult:
        """All spells so far together."""
        return together(self.spells)


def scenarios(folder: str = "workload") -> tuple[Path, ...]:
    """The pgbench scripts of the project, in name order."""
    return tuple(sorted((settings.sql() / folder).glob("*.sql")))


def program(target: Target) -> str:
    """The pgbench for that target. Raises `ProgramMissing` when there is none."""
    return commands.command("pgbench", target).arguments[0]


@contextmanager
def running(
    target: Target,
    *,
    clients: int,
    rate: float,
    scripts: Callable[[], Sequence[Path]],
    threads: int = 2,
    seed: int = 2026,
    may_begin: Callable[[], bool] = lambda: True,
    told: Callable[[LoadResult], object] = lambda result: None,
) -> Iterator[Load]:
    """Keep the load up while the block lasts.

    `rate` is in transactions per second, over all clients; 0 means none.

    It writes, so it waits until it `may_begin`: a target that is refused is not touched. Each spell
    plays what `scripts` names by then, nothing when it names none, and is `told` of, in the load's
    own thread. A block that sets the load's `least_s` is waited out at its end; one that raises
    ends the load at once. What a callable raises ends the load too, and is raised when the block
    has come to its end.
    """
    load = Load()
    if not clients or not rate:
        yield load
        return
    program(target)  # who has none hears it here
    chain = _Chain(
        target, ("--client", clients, "--jobs", min(clients, threads), "--rate", rate), seed
    )
    thread = threading.Thread(
        target=chain.keep_up, args=(load, scripts, may_begin, told), daemon=True
    )
    thread.start()
    try:
        yield load
        chain.over.wait(max(0.0, load.least_s - chain.lasted_s))
    finally:
        chain.end()
        thread.join()
    if chain.error:
        raise chain.error


@dataclass
class _Chain:
    """pgbench, one spell after the other, until it is over."""

    target: Target
    options: Sequence[object]
    seed: int
    over: threading.Event = field(default_factory=threading.Event)
    process: subprocess.Popen[str] | None = None
    began: float | None = None
    error: Exception | None = None

    @property
    def lasted_s(self) -> float:
        """How long there has been load; endless where it never began, so that nobody waits for
        it.
        """
        return time.monotonic() - self.began if self.began is not None else float("inf")

    def keep_up(
        self,
        load: Load,
        scripts: Callable[[], Sequence[Path]],
        may_begin: Callable[[], bool],
        told: Callable[[LoadResult], object],
    ) -> None:
        try:
            while not may_begin():
                if self.over.wait(0.2):
                    return
            while not self.over.is_set():
                if not (
                    played := scripts()
                ):  # without a script pgbench would play its own, on tables of its own
                    self.over.wait(AFTER_ERRORS_S)
                    continue
                self.began = self.began or time.monotonic()
                result = self._spell(played, self.seed + len(load.spells))
                load.spells.append(result)
                told(result)
                if result.errors:
                    self.over.wait(AFTER_ERRORS_S)
        except Exception as error:
            # Raised by whoever waits for the load: in this thread nobody would hear of it.
            self.error = error
        finally:
            self.over.set()

    def end(self) -> None:
        """pgbench ends as if its time were up, by the alarm it sets itself for that, and tells its
        figures.
        """
        self.over.set()
        if self.process is not None:
            self.process.send_signal(signal.SIGALRM)

    def _spell(self, scripts: Sequence[Path], seed: int) -> LoadResult:
        options = [
            "--no-vacuum",
            f"--time={SPELL_S}",
            "--latency-limit=10000",
            "--protocol=prepared",
            "--max-tries=10",
            f"--random-seed={seed}",
            *map(str, self.options),
            *(f"--file={one}" for one in scripts),
        ]
        try:
            pgbench = commands.command("pgbench", self.target, *options)
        except (TargetError, psycopg.Error) as error:
            # Nobody answers: as bad for the application, and no end of the load.
            return LoadResult(0, 1, 0, 0.0, (str(error),))
        self.process = pgbench.start(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.over.is_set():  # it was set before there was a process to tell
            self.process.send_signal(signal.SIGALRM)
        text = "".join(self.process.communicate())
        if self.process.returncode == -signal.SIGALRM:  # before pgbench had begun
            return LoadResult(0, 0, 0, 0.0)
        if self.process.returncode != 0 and not PROCESSED.search(text):
            return LoadResult(0, 1, 0, 0.0, _errors(text) or (text.strip()[-300:],))
        return LoadResult(
            _number(PROCESSED, text),
            _number(FAILED, text) + len(ABORTED.findall(text)),
            _number(SKIPPED, text),
            float((LATENCY.search(text) or [0, 0])[1]),
            _errors(text),
        )


def _errors(text: str) -> tuple[str, ...]:
    """Each error once; where the server said none, how the client ended."""
    errors = [error for error in ERROR.findall(text) if not UNPREPARED.fullmatch(error)]
    return tuple(dict.fromkeys(errors or ABORTED.findall(text)))


def _number(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.search(text)
    return int(match[1]) if match else 0
