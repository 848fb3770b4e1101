"""One runner at a time: a session lock, and a fence that stops a runner which lost it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg

from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.engine.seal import unseal
from mantis_runbook.errors import FenceLost, Refused
from mantis_runbook.postgres.connection import (
    Connection,
    connect,
    query,
    refuse_pooler,
    rows,
    scalar,
)
from mantis_runbook.postgres.target import Target

__all__ = ["KEY", "Fence", "hold"]

#: The advisory lock's key; "mantisrb" as eight bytes.
KEY = int.from_bytes(b"mantisrb", "big")

POLL_S = 0.1


@dataclass(frozen=True)
class Fence:
    """Proof that this runner is the one that may change the database."""

    token: int

    def check(self, connection: Connection, *, in_transaction: bool) -> None:
        """Raise `FenceLost` if another runner took over.

        Inside a transaction the row stays share-locked until its end, so nobody can take over half
        way through it.
        """
        look = "SELECT token, run, who FROM mantis_runbook.fence"
        row = connection.execute(f"{look} FOR SHARE" if in_transaction else look).fetchone()
        if row is None or row[0] != self.token:
            raise FenceLost(
                "this runner lost its lock",
                found=f"run {row[1]} of {row[2]} holds the database" if row else "no fence",
                expected="to be the only runner",
                action="let the other run end, then look at `mantis-runbook status`",
            )


@contextmanager
def hold(target: Target, run: str, who: str, *, patience_s: float = 10.0) -> Iterator[Fence]:
    """Hold the database for one runner, on a direct connection of its own in autocommit.

    The lock is polled for: a blocking wait deadlocks with an index build of the holder. A runner
    that was killed leaves its lock to the server, which frees it within a second; `patience_s`
    covers that. Raises `Refused` naming the holder when somebody else goes on holding it.
    """
    refuse_pooler(target)
    with connect(
        target, "lock", idle_in_transaction_session_timeout="0", idle_session_timeout="0"
    ) as connection:
        Ledger(connection).require()
        deadline = time.monotonic() + patience_s
        _acquire(connection, deadline)
        token = _raise_fence(connection, run, who, deadline)
        unseal(connection)  # of a rollback that was killed; another one seals again
        try:
            yield Fence(token)
        finally:
            with suppress(psycopg.Error):  # a session that was lost has lost the lock too
                connection.execute("SELECT pg_advisory_unlock(%s)", (KEY,))


def _acquire(connection: Connection, deadline: float) -> None:
    while True:
        if scalar(connection, "SELECT pg_try_advisory_lock(%s)", (KEY,)):
            return
        if time.monotonic() > deadline:
            raise _refusal(connection, "its lock is taken")
        time.sleep(POLL_S)


def _raise_fence(connection: Connection, run: str, who: str, deadline: float) -> int:
    """A higher token than any runner before.

    Waits in short tries for a step of a lost runner to end.
    """
    while True:
        try:
            row = connection.execute(
                "INSERT INTO mantis_runbook.fence AS fence (token, run, who) VALUES (1, %s, %s) ON"
                " CONFLICT (single) DO UPDATE SET token = fence.token + 1, run = excluded.run, who"
                " = excluded.who, taken_at = clock_timestamp() RETURNING token",
                (run, who),
            ).fetchone()
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() > deadline:
                raise _refusal(
                    connection, "a step of a runner that lost its lock is still at work"
                ) from None
            time.sleep(POLL_S)
            continue
        assert row is not None
        return int(row[0])


def _refusal(connection: Connection, otherwise: str) -> Refused:
    """Who holds the lock, by its session and by the fence."""
    holders = rows(connection, query("engine/lock_holder"), {"key": KEY})
    named = "; ".join(
        f"pid {h['pid']} ({h['application_name']}) since {h['backend_start']:%H:%M:%S} UTC, run"
        f" {h['run']} of {h['who']}"
        for h in holders
    )
    return Refused(
        "another runner works on this database",
        found=named or otherwise,
        expected="no other run",
        action="wait for it to end, or end that session if nobody is behind it",
    )
