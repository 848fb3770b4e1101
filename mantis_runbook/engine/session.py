"""The session that carries out a migration's steps: its settings, limits and fence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mantis_runbook.engine.fence import Fence
from mantis_runbook.engine.results import Observer, Watcher
from mantis_runbook.postgres.connection import GIVING_WAY, Connection, settle
from mantis_runbook.postgres.target import Target
from mantis_runbook.settings import Environment

__all__ = ["EngineSession"]

#: Tells the seal that this session is the rollback itself, which may write where nobody else may.
ROLLING_BACK = "mantis_runbook.rolling_back"


@dataclass(frozen=True)
class EngineSession:
    """One connection, for one pass over a migration's steps in one direction."""

    connection: Connection
    direction: str
    target: Target
    limits: Environment
    fence: Fence
    watch: Watcher
    stop: Callable[[], None]
    observe: Observer

    def settle(self) -> None:
        """Reset the session's settings: an earlier step may have SET others."""
        self.connection.execute("RESET ROLE")
        self.connection.execute("RESET ALL")
        settle(
            self.connection,
            lock_timeout=f"{self.limits.lock_timeout_ms}ms",
            **GIVING_WAY,
            **{ROLLING_BACK: "on" if self.direction == "rollback" else "off"},
        )

    def check_fence(self, *, in_transaction: bool) -> None:
        """Raise `FenceLost` where another runner has taken over; inside a transaction, it cannot
        until the end of it.
        """
        self.fence.check(self.connection, in_transaction=in_transaction)
