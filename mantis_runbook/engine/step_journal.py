"""The journal of steps in the database: what was done of a migration, and by which run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Jsonb

from mantis_runbook.postgres.connection import Connection, rows

__all__ = ["Pass", "StepJournal"]


@dataclass(frozen=True)
class Pass:
    """One pass over a migration's script, in one direction, as far as it is on record.

    `done` are the finished steps, `last_key` maps a backfill to the key it reached. `carried_out`
    maps both kinds to the SHA-256 of what was carried out.
    """

    direction: str
    done: frozenset[str] = frozenset()
    carried_out: Mapping[str, str | None] = field(default_factory=dict)
    started: frozenset[str] = frozenset()
    last_key: Mapping[str, str] = field(default_factory=dict)
    is_open: bool = True


class StepJournal:
    """The journal of steps in the database: it decides, on resume, what was done."""

    def __init__(self, connection: Connection, run: str = "", who: str = "") -> None:
        """`run` and `who` stand in what is written; whoever only reads needs neither."""
        self._connection, self._run, self._who = connection, run, who

    def write(
        self,
        version: str,
        direction: str,
        state: str,
        step: str | None = None,
        *,
        connection: Connection | None = None,
        statement_sha256: str | None = None,
        duration_ms: float | None = None,
        attempts: int | None = None,
        lock_waits: int | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write one row, on the step's own connection where both must commit together."""
        (connection or self._connection).execute(
            "INSERT INTO mantis_runbook.journal (run, version, direction, step, statement_sha256,"
            " state, who, duration_ms, attempts, lock_waits, detail) VALUES (%s, %s, %s, %s, %s,"
            " %s, %s, %s, %s, %s, %s)",
            (
                self._run,
                version,
                direction,
                step,
                statement_sha256,
                state,
                self._who,
                duration_ms,
                attempts,
                lock_waits,
                Jsonb(dict(detail or {})),
            ),
        )

    def catalog_before(self, version: str) -> str | None:
        """The catalogue, as JSON, from before the newest pass up of this version; None if it was
        never begun.
        """
        return self._catalog(version, "up", "begun")

    def catalog_after(self, version: str) -> str | None:
        """The catalogue, as JSON, from the end of the newest pass up of this version; None if it
        never ended.
        """
        return self._catalog(version, "up", "ended")

    def catalog_at_rollback(self, version: str) -> str | None:
        """The catalogue, as JSON, from the begin of a rollback that was cut off; None if there is
        none.
        """
        last = self.last_pass(version)
        if last is None or last.direction != "rollback" or not last.is_open:
            return None
        return self._catalog(version, "rollback", "begun")

    def _catalog(self, version: str, direction: str, state: str) -> str | None:
        """As noted in the newest row of that kind, unless a pass up was begun since."""
        row = self._connection.execute(
            "SELECT detail ->> 'catalog' FROM mantis_runbook.journal WHERE version = %s AND"
            " direction = %s AND state = %s AND id >= (SELECT max(id) FROM mantis_runbook.journal"
            " WHERE version = %s AND direction = 'up' AND state = 'begun') ORDER BY id DESC"
            " LIMIT 1",
            (version, direction, state, version),
        ).fetchone()
        return row[0] if row else None

    def run_of(self, version: str) -> str | None:
        """The run that began the newest pass of this version."""
        row = self._connection.execute(
            "SELECT run FROM mantis_runbook.journal WHERE version = %s AND state = 'begun' ORDER BY"
            " id DESC LIMIT 1",
            (version,),
        ).fetchone()
        return row[0] if row else None

    def last_pass(self, version: str) -> Pass | None:
        """The newest pass over this version, finished or not; None if it was never begun."""
        begun = self._connection.execute(
            "SELECT id, direction FROM mantis_runbook.journal WHERE version = %s AND state ="
            " 'begun' ORDER BY id DESC LIMIT 1",
            (version,),
        ).fetchone()
        if begun is None:
            return None
        entries = rows(
            self._connection,
            "SELECT step, state, statement_sha256, detail ->> 'last_key' AS last_key FROM"
            " mantis_runbook.journal WHERE version = %s AND id > %s ORDER BY id",
            (version, begun[0]),
        )
        return Pass(
            direction=begun[1],
            done=frozenset(row["step"] for row in entries if row["state"] == "done"),
            carried_out={
                row["step"]: row["statement_sha256"]
                for row in entries
                if row["state"] in ("done", "batch")
            },
            started=frozenset(row["step"] for row in entries if row["state"] == "started"),
            last_key={row["step"]: row["last_key"] for row in entries if row["state"] == "batch"},
            is_open=not any(row["state"] == "ended" for row in entries),
        )
