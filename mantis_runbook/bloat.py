"""Bloat: how much of the tables is dead or empty space, and rebuilding them by pg_repack where it is installed."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from psycopg import sql

from mantis_runbook import commands, display, programs
from mantis_runbook.database import Connection, connect, identity, query, rows
from mantis_runbook.errors import ProgramError
from mantis_runbook.lock import Fence
from mantis_runbook.target import Target

__all__ = ["Bloat", "Bloated", "Rebuilding", "Rebuilt", "measure", "rebuild", "why_not"]

#: Tables that are worth rebuilding: this share of them wasted, in a table of at least this many bytes.
THRESHOLD, SMALLEST = 0.3, 8 * 1024 * 1024

#: How long pg_repack tries for its two short locks (ACCESS EXCLUSIVE) before it gives a table up, ending nobody's session.
WAIT_S = 30

HIDDEN = "row security hides rows of it from this role, and a rebuild would lose them; use a role with BYPASSRLS"

State = Literal["rebuilt", "skipped", "failed", "not installed"]


@dataclass(frozen=True)
class Bloat:
    """A table with its size in bytes and the share of it, 0 to 1, that holds no row; None where nobody knows.

    The method: `pgstattuple`, `estimate` (from statistics), `empty` or `unknown`.
    """

    table: str
    bytes: int
    bloat: float | None
    method: str


@dataclass(frozen=True)
class Bloated:
    """All tables of the schema public, the worst first. Partitioned tables hold nothing: their partitions are here."""

    tables: tuple[Bloat, ...]

    def above(self, threshold: float = THRESHOLD, smallest: int = SMALLEST) -> tuple[str, ...]:
        """Names of the tables with at least this share wasted, of at least so many bytes."""
        return tuple(
            one.table
            for one in self.tables
            if one.bloat is not None and one.bloat >= threshold and one.bytes >= smallest
        )

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a table: its bytes, the share wasted, the method."""
        return pd.DataFrame(map(asdict, self.tables), columns=["table", "bytes", "bloat", "method"])

    @property
    def records(self) -> list[dict[str, Any]]:
        return [asdict(one) for one in self.tables]

    def _repr_html_(self) -> str:
        return str(display.table(self.records, caption="Bloat of tables", empty="no table"))


@dataclass(frozen=True)
class Rebuilt:
    """What became of one table. Sizes in bytes, of the table with its indexes and TOAST; duration in seconds."""

    table: str
    state: State
    before: int
    after: int
    duration_s: float
    note: str = ""


