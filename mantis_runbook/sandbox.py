"""The embedded sandbox: a server of its own with the application's baseline in it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import psycopg
from psycopg import sql
from tqdm import tqdm

from mantis_runbook import settings
from mantis_runbook.errors import Failed, ParameterError, Refused, TargetError
from mantis_runbook.postgres import installations
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.server_account import reachable, temporary
from mantis_runbook.postgres.target import SANDBOX_STATE, sandbox_folder

__all__ = [
    "DATABASE",
    "Sandbox",
    "clone",
    "drop",
    "load_baseline",
    "reset",
    "start",
    "status",
    "stop",
    "uri",
]

DATABASE = "mantis_db"

#: The database a baseline is loaded into before it gets its name: an interrupted load is never
#: taken for a baseline.
LOADING = "mantis_db_loading"

#: Beside the state of a running server: where its data lies and what it was filled with, kept while
#: it is stopped.
PLACE = "place.json"

PREPARED = "SELECT gid FROM pg_prepared_xacts WHERE database = %s"
DROP_SLOTS = (
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s AND"
    " NOT active"
)

Auth = Literal["supabase", "extended"]


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox: how to reach it, and what it holds."""

    parameters: dict[str, str]
    pid: int
    data: Path
    scale: float
    seed: int
    version: str

    @property
    def uri(self) -> str:
        user, database, port = (self.parameters[name] for name in ("user", "dbname", "port"))
        host = quote(self.parameters["host"], safe="")
        return f"postgresql://{user}@/{database}?host={host}&port={port}"

    def __str__(self) -> str:
        return (
            f"sandbox: PostgreSQL {self.version}, pid {self.pid}, scale {self.scale:g}, seed"
            f" {self.seed}\n  data  {self.data}\n  uri   {self.uri}"
        )


def start(scale: float = 1.0, seed: int = 2026) -> Sandbox:
    """The running sandbox: as it is if it runs, else started, and filled at that scale if it holds
    nothing yet.

    Two starts at once wait for each other. Raises `Refused` or `ProgramError`, saying what to do.
    """
    with _locked():
        return status() or _start(scale, seed)


def stop() -> bool:
    """Stop the sandbox; its data stays. Says whether there was a server to stop."""
    with _locked():
        return _stop()


def status() -> Sandbox | None:
    """The sandbox if it runs and answers; None too for what a dead server left behind."""
    try:
        state = json.loads((sandbox_folder() / SANDBOX_STATE).read_text())
        server = _server(Path(state["data"]), Path())
    except (OSError, ValueError, KeyError):
        return None
    if server.pid() != state["pid"] or not server.is_running():
        return None
    return Sandbox(**state | {"data": server.data})


def reset(scale: float = 1.0, seed: int = 2026) -> Sandbox:
    """Make the sandbox anew, server included: settings, roles, slots and prepared transactions
    outlive a database.
    """
    with _locked():
        _stop()
        if (data := _recorded().get("data")) is not None:
            shutil.rmtree(data, ignore_errors=True)
        return _start(scale, seed)


def uri() -> str:
    """The connection string of the running sandbox; it holds no secret.

    Raises `TargetError` if it does not run.
    """
    if (sandbox := status()) is None:
        raise TargetError(
            "the sandbox is not running", action="start it with `mantis-runbook sandbox start`"
        )
    return sandbox.uri


def load_baseline(
    database: Connection | Mapping[str, str],
    *,
    scale: float,
    seed: int,
    auth: Auth = "supabase",
    force_rls: bool = False,
) -> None:
    """Make the baseline of the application (`sql/baseline/`) in an empty database, given as a
    connection or its parameters.

    `scale` 1.0 is the full amount of data, `seed` decides all of it. `auth` chooses the stand-in
    for Supabase's schema; `force_rls` puts table owners under row level security too. Each file is
    one transaction. Raises `Failed` with the file's name.
    """
    files = _baseline_files(auth)
    if force_rls:
        files.append(settings.sql() / "baseline" / "force_rls.sql")
    if isinstance(database, psycopg.Connection):
        _run_baseline(database, files, scale, seed)
        return
    with _connect(database) as connection:
        _run_baseline(connection, files, scale, seed)


def clone(server: Server, template: str, name: str) -> dict[str, str]:
    """Copy a database that nobody is connected to; the parameters of the copy."""
    with _connect(server.parameters) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    return server.parameters | {"dbname": name}


def drop(server: Server, name: str) -> None:
    """Drop a database with everything that holds on to it: sessions, prepared transactions,
    replication slots.
    """
    with _connect(server.parameters) as connection:
        if prepared := connection.execute(PREPARED, [name]).fetchall():
            with _connect(server.parameters | {"dbname": name}) as inside:
                for (gid,) in prepared:
                    inside.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
        connection.execute(DROP_SLOTS, [name])
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def _start(scale: float, seed: int) -> Sandbox:
    folder = installations.best()
    server = _server(_data_folder(), folder)
    _refuse_other_version(server)
    if not server.is_made():
        server.initdb()
        _record(PLACE, _place(server))
    server.stop()  # alive, but its socket is gone
    server.start_detached()
    try:
        if not _is_filled(server):
            _fill(server, scale, seed)
        return _publish(server)
    except BaseException:
        server.stop("immediate")
        raise


