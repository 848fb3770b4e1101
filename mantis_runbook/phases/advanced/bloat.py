"""Bloat: how much of each table is wasted space, and the rebuild by pg_repack where installed."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from psycopg import sql

from mantis_runbook import display
from mantis_runbook.engine.fence import Fence
from mantis_runbook.errors import ProgramError
from mantis_runbook.phases.advanced import rebuild_proof, repack_leftovers, repackable
from mantis_runbook.postgres import commands, programs
from mantis_runbook.postgres.connection import Connection, connect, query, rows, scalar
from mantis_runbook.postgres.target import Target

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Bloat", "Bloated", "Rebuilding", "Rebuilt", "measure", "rebuild", "why_not"]

#: Tables that are worth rebuilding: this share of them wasted, in a table of at least this many
#: bytes.
THRESHOLD, SMALLEST = 0.3, 8 * 1024 * 1024

#: How long pg_repack tries for its two short locks (ACCESS EXCLUSIVE) before it gives a table up,
#: ending nobody's session.
WAIT_S = 30

#: For its sessions. Its own tries for those two locks end after a second at most, by
#: `statement_timeout`; this ends the waits that it has no limit for, which would queue the
#: application behind them: its clean-up after an interrupt in versions before 1.5.0
#: (https://github.com/reorg/pg_repack/pull/298). What that leaves is removed here.
SESSION = {"row_security": "off", "lock_timeout": "2s", "client_connection_check_interval": "200ms"}

#: How the note begins when pg_repack ended well but left the table as it was.
GIVEN_UP = "pg_repack gave it up: "

State = Literal["rebuilt", "unproven", "lost", "skipped", "failed", "not installed"]


@dataclass(frozen=True)
class Bloat:
    """A table, its size in bytes, and the share of it, 0 to 1, that holds no row.

    The share is None where it is unknown. The method: `pgstattuple`, `estimate` (from statistics),
    `empty` or `unknown`.
    """

    table: str
    bytes: int
    bloat: float | None
    method: str


@dataclass(frozen=True)
class Bloated:
    """All tables of the schema public, the worst first.

    Partitioned tables hold no rows themselves; their partitions are listed instead.
    """

    tables: tuple[Bloat, ...]

    def above(self, threshold: float = THRESHOLD, smallest: int = SMALLEST) -> tuple[str, ...]:
        """Names of the tables with at least this share wasted, of at least so many bytes."""
        return tuple(
            table.table
            for table in self.tables
            if table.bloat is not None and table.bloat >= threshold and table.bytes >= smallest
        )

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a table: its bytes, the share wasted, the method."""
        import pandas as pd

        return pd.DataFrame(map(asdict, self.tables), columns=["table", "bytes", "bloat", "method"])

    @property
    def records(self) -> list[dict[str, Any]]:
        return [asdict(one) for one in self.tables]

    def _repr_html_(self) -> str:
        return str(display.table(self.records, caption="Bloat of tables", empty="no table"))


@dataclass(frozen=True)
class Rebuilt:
    """What became of one table.

    Sizes are in bytes, of the table with its indexes and TOAST; the duration is in seconds.
    `rebuilt`: its content was compared, and is what it was. `unproven`: rebuilt, and what was
    written meanwhile leaves open whether all of it is there. `lost`: it is not.
    """

    table: str
    state: State
    before: int
    after: int
    duration_s: float
    note: str = ""