@dataclass(frozen=True)
class Rebuilding:
    """What became of all tables; `note` says why none was rebuilt, where the tool is not installed."""

    tables: tuple[Rebuilt, ...]
    note: str = ""

    @property
    def records(self) -> list[dict[str, Any]]:
        return [asdict(one) for one in self.tables]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a table: its state, its bytes before and after, the seconds it took, a note."""
        columns = ["table", "state", "before", "after", "duration_s", "note"]
        return pd.DataFrame(map(asdict, self.tables), columns=columns)

    def _repr_html_(self) -> str:
        caption = self.note or "Tables rebuilt by pg_repack"
        return str(display.table(self.records, caption=caption, empty="no table is above the threshold"))


def measure(connection: Connection) -> Bloated:
    """The bloat of every table, measured by pgstattuple where that extension is installed, else estimated."""
    installed = rows(
        connection,
        "SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
        " WHERE extname = 'pgstattuple'",
    )
    if installed:
        statement = sql.SQL(query("monitoring/bloat_measured")).format(schema=sql.Identifier(installed[0]["nspname"]))
        found = rows(connection, statement)
    else:
        found = rows(connection, query("checks/report_bloat"))
    return Bloated(
        tuple(
            Bloat(row["table_name"], row["bytes"], None if row["bloat"] is None else float(row["bloat"]), row["method"])
            for row in found
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
    """Rebuild the tables named, or all, that are above the threshold, one after the other, while they are in use.

    pg_repack copies a table beside itself and keeps up with writes by a trigger; it asks for ACCESS EXCLUSIVE twice, for
    up to a second at a time, ends nobody's session, and leaves a table that it cannot lock as it is. Where it is not
    installed, in the database and as a program of the same version, nothing is done and the result says so. A table
    that could not be rebuilt is reported, never raised: bloat is a matter of comfort. Raises `FenceLost` before a table
    when another runner took over from the one with this fence.
    """
    with connect(target, "bloat") as connection:
        found = measure(connection)
        wanted = [one for one in found.above(threshold, smallest) if tables is None or one in tables]
        program, why_not = _program(connection)
        if program is None:
            sizes = {one: _size(connection, one) for one in wanted}
            missing = [Rebuilt(one, "not installed", sizes[one], sizes[one], 0.0, why_not) for one in wanted]
            return Rebuilding(tuple(missing), why_not)
        options = [] if _is_superuser(connection) else ["--no-superuser-check"]
        options += ["--no-order", "--no-kill-backend", f"--wait-timeout={wait_s}"]
        done = []
        for one in wanted:
            if fence:
                fence.check(connection, in_transaction=False)
            done.append(_rebuilt(connection, program, options, target, one, deadline_s))
        return Rebuilding(tuple(done))


def why_not(connection: Connection) -> str:
    """Why no table can be rebuilt here; empty where pg_repack is installed, in the database and as a program."""
    return _program(connection)[1]


def _rebuilt(
    connection: Connection, program: Path, options: Sequence[str], target: Target, table: str, deadline_s: float
) -> Rebuilt:
    before, file = _size(connection, table), _file(connection, table)
    if _hides_rows(connection, table):
        return Rebuilt(table, "skipped", before, before, 0.0, HIDDEN)
    name = sql.Identifier("public", table).as_string(connection)
    began = time.monotonic()
    state: State = "failed"
    try:
        # What policies hide becomes an error, never a missing row.
        arguments = [*options, f"--table={name}"]
        repack = commands.command(program, target, *arguments, settings={"row_security": "off"})
        done = programs.run(repack, timeout=deadline_s)
        note = _last_line(done.stderr)
        state = "skipped"
    except ProgramError as error:
        note = _last_line(str(error))
    except subprocess.TimeoutExpired:
        note = f"not done within {deadline_s:.0f} s; what it left behind goes with: DROP EXTENSION pg_repack, then CREATE it again"
    # Its exit code is 0 as well when it gave the table up: the file on disk tells.
    if state == "skipped" and _file(connection, table) != file:
        state, note = "rebuilt", ""
    return Rebuilt(table, state, before, _size(connection, table), time.monotonic() - began, note)


def _hides_rows(connection: Connection, table: str) -> bool:
    """Whether row security applies to our role on this table: as the owner under FORCE, a repack would copy what it sees."""
    return bool(_number(connection, "SELECT row_security_active(format('public.%%I', %s::text)::regclass)::int", table))


def _program(connection: Connection) -> tuple[Path | None, str]:
    """pg_repack of the extension's own version, or why there is none."""
    installed = rows(connection, "SELECT extversion FROM pg_extension WHERE extname = 'pg_repack'")
    if not installed:
        return None, "pg_repack is not installed in this database (CREATE EXTENSION pg_repack)"
    wanted, major = installed[0]["extversion"], identity(connection).major
    candidates = [path for folder in programs.folders() if (path := folder / "pg_repack").is_file()]
    fitting = [path for path in candidates if _version(path) == wanted]
    if not fitting:
        there = ", ".join(sorted({_version(path) or "?" for path in candidates})) or "none"
        return None, f"the extension is pg_repack {wanted}, the program must be too, and there is {there}"
    return next((path for path in fitting if f"/{major}/" in str(path)), fitting[0]), ""


@cache
def _version(program: Path) -> str:
    """Its version, as `pg_repack 1.4.8` says it; "" when it does not say."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(r"pg_repack (\S+)", said)
    return match[1] if match else ""


def _size(connection: Connection, table: str) -> int:
    return _number(connection, "SELECT pg_total_relation_size(format('public.%%I', %s::text)::regclass)", table)


def _file(connection: Connection, table: str) -> int:
    return _number(connection, "SELECT pg_relation_filenode(format('public.%%I', %s::text)::regclass)::bigint", table)


def _is_superuser(connection: Connection) -> bool:
    return connection.info.parameter_status("is_superuser") == "on"


def _number(connection: Connection, statement: str, table: str) -> int:
    row = connection.execute(statement, (table,)).fetchone()
    assert row is not None
    return int(row[0])


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
