"""The probe's own process: reads and writes at a fixed rate, each counted from its schedule.

Started by `probe`, which sends what is needed through stdin (never through arguments, which
everybody can read), one JSON object a line; the answers go the same way through stdout. The end of
stdin is the end of the probe, so none is left behind when its owner is killed.
"""

from __future__ import annotations

import csv
import json
import queue
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from mantis_runbook.errors import TargetError
from mantis_runbook.postgres.connection import Connection, connect
from mantis_runbook.postgres.target import Target
from mantis_runbook.watch.canary import Task, acknowledging, reading, writing
from mantis_runbook.watch.samples import (
    ACKNOWLEDGED,
    CACHED_PLAN,
    CLOCK,
    COLUMNS,
    END,
    MARK,
    OK,
    UNANSWERED,
    Sample,
)

__all__ = ["Order", "main"]

#: As an application's sessions: no lock timeout hides a stall, and policies filter as they do.
SESSION = {"lock_timeout": "0", "row_security": "on"}

UNREACHABLE, CUT_OFF = "08001", "08006"

#: Seconds: between two tries to connect, two writes to the file, two words to the owner; for the
#: lanes to begin and end.
RECONNECT_S, WRITE_S, TELL_S, BEGIN_S, END_S = 0.2, 0.05, 0.2, 5.0, 2.0


@dataclass(frozen=True)
class Order:
    """What to probe.

    The parameters may hold a secret, so an order is only ever sent through a pipe.
    """

    name: str
    target: str
    kind: str
    parameters: Mapping[str, str] = field(repr=False)
    tables: tuple[str, ...]
    acknowledge: bool
    rate_hz: float
    file: str

    def lanes(self) -> dict[str, Task]:
        """What each lane does, by its name."""
        tasks: dict[str, Task] = {}
        for table in self.tables:
            tasks[f"read {table}"] = reading(table)
            tasks[f"write {table}"] = writing(table)
        if self.acknowledge:
            tasks[ACKNOWLEDGED] = acknowledging(self.name)
        return tasks


# A lane
# --------------------------------------------------------------------------------------------------


