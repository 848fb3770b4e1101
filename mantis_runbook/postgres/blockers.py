"""Who is in the way: the sessions that make one of ours wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from mantis_runbook.errors import Refused, RunbookError
from mantis_runbook.postgres.connection import Connection, connect, query, rows
from mantis_runbook.postgres.target import Target

__all__ = ["naming", "of_readers", "refusing"]

#: Between two looks; shorter than any lock timeout, so that each wait is seen.
LOOK_S = 0.02

#: How long the work waits at most for the session that looks on, in seconds.
READY_S = 2.0

#: Every so many looks the progress of an index build is told.
TELL_EVERY = 10

#: Who holds a statement up is said once it was held up for so long without a break, and again after
#: so long.
HELD_S, AGAIN_S = 1.0, 10.0


@contextmanager
def naming(
    target: Target,
    waiting: Connection,
    into: dict[int, str] | None = None,
    *,
    tell: Callable[[int, int], None] = lambda done, total: None,
    held: Callable[[Sequence[str]], None] = lambda named: None,
    keep: bool = True,
) -> Iterator[dict[int, str]]:
    """While the block runs, note by pid who makes `waiting` wait, and `tell` rows done and rows in
    all of an index build.

    All who did are kept, of many short tries; without `keep` it is those of the last wait, as long
    as it is no second ago. `held` hears who holds it up once that lasts a second, whenever somebody
    else does, and again every ten seconds. Both are called in another thread. A courtesy: without a
    session for it, nobody is named.
    """
    blockers = {} if into is None else into
    lookout = _Lookout(target, waiting.info.backend_pid, blockers, keep, tell, _Held(held))
    lookout.start()
    # A try for a lock would be over before a busy machine has opened the session.
    lookout.ready.wait(READY_S)
    try:
        yield blockers
    finally:
        lookout.over.set()
        lookout.join()


class _Lookout(threading.Thread):
    """Looks on in a session of its own until `over`; `ready` once it looks, or never will."""

    def __init__(
        self,
        target: Target,
        pid: int,
        blockers: dict[int, str],
        keep: bool,  # noqa: FBT001
        tell: Callable[[int, int], None],
        held: _Held,
    ) -> None:
        super().__init__(name="blockers", daemon=True)
        self._target, self._pid, self._blockers, self._keep, self._tell, self._held = (
            target,
            pid,
            blockers,
            keep,
            tell,
            held,
        )
        self._last = time.monotonic()
        self.ready, self.over = threading.Event(), threading.Event()

    def run(self) -> None:
        try:
            with (
                suppress(psycopg.Error, RunbookError),
                connect(self._target, "blockers") as connection,
            ):
                self.ready.set()
                self._look_on(connection)
        finally:
            self.ready.set()

    def _look_on(self, connection: Connection) -> None:
        look, build = query("engine/blockers"), query("engine/build_progress")
        looks = 0
        while not self.over.wait(LOOK_S):
            self._note(
                {row["pid"]: _named(row) for row in rows(connection, look, {"pid": self._pid})}
            )
            looks += 1
            if looks % TELL_EVERY == 0:
                for row in rows(connection, build, {"pid": self._pid}):
                    self._tell(row["done"], row["total"])

    def _note(self, now: dict[int, str]) -> None:
        at = time.monotonic()
        if not self._keep and (now or at - self._last > HELD_S):
            self._blockers.clear()
        self._blockers.update(now)
        self._last = at if now else self._last
        self._held.seen(now, at)


class _Held:
    """Who holds a statement up, said seldom enough to be read: not every short wait, and nobody
    over and over.
    """

    def __init__(self, say: Callable[[Sequence[str]], None]) -> None:
        self._say = say
        self._since: float | None = None
        self._said: tuple[frozenset[int], float] = (frozenset(), 0.0)

    def seen(self, now: Mapping[int, str], at: float) -> None:
        """What one look found at an instant of the monotonic clock, in seconds."""
        if not now:
            self._since = None
            return
        self._since = at if self._since is None else self._since
        who, when = self._said
        if at - self._since >= HELD_S and (who != now.keys() or at - when >= AGAIN_S):
            self._said = frozenset(now), at
            self._say(tuple(now.values()))


@contextmanager
def refusing(connection: Connection) -> Iterator[None]:
    """Raise `Refused` naming who holds what the block could not read within its lock timeout."""
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise Refused(
            "what is to be read is locked",
            found="; ".join(of_readers(connection)) or "a session that has let go since",
            expected="tables that can be read",
            action="end or wait for the sessions named, then run again",
        ) from error


def of_readers(connection: Connection) -> tuple[str, ...]:
    """Who keeps readers of tables waiting, as `reader by pid 12 (…)`, oldest first."""
    readers = rows(connection, query("engine/readers_kept_waiting"))
    return tuple(f"{row['tables']} by {_named(row)}" for row in readers)


def _named(row: dict[str, Any]) -> str:
    if not row["pid"]:
        return f"prepared transactions ({row['prepared'] or 'of another database'})"
    return (
        f"pid {row['pid']} ({row['application_name'] or row['role']},"
        f" {row['state'] or 'background'}, {row['command']}, transaction open"
        f" {row['transaction_s'] or 0:.0f} s)"
    )
