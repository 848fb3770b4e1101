"""The guard: which figure reached its limit, and stopping the engine when one has."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self

import psycopg

from mantis_runbook.errors import GuardTripped, Refused, RunbookError
from mantis_runbook.postgres.connection import Connection, connect, query
from mantis_runbook.postgres.target import Target
from mantis_runbook.settings import Environment, GuardLimits
from mantis_runbook.watch.monitor import MEGABYTE, Reading
from mantis_runbook.watch.probe import Live

__all__ = ["Gauge", "Guard", "Trip", "gauge", "judge", "unwatched"]

#: Readings in a row over the limit before it counts: a standby falls behind for a moment, and
#: catches up.
IN_A_ROW = {"replication_lag_mb": 3}

#: Unit of each limit, and what it is called.
CALLED = {
    "longest_gap_ms": ("longest time without a success", " ms"),
    "errors": ("failed probes", ""),
    "deadlocks": ("deadlocks", ""),
    "blocked_sessions": ("sessions queueing behind the migration", ""),
    "blocked_for_s": ("longest wait behind the migration", " s"),
    "replication_lag_mb": ("replication lag", " MB"),
    "disk_left_mb": ("disk left", " MB"),
    "silence_s": ("time without a figure", " s"),
}

BY_PROBE = ("longest_gap_ms", "errors")

#: A watcher that says nothing for so long is no watcher: the guard trips rather than trusting in
#: it.
SILENCE_S = 30.0

POLL_S, AGAIN_S = 0.05, 0.1


@dataclass(frozen=True)
class Gauge:
    """The figures at one instant (UTC), in the units of the limits.

    None: not known, so not judged.
    """

    at: datetime
    longest_gap_ms: float | None = None
    errors: int | None = None
    deadlocks: int | None = None
    blocked_sessions: int | None = None
    blocked_for_s: float | None = None
    replication_lag_mb: float | None = None
    disk_left_mb: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class Trip:
    """A limit that was reached: which one, the figure, the limit, when (UTC), and what else is
    known.
    """

    limit: str
    figure: float
    allowed: float
    at: datetime
    detail: str = ""

    def __str__(self) -> str:
        name, unit = CALLED[self.limit]
        word = "below" if self.limit == "disk_left_mb" else "reached"
        detail = f" ({self.detail})" if self.detail else ""
        when = self.at.strftime("%H:%M:%S")
        return (
            f"{name} {_number(self.figure)}{unit} at {when} UTC{detail}, {word} the limit of"
            f" {_number(self.allowed)}{unit}"
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"at": self.at.isoformat(timespec="milliseconds")}


class Watched(Protocol):
    """The probe, as far as the guard needs it."""

    live: Live


def judge(now: Gauge, limits: GuardLimits, before: Sequence[Gauge] = ()) -> Trip | None:
    """The first limit that is reached, if any.

    `before` are the gauges of the same kind before it, oldest first. Pure.
    """
    for name, allowed in limits.model_dump().items():
        recent = [*before, now][-IN_A_ROW.get(name, 1) :]
        figure = getattr(now, name)
        if (
            allowed
            and len(recent) == IN_A_ROW.get(name, 1)
            and all(_reaches(name, one, allowed) for one in recent)
        ):
            return Trip(name, figure, allowed, now.at, now.detail)
    return None


def _reaches(name: str, gauge: Gauge, allowed: float) -> bool:
    figure: float | None = getattr(gauge, name)
    if figure is None:
        return False
    return figure <= allowed if name == "disk_left_mb" else figure >= allowed


def gauge(reading: Reading, *, patience_s: float) -> Gauge:
    """What a reading of the monitor says in the units of the limits. Pure.

    A session counts as queueing once it waited longer than `patience_s`: shorter waits are the
    engine's own tries for a lock, which give way by themselves.
    """
    queueing = [seconds for seconds in reading.behind_us if seconds > patience_s]
    return Gauge(
        reading.at.astimezone(UTC),
        deadlocks=reading.deadlocks,
        blocked_sessions=len(queueing),
        blocked_for_s=max(reading.behind_us, default=0.0),
        replication_lag_mb=(
            None if reading.unseen_standbys else (reading.lag_bytes or 0.0) / MEGABYTE
        ),
        disk_left_mb=reading.disk_left_mb,
        detail=str(reading.waits[0]) if queueing and reading.waits else "",
    )


def unwatched(limits: GuardLimits, reading: Reading | None, *, probed: bool) -> tuple[str, ...]:
    """Limits that are set and cannot be watched, each with its reason. Pure."""
    reasons = []
    if not probed:
        reasons += [f"{name}: no probe is running" for name in BY_PROBE if getattr(limits, name)]
    if reading is None:
        names = [
            name
            for name in GuardLimits.model_fields
            if name not in BY_PROBE and getattr(limits, name)
        ]
        return (*reasons, *(f"{name}: the monitor has no reading" for name in names))
    if limits.replication_lag_mb and reading.unseen_standbys:
        reasons.append(
            "replication_lag_mb: this role does not see the standbys; GRANT pg_read_all_stats TO it"
        )
    if limits.disk_left_mb and reading.disk_left_mb is None:
        reasons.append("disk_left_mb: no folder is watched")
    return tuple(reasons)


class Guard:
    """Watches a migration's figures while the block lasts; once a limit is reached, it stops the
    engine.

    `take` is for the monitor to subscribe, the probe's figures are looked at several times a
    second. The engine calls `stop` between statements, while it waits, and after a cancelled one:
    that raises `GuardTripped`, and nothing is cancelled after it, so that the roll back that
    follows is left alone. What to do then is the environment's policy, and not done here. `told`
    hears of the trip at once; it must return at once too.
    """

    def __init__(
        self,
        target: Target,
        environment: Environment,
        probe: Watched | None = None,
        *,
        told: Callable[[Trip], None] = lambda trip: None,
    ) -> None:
        self._target, self._limits, self._probe, self._told = target, environment.guard, probe, told
        self._patience_s = max(0.5, 2 * environment.lock_timeout_ms / 1000)
        self._before: deque[Gauge] = deque(maxlen=max(IN_A_ROW.values()))
        self._over, self._noticed, self._cancelling = (
            threading.Event(),
            threading.Event(),
            threading.Lock(),
        )
        self._tripping = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="guard", daemon=True)
        self._heard: float | None = None
        self.trip: Trip | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def require(self, reading: Reading | None) -> None:
        """Raise `Refused` when a limit is set that nobody can watch."""
        if reasons := unwatched(self._limits, reading, probed=self._probe is not None):
            raise Refused(
                "the guard cannot watch every limit of this environment",
                found="; ".join(reasons),
                expected="a figure for each limit",
                action="grant what is missing, or set the limit to 0 in environments.toml",
            )

    def take(self, reading: Reading) -> None:
        """A reading of the monitor."""
        self._heard = time.monotonic()
        now = gauge(reading, patience_s=self._patience_s)
        self._judge(now, tuple(self._before))
        self._before.append(now)

    def stop(self) -> None:
        """Raise `GuardTripped` if a limit was reached.

        The engine knows by then, so it is no longer cancelled.
        """
        if self.trip is None:
            return
        with self._cancelling:
            self._noticed.set()
        raise GuardTripped(
            "the guard stopped the migration",
            found=str(self.trip),
            expected="every figure within the limits of the environment",
            action=(
                "find the cause first; what was done so far is in the journal, and can be resumed"
                " or rolled back"
            ),
        )

    # -- the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        connection: Connection | None = None
        began = time.monotonic()
        while not self._over.wait(POLL_S if self.trip is None else AGAIN_S):
            # Opened at once and kept: when it is needed there may be no connection left to get.
            connection = self._connected(connection)
            if self.trip is None:
                self._look(began)
            elif not self._noticed.is_set() and connection is not None:
                self._cancel(connection)
        if connection is not None:
            connection.close()

    def _look(self, began: float) -> None:
        if self._probe is not None:
            live = self._probe.live
            self._judge(
                Gauge(
                    _now(),
                    longest_gap_ms=live.longest_gap_ms,
                    errors=live.error_count,
                    detail=live.lane,
                )
            )
            self._judge_silence("the probe", max(live.at, began))
        if self._heard is not None:
            self._judge_silence("the monitor", self._heard)

    def _judge(self, now: Gauge, before: Sequence[Gauge] = ()) -> None:
        if self.trip is None and (trip := judge(now, self._limits, before)):
            self._tripped(trip)

    def _judge_silence(self, who: str, heard: float) -> None:
        silence = time.monotonic() - heard
        if self.trip is None and silence > SILENCE_S:
            self._tripped(
                Trip("silence_s", round(silence, 1), SILENCE_S, _now(), f"{who} has nothing to say")
            )

    def _tripped(self, trip: Trip) -> None:
        """Probe and monitor are judged in threads of their own; the first of them has the word."""
        with self._tripping:
            if self.trip is not None:
                return
            self.trip = trip
        self._told(trip)

    def _connected(self, connection: Connection | None) -> Connection | None:
        if connection is not None and not connection.closed and not connection.broken:
            return connection
        with suppress(psycopg.Error, RunbookError):
            return connect(self._target, "guard", statement_timeout="5s")
        return None

    def _cancel(self, connection: Connection) -> None:
        """Once more, as long as the engine has not noticed: a statement may have begun after the
        last time.
        """
        with self._cancelling, suppress(psycopg.Error):
            if not self._noticed.is_set():
                connection.execute(query("guard/cancel"))


def _now() -> datetime:
    return datetime.now(UTC)


def _number(value: float) -> str:
    return f"{value:,.1f}".removesuffix(".0")
