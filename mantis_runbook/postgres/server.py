"""A PostgreSQL server of our own: made, started, stopped, killed."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from mantis_runbook.errors import ProgramError, Refused
from mantis_runbook.postgres import processes, programs
from mantis_runbook.postgres.server_account import as_account, give, no_link

__all__ = ["SUPERUSER", "Server", "free_port"]

SUPERUSER = "mantis"

#: `sun_path` holds 108 bytes, the last of them zero.
SOCKET_PATH_LIMIT = 107

#: What a server gets unless its `settings` say otherwise. Durability is on: the sandbox promises
#: what production does.
SETTINGS = {
    "shared_buffers": "256MB",
    "max_connections": "120",
    "max_prepared_transactions": "10",
    "max_wal_size": "4GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_preload_libraries": "pg_stat_statements",
    "track_io_timing": "on",
    "log_line_prefix": "%m [%p] %a ",
    "log_lock_waits": "on",
    "log_timezone": "UTC",
    "timezone": "UTC",
}

SHUTDOWN = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


@dataclass
class Server:
    """One data folder, and the server that may be running on it.

    `bin` is the folder of `postgres` and `initdb`; `socket` a short folder for the Unix socket,
    0700. `listen` is empty (no TCP) or an address such as 127.0.0.1; then `port` should come from
    `free_port()`. `settings` go into `mantis.conf`, before `postgresql.auto.conf`: ALTER SYSTEM
    overrides them.
    """

    bin: Path
    data: Path
    socket: Path
    port: int = 5432
    listen: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    _leash: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def parameters(self) -> dict[str, str]:
        """Connection parameters (psycopg, libpq) of the superuser, for the database `postgres`."""
        return {
            "host": str(self.socket),
            "port": str(self.port),
            "user": SUPERUSER,
            "dbname": "postgres",
        }

    @property
    def log(self) -> Path:
        return self.data / "server.log"

    @property
    def version(self) -> int:
        """Major version of the programs."""
        return programs.version(self.bin / "postgres")

    def is_made(self) -> bool:
        """Whether there is a data folder; a half made one never has this name."""
        return (self.data / "PG_VERSION").is_file()

    def initdb(self) -> None:
        """Make the data folder: UTF-8, trust for local connections. Raises `ProgramError`."""
        half = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(half, ignore_errors=True)
        give(half, 0o700)
        try:
            _initdb(self.bin, half, "C.UTF-8")
        except ProgramError as error:
            if "locale" not in error.found:
                raise
            _initdb(self.bin, half, "C")
        with open(half / "postgresql.conf", "a", opener=no_link) as conf:
            conf.write("\ninclude = 'mantis.conf'\n")
        half.rename(self.data)

    def start(self) -> None:
        """Start as our child and wait until it answers; it stops when we end, however we end."""
        pid = self._launch(process_group=0)
        # The shell reads until our end of the pipe closes, which happens also when we are killed.
        watch = ["sh", "-c", f"read _; kill -QUIT {pid}"]
        self._leash = subprocess.Popen(watch, stdin=subprocess.PIPE, process_group=0)
        atexit.register(self.stop, "immediate")

    def start_detached(self) -> None:
        """Start in a session of its own and wait until it answers; it survives our end."""
        self._launch(start_new_session=True)

    def stop(
        self, mode: Literal["smart", "fast", "immediate"] = "fast", *, timeout: float = 60
    ) -> None:
        """Stop the server, if it runs, and wait for its end.

        Raises `ProgramError` after `timeout` seconds.
        """
        pid = self.pid()
        self._unleash()
        if pid is None:
            return
        os.kill(pid, SHUTDOWN[mode])
        self._await_end(pid, f"{mode} shutdown", timeout)

    def kill(self) -> None:
        """End the server as a crash would: SIGKILL for postmaster and every backend at once."""
        pid = self.pid()
        self._unleash()
        if pid is None:
            return
        os.kill(pid, signal.SIGKILL)
        for process in self._processes():
            processes.send(process, signal.SIGKILL)
        self._await_end(pid, "SIGKILL", 60)

    def reload(self) -> None:
        """Let the server read its configuration again (pg_hba.conf too)."""
        if pid := self.pid():
            os.kill(pid, signal.SIGHUP)

    def pid(self) -> int | None:
        """Process id of this folder's living postmaster; never that of a zombie or a stranger."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if processes.alive(pid) and processes.works_in(pid, self.data) else None

    def is_running(self) -> bool:
        """Whether the postmaster lives and accepts connections."""
        return self.pid() is not None and self._answers()

    def _answers(self) -> bool:
        conninfo = make_conninfo(**self.parameters, connect_timeout=2)
        return PGconn.ping(conninfo.encode()) == Ping.OK

    def _launch(self, **how: Any) -> int:
        give(self.socket, 0o700)
        _refuse_long_socket(f"{self.socket}/.s.PGSQL.{self.port}")
        _configure(self)
        self._forget_the_dead()
        with open(self.log, "ab", opener=no_link) as log:
            give(self.log, 0o600)
            command: list[str | Path] = [self.bin / "postgres", "-D", self.data]
            process: subprocess.Popen[bytes] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **as_account(), **how
            )
        processes.children[process.pid] = process
        try:
            processes.wait_for(
                self._ready(process),
                f"the server on {self.data} to accept connections; its log is {self.log}",
                120,
            )
        except BaseException:
            process.send_signal(SHUTDOWN["immediate"])
            process.wait(timeout=30)
            raise
        return process.pid

    def _ready(self, process: subprocess.Popen[bytes]) -> Callable[[], bool]:
        def ready() -> bool:
            if process.poll() is not None:
                raise ProgramError(
                    f"the server on {self.data} ended with exit code {process.returncode} while"
                    " starting",
                    found=_last_words(self.log.read_text(errors="replace")),
                    action=f"its log is {self.log}",
                )
            return self.pid() == process.pid and self._answers()

        return ready

    def _forget_the_dead(self) -> None:
        """Remove what a dead postmaster left: backends that hold its memory, and lock files.

        PostgreSQL believes a lock file if any process has its number, also a zombie.
        """
        if self.pid() is not None:
            return
        for orphan in self._processes():
            processes.send(orphan, signal.SIGKILL)
        processes.wait_for(
            lambda: not self._processes(),
            f"the end of the backends a dead server left on {self.data}",
            60,
        )
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        (self.socket / f".s.PGSQL.{self.port}.lock").unlink(missing_ok=True)

    def _processes(self) -> list[int]:
        """Postmaster and backends: each works in the data folder."""
        return [
            pid
            for pid in processes.pids()
            if processes.works_in(pid, self.data) and processes.alive(pid)
        ]

    def _await_end(self, pid: int, what: str, timeout: float) -> None:
        def ended() -> bool:
            return not processes.alive(pid) and not self._processes()

        processes.wait_for(
            ended, f"the end of server {pid} after {what}; its log is {self.log}", timeout
        )
        processes.children.pop(pid, None)
        self._forget_the_dead()

    def _unleash(self) -> None:
        atexit.unregister(self.stop)
        if self._leash is not None:
            self._leash.kill()
            self._leash.communicate()
            self._leash = None


