"""Reading without holding anybody up: a transaction that changes nothing, and how long it may wait
for locks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mantis_runbook import display
from mantis_runbook.postgres import blockers
from mantis_runbook.postgres.connection import Connection

__all__ = ["Patience", "reading"]

#: Milliseconds that a statement waits once the patience of its run is over.
IMPATIENT_MS = 10

#: So that a row is neither overlooked nor counted twice, and its text reads the same everywhere.
SESSION = {
    "search_path": "public, mantis_runbook, pg_temp",
    "row_security": "off",
    "check_function_bodies": "on",
    "DateStyle": "ISO, YMD",
    "TimeZone": "UTC",
}


@dataclass
class Patience:
    """For how many milliseconds a statement of this run may wait for a lock: all there are, until
    one did.
    """

    lock_timeout_ms: int

    def spent(self, connection: Connection) -> str:
        """Who was waited for in vain. From now on nobody is waited for."""
        waited_ms, self.lock_timeout_ms = (
            self.lock_timeout_ms,
            min(IMPATIENT_MS, self.lock_timeout_ms),
        )
        named = "; ".join(blockers.of_readers(connection)) or "a session that has let go since"
        return f"waited {display.duration(waited_ms)} for what is locked: {named}"


@contextmanager
def reading(connection: Connection, patience: Patience) -> Iterator[None]:
    """A transaction that can change nothing, with the settings that checks are written for."""
    with connection.transaction():
        connection.execute("SET TRANSACTION READ ONLY")
        for name, value in (SESSION | {"lock_timeout": f"{patience.lock_timeout_ms}ms"}).items():
            connection.execute("SELECT set_config(%s, %s, true)", (name, value))
        yield