class Lane(threading.Thread):
    """A connection of its own and a schedule: a stuck one is late for its next instants, and for
    nobody else's.
    """

    def __init__(
        self, name: str, task: Task, place: Target, clock: Clock, out: queue.SimpleQueue[Sample]
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._task, self._place, self._clock, self._out = task, place, clock, out
        self._connection: Connection | None = None
        self._is_prepared, self._tried_at = False, 0.0
        self.ready = threading.Event()
        self._number = 0

    def run(self) -> None:
        self._try(self._connected)
        self.ready.set()
        while self._clock.wait_for(self._number):
            outcome = self._try(self._once)
            if self._clock.given_up.is_set():
                return
            self._out.put(self._clock.sample(self.name, self._number, outcome))
            self._number += 1

    def cancel(self) -> None:
        """Have the server end what this lane is waiting for."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.cancel_safe(timeout=1.0)

    def unanswered(self) -> Iterator[Sample]:
        """What was scheduled, and has no answer when the probe ends."""
        for number in range(self._number, self._clock.scheduled):
            yield self._clock.sample(self.name, number, UNANSWERED)

    def _once(self) -> None:
        connection = self._connected()
        connection.execute(self._task(connection).execute(self._number))

    def _connected(self) -> Connection:
        """The lane's connection, with its statement prepared.

        Between two tries it fails at once, as a pool would.
        """
        if self._connection is None:
            if time.monotonic() - self._tried_at < RECONNECT_S:
                raise TargetError("not connected")
            self._tried_at = time.monotonic()
            self._connection, self._is_prepared = connect(self._place, "probe", **SESSION), False
            self._connection.prepare_threshold = None
        if not self._is_prepared:
            canary = self._task(self._connection)
            self._connection.execute("DEALLOCATE ALL")
            if canary.prepare is not None:
                self._connection.execute(canary.prepare)
            self._is_prepared = True
        return self._connection

    def _try(self, work: Callable[[], object]) -> str:
        """Do it, and say how it went.

        What the probe meets is a finding, never the probe's own end.
        """
        try:
            work()
            return OK
        except (psycopg.Error, TargetError) as error:
            self._is_prepared = False
            if self._connection is not None and (
                self._connection.closed or self._connection.broken
            ):
                self._connection = None
            return _kind(error)
        except Exception as error:
            self._is_prepared = False
            return type(error).__name__


def _kind(error: psycopg.Error | TargetError) -> str:
    if isinstance(error, TargetError):
        return UNREACHABLE
    if error.sqlstate == "0A000" and CACHED_PLAN in str(error):
        return CACHED_PLAN
    return error.sqlstate or CUT_OFF


class Clock:
    """The schedule that all lanes share: instants at a fixed rate, whatever became of the ones
    before.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1 / rate_hz
        self._ended: float | None = None
        self.origin = 0.0
        self.began, self.over, self.given_up = (
            threading.Event(),
            threading.Event(),
            threading.Event(),
        )

    def begin(self) -> None:
        self.origin = time.monotonic()
        self.began.set()

    def end(self, at: float) -> None:
        """No instant after this one.

        What was due before is still carried out, unless it is given up.
        """
        self._ended = at
        self.over.set()

    @property
    def scheduled(self) -> int:
        """How many instants there were until the end."""
        return int(((self._ended or time.monotonic()) - self.origin) / self._period_s) + 1

    def wait_for(self, number: int) -> bool:
        """Until that instant is due; false when it will never be."""
        self.began.wait()
        early = self._due(number) - time.monotonic()
        if early > 0 and self.over.wait(early):
            return False
        return not self.given_up.is_set() and (
            self._ended is None or self._due(number) <= self._ended
        )

    def sample(self, lane: str, number: int, outcome: str) -> Sample:
        due = self._due(number)
        return Sample(due - self.origin, lane, number, (time.monotonic() - due) * 1000, outcome)

    def _due(self, number: int) -> float:
        return self.origin + number * self._period_s


# The process
# --------------------------------------------------------------------------------------------------


class Standing:
    """What the owner is told while the probe runs, since the last mark."""

    def __init__(self, lanes: tuple[str, ...]) -> None:
        self._last = dict.fromkeys(lanes, 0.0)
        self._longest_ms, self._lane, self._samples, self._marks = 0.0, "", 0, 0
        self._errors = Counter[str]()

    def add(self, sample: Sample) -> None:
        self._samples += 1
        if sample.outcome == OK:
            self._stretch(sample.lane, sample.end_s)
            self._last[sample.lane] = sample.end_s
        else:
            self._errors[sample.outcome] += 1

    def _stretch(self, lane: str, until_s: float) -> None:
        gap = (until_s - self._last[lane]) * 1000
        if gap > self._longest_ms:
            self._longest_ms, self._lane = gap, lane

    def restart(self) -> None:
        """A mark was set. A gap that is open goes on, from where it began."""
        self._longest_ms, self._lane, self._samples = 0.0, "", 0
        self._errors.clear()
        self._marks += 1

    def told(self, now_s: float) -> dict[str, Any]:
        """A gap that is still open counts, as long as it is by now."""
        for lane in self._last:
            self._stretch(lane, now_s)
        return {
            "longest_gap_ms": round(self._longest_ms, 1),
            "lane": self._lane,
            "samples": self._samples,
            "errors": dict(self._errors),
            "marks": self._marks,
        }


class Process:
    """The lanes, the file they are written to, and the owner at the other end of the pipes."""

    def __init__(self, order: Order, words: queue.SimpleQueue[dict[str, Any]]) -> None:
        self._words, self._clock = words, Clock(order.rate_hz)
        self._out: queue.SimpleQueue[Sample] = queue.SimpleQueue()
        place = Target(order.target, order.kind, dict(order.parameters))
        tasks = order.lanes()
        self._lanes = [
            Lane(name, task, place, self._clock, self._out) for name, task in tasks.items()
        ]
        self._standing = Standing(tuple(tasks))
        self._file = Path(order.file).open("w", newline="")  # noqa: SIM115 (closed by `run`)
        self._writer = csv.writer(self._file)

    def run(self) -> None:
        with self._file:
            self._writer.writerow(COLUMNS)
            self._begin()
            ended = self._watch()
            self._end(ended)

    def _begin(self) -> None:
        for lane in self._lanes:
            lane.start()
        deadline = time.monotonic() + BEGIN_S
        for lane in self._lanes:
            lane.ready.wait(max(0.0, deadline - time.monotonic()))
        self._clock.begin()
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._write(Sample(0.0, CLOCK, 0, 0.0, now))
        self._file.flush()
        _tell({"ready": True})

    def _watch(self) -> float:
        """Write samples until the owner says stop, or is gone; returns when that was."""
        told_at = time.monotonic()
        while True:
            with suppress(queue.Empty):
                word = self._words.get(timeout=WRITE_S)
                if "mark" not in word:
                    return float(word.get("at", time.monotonic()))
                self._drain()
                self._write(Sample(word["at"] - self._clock.origin, MARK, 0, 0.0, word["mark"]))
                self._standing.restart()
            self._drain()
            if time.monotonic() - told_at > TELL_S:
                told_at = time.monotonic()
                _tell(self._standing.told(told_at - self._clock.origin))

    def _end(self, ended: float) -> None:
        self._clock.end(ended)
        self._join(END_S)
        stuck = [lane for lane in self._lanes if lane.is_alive()]
        self._clock.given_up.set()
        for lane in stuck:
            lane.cancel()
        self._join(0.5)
        self._drain()
        for sample in (sample for lane in stuck for sample in lane.unanswered()):
            self._write(sample)
        self._write(Sample(ended - self._clock.origin, END, 0, 0.0, ""))
        _tell({"ended": True})

    def _join(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for lane in self._lanes:
            lane.join(max(0.0, deadline - time.monotonic()))

    def _drain(self) -> None:
        with suppress(queue.Empty):
            while True:
                sample = self._out.get_nowait()
                self._standing.add(sample)
                self._write(sample)
        self._file.flush()

    def _write(self, sample: Sample) -> None:
        self._writer.writerow(
            (
                f"{sample.at_s:.4f}",
                sample.lane,
                sample.number,
                f"{sample.latency_ms:.3f}",
                sample.outcome,
            )
        )


def _tell(word: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):
        print(json.dumps(word), flush=True)


def _listen(words: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        words.put(json.loads(line))
    words.put({"stop": True})


def main() -> None:
    """Read the order from stdin, then probe until stdin ends."""
    order = json.loads(sys.stdin.readline())
    words: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(words,), daemon=True).start()
    Process(Order(**{**order, "tables": tuple(order["tables"])}), words).run()


def dumps(order: Order) -> str:
    """The order as it is sent."""
    return json.dumps(asdict(order)) + "\n"


if __name__ == "__main__":
    main()