def _stop() -> bool:
    (sandbox_folder() / SANDBOX_STATE).unlink(missing_ok=True)
    if (data := _recorded().get("data")) is None:
        return False
    server = _server(Path(data), Path())
    ran = server.pid() is not None
    server.stop()
    shutil.rmtree(server.socket, ignore_errors=True)
    return ran


def _server(data: Path, folder: Path) -> Server:
    """The socket's place stays the same, and with it the connection string, from start to start."""
    socket = Path(_recorded().get("socket", ""))
    if not socket.is_absolute() or not socket.parent.is_dir():
        socket = temporary() / f"mantis-{os.geteuid()}-{_mark()}"
    return Server(bin=folder, data=data, socket=socket)


def _place(server: Server) -> dict[str, Any]:
    return {"data": str(server.data), "socket": str(server.socket)}


def _mark() -> str:
    return hashlib.sha256(os.fsencode(sandbox_folder().resolve())).hexdigest()[:12]


def _data_folder() -> Path:
    """In the sandbox's folder, unless the server's account cannot reach it (under /root)."""
    if (data := _recorded().get("data")) is not None and Path(data).is_dir():
        return Path(data)
    folder = sandbox_folder().resolve()
    if reachable(folder):
        return folder / "data"
    outside = temporary() / f"mantis-runbook-{os.geteuid()}-{_mark()}"
    outside.mkdir(mode=0o755, exist_ok=True)
    if outside.is_symlink() or outside.stat().st_uid != os.geteuid():
        raise Refused(
            f"{outside} belongs to somebody else",
            expected="a folder of our own",
            action="move it aside",
        )
    return outside / "data"


def _refuse_other_version(server: Server) -> None:
    version_file = server.data / "PG_VERSION"
    if server.is_made() and version_file.read_text().strip() != str(server.version):
        raise Refused(
            f"the sandbox in {server.data} was made by another version of PostgreSQL",
            found=f"programs of PostgreSQL {server.version}",
            expected=version_file.read_text().strip(),
            action="make it anew with `mantis-runbook sandbox reset`, or set"
            " MANTIS_RUNBOOK_PG_BIN to that version's",
        )


def _is_filled(server: Server) -> bool:
    with _connect(server.parameters) as connection:
        return (
            connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            is not None
        )


def _fill(server: Server, scale: float, seed: int) -> None:
    drop(server, LOADING)
    load_baseline(clone(server, "template0", LOADING), scale=scale, seed=seed)
    with _connect(server.parameters) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                *map(sql.Identifier, (LOADING, DATABASE))
            )
        )
    _record(PLACE, _place(server) | {"scale": scale, "seed": seed})


def _publish(server: Server) -> Sandbox:
    """Write down where the running sandbox is."""
    place, pid = _recorded(), server.pid()
    with _connect(server.parameters) as connection:
        version = (
            str(connection.info.server_version // 10_000)
            + f".{connection.info.server_version % 10_000}"
        )
    state: dict[str, Any] = {
        "parameters": server.parameters | {"dbname": DATABASE},
        "pid": pid,
        "data": str(server.data),
        "scale": place.get("scale", 1.0),
        "seed": place.get("seed", 2026),
        "version": version,
    }
    _record(SANDBOX_STATE, state)
    return Sandbox(**state | {"data": server.data})


def _recorded() -> dict[str, Any]:
    try:
        return dict(json.loads((sandbox_folder() / PLACE).read_text()))
    except (OSError, ValueError):
        return {}


def _record(name: str, content: dict[str, Any]) -> None:
    path = sandbox_folder() / name
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(content, indent=2) + "\n")
    fresh.replace(path)


@contextmanager
def _locked() -> Iterator[None]:
    """One start, stop or reset at a time; the kernel lifts the lock of a process that died."""
    folder = sandbox_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise Refused(
            f"the sandbox's folder {folder} cannot be written", found=error.strerror or "",
            action="set MANTIS_RUNBOOK_SANDBOX to a folder of your own",
        ) from None  # fmt: skip
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _baseline_files(auth: Auth) -> list[Path]:
    other = "01_auth.sql" if auth == "extended" else "01_auth_extended.sql"
    files = [
        path
        for path in sorted((settings.sql() / "baseline").glob("[0-9][0-9]_*.sql"))
        if path.name != other
    ]
    if not files:
        raise ParameterError(
            "the application has no baseline",
            found=f"no NN_name.sql in {settings.sql() / 'baseline'}",
            expected="its tables and some data, to try everything on",
            action="write it, or name a --target",
        )
    return files


def _run_baseline(connection: Connection, files: list[Path], scale: float, seed: int) -> None:
    for name, value in (("mantis.scale", scale), ("mantis.seed", seed)):
        connection.execute("SELECT set_config(%s, %s, false)", (name, str(value)))
    for path in tqdm(files, "baseline", unit="file", leave=False, disable=not sys.stderr.isatty()):
        try:
            with connection.transaction():
                connection.execute(path.read_bytes())
        except psycopg.Error as error:
            raise Failed(f"baseline file {path.name} failed", found=str(error).strip()) from error


def _connect(parameters: Mapping[str, str]) -> Connection:
    options: dict[str, Any] = {
        **parameters,
        "application_name": "mantis-runbook/sandbox",
        "connect_timeout": 10,
    }
    return psycopg.connect(autocommit=True, **options)