def _initdb(folder: Path, data: Path, locale: str) -> None:
    options = [
        f"--pgdata={data}",
        f"--username={SUPERUSER}",
        "--auth=trust",
        "--encoding=UTF8",
        f"--locale={locale}",
    ]
    command: list[str | Path] = [
        folder / "initdb",
        *options,
        "--lc-messages=C",
        "--no-sync",
        "--no-instructions",
    ]
    result = subprocess.run(command, capture_output=True, text=True, **as_account())
    if result.returncode != 0:
        raise ProgramError(
            f"initdb could not make {data}", found=_last_words(result.stderr),
            action="correct what it names, or choose other programs with MANTIS_RUNBOOK_PG_BIN",
        )  # fmt: skip


def _configure(server: Server) -> None:
    given = {
        "listen_addresses": server.listen,
        "port": str(server.port),
        "unix_socket_directories": str(server.socket),
        "unix_socket_permissions": "0700",
    }
    lines = [
        f"{name} = '{_quoted(value)}'\n"
        for name, value in (SETTINGS | server.settings | given).items()
    ]
    with open(server.data / "mantis.conf", "w", opener=no_link) as conf:
        conf.writelines(lines)
    give(server.data / "mantis.conf", 0o600)


def _refuse_long_socket(path: str) -> None:
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise Refused(
            "the path of the server's socket is too long",
            found=f"{len(os.fsencode(path))} bytes: {path}",
            expected=f"at most {SOCKET_PATH_LIMIT}",
            action="set TMPDIR to a folder with a shorter path",
        )


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _last_words(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-8:]) or "no message"
