"""Who is in the way: the sessions that make one of ours wait, asked by another session."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from mantis_runbook.database import Connection, connect, query, rows
from mantis_runbook.errors import RunbookError
from mantis_runbook.target import Target

__all__ = ["naming"]

#: Between two looks; shorter than any lock timeout, so that each wait is seen.
LOOK_S = 0.02

#: Every so many looks the progress of an index build is told.
TELL_EVERY = 10


@contextmanager
def naming(
    target: Target,
    waiting: Connection,
    into: dict[int, str] | None = None,
    *,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[dict[int, str]]:
    """While the block runs, note by pid who makes `waiting` wait, and `tell` rows done and rows in all of an index build.

    A courtesy: without a session for it, nobody is named.
    """
    found = {} if into is None else into
    over = threading.Event()
    pid = waiting.info.backend_pid
    thread = threading.Thread(target=_look, args=(target, pid, found, tell, over), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _look(
    target: Target, pid: int, found: dict[int, str], tell: Callable[[int, int], None], over: threading.Event
) -> None:
    look, build = query("engine/blockers"), query("engine/build_progress")
    looks = 0
    with suppress(psycopg.Error, RunbookError), connect(target, "blockers") as connection:
        while not over.wait(LOOK_S):
            found.update({row["pid"]: _named(row) for row in rows(connection, look, {"pid": pid})})
            looks += 1
            if looks % TELL_EVERY == 0:
                for row in rows(connection, build, {"pid": pid}):
                    tell(row["done"], row["total"])


def _named(row: dict[str, Any]) -> str:
    if not row["pid"]:
        return f"prepared transactions ({row['prepared'] or 'of another database'})"
    return (
        f"pid {row['pid']} ({row['application_name'] or row['role']}, {row['state'] or 'background'},"
        f" {row['command']}, transaction open {row['transaction_s'] or 0:.0f} s)"
    )
