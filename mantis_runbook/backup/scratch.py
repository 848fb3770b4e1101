"""Scratch databases: a name of its own for each run, and a mark that says whose it is."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg import sql

from mantis_runbook.backup import likeness, subscriptions
from mantis_runbook.backup.likeness import Likeness
from mantis_runbook.errors import Refused
from mantis_runbook.postgres.connection import Connection, connect, message_of, query, rows
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs.run import Run

__all__ = [
    "PREFIX",
    "Mark",
    "Scratch",
    "adopt",
    "all_on",
    "create_scratch",
    "drop",
    "drop_scratch",
    "has_scratch",
    "make",
    "mark_of",
    "name_for",
    "refuse_same_server",
    "require_ours",
]

#: How the names of scratch databases begin; no other is ever written to or dropped.
PREFIX = "mantis_scratch_"

BY = "mantis-runbook"

State = Literal["in use", "left", "unknown"]


@dataclass(frozen=True)
class Mark:
    """Who made a scratch database: kept as the database's comment.

    `process` tells one process from a later one of its id.
    """

    run: str
    target: str
    database: str
    made_at: str
    host: str
    machine: str
    pid: int
    process: str

    def to_json(self) -> str:
        return json.dumps({"by": BY} | asdict(self))

    @classmethod
    def from_json(cls, text: str | None) -> Mark | None:
        """None for what is no mark of ours."""
        try:
            data = json.loads(text or "")
            return (
                cls(**{key: value for key, value in data.items() if key != "by"})
                if data["by"] == BY
                else None
            )
        except (ValueError, TypeError, KeyError):
            return None

    @property
    def is_ours(self) -> bool:
        """Whether it was made where we can see if its maker still lives."""
        return self.machine == _machine()

    @property
    def is_alive(self) -> bool:
        """Whether the process that made it still runs; False on another machine."""
        return self.is_ours and self.process != "" and _process(self.pid) == self.process


@dataclass(frozen=True)
class Scratch:
    """One scratch database on a server; `bytes` is None where we may not enter it."""

    name: str
    bytes: int | None
    mark: Mark | None
    state: State
    why: str

    def __str__(self) -> str:
        size = f", {self.bytes / 2**20:,.0f} MiB" if self.bytes is not None else ""
        return f"{self.name}{size}: {self.why}"


def name_for(run: Run, phase: str) -> str:
    """The scratch database of a phase of that run: the same whenever it is asked for, and no other
    run's.
    """
    return f"{PREFIX}{hashlib.sha256(run.key.encode()).hexdigest()[:16]}_{phase}"


def mark_of(run: str = "", target: str = "", database: str = "") -> Mark:
    """The mark of this process, for that run of that target."""
    now, pid = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), os.getpid()
    return Mark(run, target, database, now, socket.gethostname(), _machine(), pid, _process(pid))


def make(
    connection: Connection,
    name: str,
    template: str,
    mark: Mark,
    shape: sql.Composable | None = None,
) -> None:
    """A database that nobody could enter before its rights were taken away and its mark was set.

    `shape` are more options of CREATE DATABASE, such as its encoding and locale.
    """
    require_ours(name)
    database = sql.Identifier(name)
    connection.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} ALLOW_CONNECTIONS false {}").format(
            database, sql.Identifier(template), shape or sql.SQL("")
        )
    )
    for statement in (
        sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(database),
        _comment(name, mark),
        sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(database),
    ):
        connection.execute(statement)


def create_scratch(
    server: Target, name: str, like: Likeness | None = None, mark: Mark | None = None
) -> Target:
    """An empty database of that name on the server; one left by a cut run is replaced.

    It has the encoding and locale of the database that it is to be `like`, else the server's.
    Raises `Refused` when the role may not create databases, or the disk is full.
    """
    drop_scratch(server, name)
    with connect(server, "scratch", lock_timeout="0") as connection:
        try:
            shape = likeness.shape(connection, like)
            make(connection, name, "template0", mark or mark_of(), shape)
        except psycopg.errors.DatabaseError as error:
            raise Refused(
                f"scratch database {name} cannot be created",
                found=error.diag.message_primary or "refused",
                expected="a role with CREATEDB, and disk",
                action=(
                    "grant CREATEDB, free some disk, or name another server with the parameter"
                    " `scratch`"
                ),
            ) from None
    return server.database(name)


def has_scratch(server: Target, name: str) -> bool:
    """Whether a database of that name is there."""
    with connect(server, "scratch") as connection:
        return (
            connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone()
            is not None
        )


def drop_scratch(server: Target, name: str) -> None:
    """Drop a scratch database, if it is there. Only names of ours are ever dropped."""
    require_ours(name)
    subscriptions.forget(server, name)
    with connect(server, "scratch", lock_timeout="0") as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def adopt(server: Target, name: str, mark: Mark) -> None:
    """Set the mark anew: who goes on with a run is another process than the one that made the
    database.
    """
    require_ours(name)
    with connect(server, "scratch", lock_timeout="0") as connection:
        connection.execute(_comment(name, mark))


def _comment(name: str, mark: Mark) -> sql.Composed:
    return sql.SQL("COMMENT ON DATABASE {} IS {}").format(
        sql.Identifier(name), sql.Literal(mark.to_json())
    )


def require_ours(name: str) -> None:
    """Raise `Refused` for a name that is not of ours: no other database is ever dropped."""
    if not name.startswith(PREFIX):
        raise Refused(
            f"database {name} is no scratch database of the runbook",
            action="drop it by hand, if you mean it",
        )


def all_on(server: Target, at_work: Callable[[str], bool]) -> list[Scratch]:
    """Every scratch database of that server.

    `at_work` tells whether a run of that name is being carried out here.
    """
    with connect(server, "scratch") as connection:
        databases = rows(connection, query("scratch/databases"), (PREFIX,))
    return [_judged(row, at_work) for row in databases]


def drop(server: Target, name: str) -> None:
    """Drop one that was left. Raises `Refused` where somebody is in it after all."""
    require_ours(name)
    with connect(server, "scratch", lock_timeout="0") as connection:
        try:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        except (psycopg.errors.ObjectInUse, psycopg.errors.InsufficientPrivilege) as error:
            raise Refused(
                f"scratch database {name} was not dropped",
                found=error.diag.message_detail or message_of(error),
                expected="nobody in it, and its owner",
                action="let the run that uses it end, or be its owner",
            ) from None


def _judged(row: dict[str, Any], at_work: Callable[[str], bool]) -> Scratch:
    mark = Mark.from_json(row["mark"])
    whose = (
        f"run {mark.run or '?'} on {mark.target or '?'}, made {mark.made_at} on {mark.host}"
        if mark
        else ""
    )
    state: State
    if row["sessions"]:
        state, why = "in use", f"in use by {row['sessions']} session(s)"
    elif mark is None:
        state, why = "unknown", "without a mark, so nobody can tell whose it is"
    elif mark.is_alive or (mark.run and at_work(mark.run)):
        state, why = "in use", f"in use by process {mark.pid}"
    elif not mark.is_ours:
        state, why = (
            "unknown",
            (
                f"process {mark.pid} of {mark.host} made it, and only there can be seen whether it"
                " lives"
            ),
        )
    else:
        state, why = "left", "left by a run that was killed"
    return Scratch(row["name"], row["bytes"], mark, state, f"{why} ({whose})" if whose else why)


def refuse_same_server(target: Target, server: Target, environment: str) -> None:
    """Raise `Refused` where the scratch server is the target's own: whatever its name, or the host
    it is reached by.

    A standby that was promoted shares the system identifier, and is another server all the same: it
    began another time.
    """
    asked = "SELECT system_identifier, pg_postmaster_start_time() FROM pg_control_system()"
    with connect(target, "scratch") as first, connect(server, "scratch") as second:
        same = first.execute(asked).fetchone() == second.execute(asked).fetchone()
    if same:
        raise Refused(
            f"environment {environment} restores backups on another server",
            found=f"{server.name or 'sandbox'}, which is the server of target {target.name} itself",
            expected="a target on another server",
            action="name one (parameter `scratch`, or --scratch); nothing was changed",
        )


@cache
def _machine() -> str:
    """This machine since it was booted, and the container we are in: process ids mean nothing
    beyond.
    """
    parts = [socket.gethostname()]
    with suppress(OSError):  # no Linux: the host's name must do
        parts += [
            Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            str(Path("/proc/self/ns/pid").readlink()),
        ]
    return " ".join(parts)


def _process(pid: int) -> str:
    """When that process began, as the kernel counts; empty when it is gone."""
    try:
        state, *others = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state == "Z" else others[18]
    except OSError:
        pass
    if Path("/proc/self").exists():
        return ""
    try:  # no Linux
        os.kill(pid, 0)
    except PermissionError:
        return "alive"
    except OSError:
        return ""
    return "alive"
