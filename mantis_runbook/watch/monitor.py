"""The monitor: the strategy's figures and who waits for whom, once a second."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import psycopg

from mantis_runbook.errors import RunbookError
from mantis_runbook.postgres.connection import Connection, connect, query, rows
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs.journal import plain

__all__ = ["FILE", "MEGABYTE", "Monitor", "MonitorResult", "Reading", "Wait", "behind_us"]

FILE = "monitor.jsonl"

MEGABYTE = 2**20

#: Sessions of the runbook's own begin like this; the probe's wait in place of the application's.
OURS = "mantis-runbook/"

#: More waits than this are counted in a reading, and not listed.
LISTED = 50

#: Records that are shown, at most: a long run is thinned.
SHOWN = 600

BLIND = (
    "this role does not see other roles' sessions: active and waiting sessions and query times"
    " cover its own only; GRANT pg_read_all_stats TO it (locks, blockers and deadlocks are complete"
    " all the same)"
)
NO_FUNCTION = (
    "monitor_migration_performance() is not there, or may not be called: its figures are read"
    " directly"
)


@dataclass(frozen=True)
class Wait:
    """A session that waits for a lock, and one of those it waits for.

    Of commands the first word only.
    """

    pid: int
    application: str | None
    command: str | None
    waiting_s: float
    waits_for: str
    mode: str
    blocked_by: int
    blocker: str | None
    blocker_state: str | None
    blocker_command: str | None

    @property
    def is_ours(self) -> bool:
        return (self.application or "").startswith(OURS)

    def __str__(self) -> str:
        doing = ", ".join(filter(None, (self.blocker_state, self.blocker_command)))
        return (
            f"pid {self.pid} ({self.application or 'unnamed'}) waits {self.waiting_s:.1f} s for"
            f" {self.waits_for}, held by pid {self.blocked_by}"
            f" ({self.blocker or 'unnamed'}{', ' + doing if doing else ''})"
        )


@dataclass(frozen=True)
class Reading:
    """One sample.

    None: not known to this role, or not there (a standby, a second reading to take a rate from).

    `waiting_queries` are all sessions that wait for a lock, `behind_us` those of the application
    that wait for the runbook, at first or second hand, with the seconds each has waited;
    `deadlocks` counts since the monitor began.
    """

    at: datetime
    active_connections: int
    waiting_queries: int
    avg_query_ms: float
    cache_hit_ratio: float | None
    disk_usage_gb: float
    deadlocks: int = 0
    behind_us: tuple[float, ...] = ()
    waits: tuple[Wait, ...] = ()
    lag_bytes: float | None = None
    lag_s: float | None = None
    unseen_standbys: int = 0
    wal_bytes_per_s: float | None = None
    disk_left_mb: float | None = None

    def __str__(self) -> str:
        parts = [
            f"{self.active_connections} sessions active",
            f"{self.waiting_queries} waiting ({len(self.behind_us)} of them for us)",
            f"{self.avg_query_ms:,.1f} ms an average query",
        ]
        if self.cache_hit_ratio is not None:
            parts.append(f"{self.cache_hit_ratio:.1f} % cache hits")
        if self.wal_bytes_per_s is not None:
            parts.append(f"{self.wal_bytes_per_s / MEGABYTE:,.1f} MB/s of log")
        if self.lag_bytes is not None:
            parts.append(f"standby {self.lag_bytes / MEGABYTE:,.1f} MB behind")
        return ", ".join([*parts, *map(str, self.waits[:3])])

    @property
    def record(self) -> dict[str, Any]:
        """The figures on one line, as charts and tables show them."""
        return {
            "at": self.at.isoformat(timespec="milliseconds"),
            "active_connections": self.active_connections,
            "waiting_queries": self.waiting_queries,
            "avg_query_ms": round(self.avg_query_ms, 1),
            "cache_hit_ratio": (
                round(self.cache_hit_ratio, 2) if self.cache_hit_ratio is not None else None
            ),
            "disk_usage_gb": round(self.disk_usage_gb, 3),
            "behind_us": len(self.behind_us),
            "behind_us_s": round(max(self.behind_us, default=0.0), 2),
            "deadlocks": self.deadlocks,
            "lag_bytes": self.lag_bytes,
            "lag_s": self.lag_s,
            "wal_bytes_per_s": (
                round(self.wal_bytes_per_s) if self.wal_bytes_per_s is not None else None
            ),
            "disk_left_mb": round(self.disk_left_mb) if self.disk_left_mb is not None else None,
        }


@dataclass(frozen=True)
class MonitorResult:
    """What the monitor saw: peaks over all readings, and where the readings are.

    `notes` say what it could not see.
    """

    file: Path
    readings: int
    peaks: Mapping[str, Any]
    notes: tuple[str, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The readings for a chart or a table, thinned to the worst of each stretch when there are
        many.
        """
        return _thinned(_records(self.file), -(-self.readings // SHOWN))

    @property
    def frame(self) -> Any:
        """All readings as a pandas frame, as `charts.monitoring` takes it."""
        import pandas as pd

        frame = pd.DataFrame(
            [
                {key: value for key, value in one.items() if key != "waits"}
                for one in _records(self.file)
            ]
        )
        if "at" in frame:
            frame["at"] = pd.to_datetime(frame["at"])
        return frame

    def as_dict(self) -> dict[str, Any]:
        return {
            "file": self.file.name,
            "readings": self.readings,
            "peaks": dict(self.peaks),
            "notes": list(self.notes),
        }


def behind_us(waits: Iterable[Wait]) -> dict[int, float]:
    """Sessions of others that wait for one of ours, directly or through others: pid and seconds
    waited. Pure.
    """
    waits = tuple(waits)
    reached = {one.blocked_by for one in waits if (one.blocker or "").startswith(OURS)}
    while more := {one.pid for one in waits if one.blocked_by in reached} - reached:
        reached |= more
    return {one.pid: one.waiting_s for one in waits if one.pid in reached and not one.is_ours}


class Monitor:
    """Samples a target while the block lasts, in a thread and on a connection of its own.

    Each reading is written to `file` of `folder` and handed to the subscribers. `disk` is a folder
    whose free space is watched. A server that does not answer for a while is noted, and asked
    again.
    """

    def __init__(
        self,
        target: Target,
        folder: Path,
        *,
        interval_s: float = 1.0,
        disk: Path | None = None,
        subscribers: Sequence[Callable[[Reading], None]] = (),
        file: str = FILE,
    ) -> None:
        self._target, self._path, self._interval_s, self._disk = (
            target,
            Path(folder) / file,
            interval_s,
            disk,
        )
        self._subscribers = list(subscribers)
        self._over, self._first = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
        self._counted = _Counters()
        self._notes: dict[str, None] = {}
        self._peaks: dict[str, Any] = {}
        self._figures = "monitoring/figures"
        self.latest: Reading | None = None
        self._readings = 0

    def subscribe(self, subscriber: Callable[[Reading], None]) -> None:
        """Hand it every reading from now on, in the monitor's thread."""
        self._subscribers.append(subscriber)

    def __enter__(self) -> Self:
        self._thread.start()
        self._first.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def result(self) -> MonitorResult:
        """What was seen so far."""
        return MonitorResult(self._path, self._readings, dict(self._peaks), tuple(self._notes))

    # -- the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        with self._path.open("w") as file:
            while not self._over.is_set():
                try:
                    with connect(
                        self._target, "monitor", statement_timeout="5s", row_security="on"
                    ) as connection:
                        self._watch(connection, file)
                except (psycopg.Error, RunbookError) as error:
                    self._note(f"the monitor could not read for a while: {_first_line(error)}")
                    self._first.set()
                    self._over.wait(self._interval_s)

    def _watch(self, connection: Connection, file: TextIO) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            self._take(self._read(connection), file)
            # What is late is left out: a sample says how it is now.
            due = max(due + self._interval_s, time.monotonic())
            self._over.wait(due - time.monotonic())

    def _read(self, connection: Connection) -> Reading:
        figures = self._strategys(connection)
        counters = rows(connection, query("monitoring/counters"))[0]
        waits = tuple(Wait(**row) for row in rows(connection, query("monitoring/waiting")))
        if not counters["sees_all"]:
            self._note(BLIND)
        return Reading(
            **figures,
            deadlocks=self._counted.deadlocks(counters["deadlocks"]),
            behind_us=tuple(behind_us(waits).values()),
            waits=waits[:LISTED],
            lag_bytes=counters["lag_bytes"],
            lag_s=counters["lag_s"],
            unseen_standbys=counters["unseen"],
            wal_bytes_per_s=self._counted.wal_rate(counters["wal_bytes"], time.monotonic()),
            disk_left_mb=_free(self._disk),
        )

    def _strategys(self, connection: Connection) -> dict[str, Any]:
        try:
            return rows(connection, query(self._figures))[0]
        except (psycopg.errors.InsufficientPrivilege, psycopg.ProgrammingError):
            if self._figures == "monitoring/sample":
                raise
        self._figures = "monitoring/sample"
        self._note(NO_FUNCTION)
        return rows(connection, query(self._figures))[0]

    def _take(self, reading: Reading, file: TextIO) -> None:
        self.latest = reading
        self._readings += 1
        file.write(
            json.dumps(plain(reading.record | {"waits": [str(one) for one in reading.waits]}))
            + "\n"
        )
        file.flush()
        self._raise_peaks(reading.record)
        for subscriber in self._subscribers:
            try:
                subscriber(reading)
            except Exception as error:  # one that listens must not end the watch
                self._note(f"a listener of the monitor failed: {type(error).__name__}")
        self._first.set()

    def _raise_peaks(self, record: Mapping[str, Any]) -> None:
        worst: dict[str, Callable[[Any, Any], Any]] = {"cache_hit_ratio": min, "disk_left_mb": min}
        for name, value in record.items():
            if name != "at" and value is not None:
                self._peaks[name] = worst.get(name, max)(self._peaks.get(name, value), value)

    def _note(self, text: str) -> None:
        self._notes[text] = None


class _Counters:
    """Differences since the first reading, from counters that a crash or a reset sets back."""

    def __init__(self) -> None:
        self._deadlocks: tuple[int, int] | None = None
        self._wal: tuple[float, float] | None = None

    def deadlocks(self, value: int) -> int:
        last, total = self._deadlocks or (value, 0)
        total += value - last if value >= last else value
        self._deadlocks = (value, total)
        return total

    def wal_rate(self, value: float | None, now: float) -> float | None:
        before, self._wal = self._wal, (value, now) if value is not None else None
        if before is None or value is None or now <= before[1]:
            return None
        return max(0.0, (value - before[0]) / (now - before[1]))


def _free(folder: Path | None) -> float | None:
    """Free space there, or where it will be made, in MiB."""
    while folder is not None and not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with suppress(OSError):
        return shutil.disk_usage(folder).free / MEGABYTE if folder is not None else None
    return None


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """The readings of a file; a line that was cut off ends it."""
    with path.open() as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                return


def _thinned(records: Iterable[dict[str, Any]], stretch: int) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for number, record in enumerate(records):
        if number % max(stretch, 1) == 0:
            kept.append(record)
        elif (record["waiting_queries"], record["avg_query_ms"]) > (
            kept[-1]["waiting_queries"],
            kept[-1]["avg_query_ms"],
        ):
            kept[-1] = record
    return kept


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