@dataclass(frozen=True)
class Rebuilding:
    """What became of all tables; without the tool, `note` says why none was rebuilt."""

    tables: tuple[Rebuilt, ...]
    note: str = ""

    @property
    def lost(self) -> tuple[Rebuilt, ...]:
        """Tables that do not hold what they held. No further one was rebuilt then."""
        return tuple(one for one in self.tables if one.state == "lost")

    @property
    def records(self) -> list[dict[str, Any]]:
        return [asdict(one) for one in self.tables]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a table: its state, its bytes before and after, the seconds it took, a note."""
        import pandas as pd

        columns = ["table", "state", "before", "after", "duration_s", "note"]
        return pd.DataFrame(map(asdict, self.tables), columns=columns)

    def _repr_html_(self) -> str:
        caption = self.note or "Tables rebuilt by pg_repack"
        return str(
            display.table(self.records, caption=caption, empty="no table is above the threshold")
        )


def measure(connection: Connection) -> Bloated:
    """The bloat of every table: measured where pgstattuple is installed, else estimated."""
    installed = rows(
        connection,
        "SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
        " WHERE extname = 'pgstattuple'",
    )
    if installed:
        statement = sql.SQL(query("monitoring/bloat_measured")).format(
            schema=sql.Identifier(installed[0]["nspname"])
        )
        records = rows(connection, statement)
    else:
        records = rows(connection, query("checks/report_bloat"))
    return Bloated(
        tuple(
            Bloat(
                table=row["table_name"],
                bytes=row["bytes"],
                bloat=None if row["bloat"] is None else float(row["bloat"]),
                method=row["method"],
            )
            for row in records
        )
    )


def rebuild(
    target: Target,
    tables: Collection[str] | None = None,
    threshold: float = THRESHOLD,
    *,
    fence: Fence | None = None,
    smallest: int = SMALLEST,
    wait_s: int = WAIT_S,
    deadline_s: float = 3600,
) -> Rebuilding:
    """Rebuild tables above the threshold, one after the other, while they are in use.

    All of them, or those of them that `tables` names. What an earlier pg_repack left is removed
    first. pg_repack copies a table beside itself and keeps up with writes by a trigger; it asks for
    ACCESS EXCLUSIVE twice, for up to a second at a time, ends nobody's session, and leaves a table
    that it cannot lock as it is. Where it is not installed, in the database and as a program of the
    same version, nothing is done and the result says so. A table that could not be rebuilt is
    reported, never raised: bloat is a matter of comfort. After one that lost rows (`lost`) no other
    is begun. Raises `FenceLost` before a table when another runner took over from the one with this
    fence.
    """
    with connect(target, "bloat") as connection:
        above = measure(connection).above(threshold, smallest)
        wanted = [table for table in above if tables is None or table in tables]
        program, reason = repackable.program(connection)
        if program is None:
            left = [_left_as_it_is(connection, table, "not installed", reason) for table in wanted]
            return Rebuilding(tuple(left), reason)
        if fence:
            fence.check(connection, in_transaction=False)
        remaining = _removed(connection)
        options = [] if repackable.is_superuser(connection) else ["--no-superuser-check"]
        # Without a password in its environment it would ask the terminal for one; 1.4.8 never
        # stops asking.
        options += ["--no-password", "--no-order", "--no-kill-backend", f"--wait-timeout={wait_s}"]
        done: list[Rebuilt] = []
        for table in wanted:
            if fence:
                fence.check(connection, in_transaction=False)
            if reason := remaining.get(table) or repackable.refusal(connection, table):
                done.append(_left_as_it_is(connection, table, "skipped", reason))
                continue
            name = sql.Identifier("public", table).as_string(connection)
            command = commands.command(
                program, target, *options, f"--table={name}", settings=SESSION
            )
            done.append(_rebuilt(connection, command, table, deadline_s))
            if done[-1].state == "lost":
                break
        return Rebuilding(tuple(done))


def why_not(connection: Connection) -> str:
    """Why no table can be rebuilt here; empty where pg_repack and its extension are installed."""
    return repackable.program(connection)[1]


def _left_as_it_is(connection: Connection, table: str, state: State, reason: str) -> Rebuilt:
    size = _size(connection, table)
    return Rebuilt(table=table, state=state, before=size, after=size, duration_s=0.0, note=reason)


def _removed(connection: Connection) -> dict[str, str]:
    """Remove what killed runs of pg_repack left behind.

    Returns the tables where something had to stay, each with the reason: no rebuild of such a
    table may begin.
    """
    reasons = {
        leftover.table: (
            leftover.message if leftover.at_work else repack_leftovers.remove(connection, leftover)
        )
        for leftover in repack_leftovers.leftovers(connection)
    }
    return {table: reason for table, reason in reasons.items() if reason}


def _rebuilt(
    connection: Connection, command: programs.Command, table: str, deadline_s: float
) -> Rebuilt:
    size, file = _size(connection, table), _file(connection, table)
    before = rebuild_proof.read(connection, table)
    began = time.monotonic()
    note = _run(connection, command, deadline_s)
    left = _removed(connection).get(table, "")
    duration = time.monotonic() - began
    # Its exit code proves nothing: 0 also when it gave the table up, 1 also when it failed after
    # the swap. A new file does.
    is_new = _file(connection, table) != file
    judgement = rebuild_proof.prove(connection, table, before) if is_new else None
    if judgement:
        states: dict[str, State] = {"lost": "lost", "unproven": "unproven"}
        state, note = states.get(judgement.outcome, "rebuilt"), judgement.note
    else:
        state = "skipped" if note.startswith(GIVEN_UP) else "failed"
    return Rebuilt(
        table,
        state,
        before=size,
        after=_size(connection, table),
        duration_s=duration,
        note="; ".join(filter(None, (note, left))),
    )


def _run(connection: Connection, command: programs.Command, deadline_s: float) -> str:
    """Run pg_repack and return the last line it wrote.

    A program that does not end in time is ended, and so are its sessions, which could go on.
    """
    mark = f"repack-{secrets.token_hex(6)}"
    marked = replace(command, environment=command.environment | {"PGAPPNAME": mark})
    try:
        return f"{GIVEN_UP}{_last_line(programs.run(marked, timeout=deadline_s).stderr)}"
    except ProgramError as error:
        return _last_line(str(error))
    except subprocess.TimeoutExpired:
        return f"not done within {deadline_s:.0f} s, and ended"
    finally:
        repack_leftovers.end_sessions(connection, mark)


def _size(connection: Connection, table: str) -> int:
    return _number(
        connection, "SELECT pg_total_relation_size(format('public.%%I', %s::text)::regclass)", table
    )


def _file(connection: Connection, table: str) -> int:
    return _number(
        connection,
        "SELECT pg_relation_filenode(format('public.%%I', %s::text)::regclass)::bigint",
        table,
    )


def _number(connection: Connection, statement: str, table: str) -> int:
    return int(scalar(connection, statement, (table,)))


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
