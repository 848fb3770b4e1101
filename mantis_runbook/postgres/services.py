"""Connection services: what a service file says of one, read as libpq reads it."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import psycopg

from mantis_runbook.errors import TargetError

__all__ = ["keywords", "names", "parameters"]

FILE = "pg_service.conf"

#: Where Debian's libpq looks. The one that psycopg brings was built with a folder of its own, which
#: nobody fills.
DEBIAN = Path("/etc/postgresql-common")


@cache
def keywords() -> dict[str, str]:
    """Every keyword of libpq and the variable that stands for it, empty where there is none."""
    return {
        option.keyword.decode(): option.envvar.decode() if option.envvar else ""
        for option in psycopg.pq.Conninfo.get_defaults()
    }


def names() -> set[str]:
    """The services that are defined."""
    return {
        name
        for path in _files()
        if path.is_file()
        for _, line in _lines(path)
        if (name := _heading(line))
    }


def parameters(service: str) -> dict[str, str]:
    """What the service says, as connection parameters.

    Raises `TargetError` where it is not defined, or libpq would not read its lines; a value is
    never shown.
    """
    files = _files()
    for path in files:
        if path.is_file() and (block := _block(path, service)) is not None:
            return _parsed(service, path, block)
    raise TargetError(
        f'definition of service "{service}" not found',
        expected=f"[{service}] in " + " or ".join(map(str, files)),
        action="define it there, or set PGSERVICEFILE to the file that does",
    )


def _files() -> list[Path]:
    first = os.environ.get("PGSERVICEFILE")
    own = Path(first) if first else Path.home() / f".{FILE}"
    chosen = os.environ.get("PGSYSCONFDIR")
    system = [Path(chosen)] if chosen else [*_configured(), DEBIAN]
    return list(dict.fromkeys([own, *(folder / FILE for folder in system)]))


@cache
def _configured() -> tuple[Path, ...]:
    """The folder that the installed libpq was built with."""
    program = shutil.which("pg_config")
    if not program:
        return ()
    try:
        text = subprocess.run(
            [program, "--sysconfdir"], capture_output=True, text=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return (Path(text),) if text else ()


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "") or "bytes that are no UTF-8"
        raise TargetError(
            f"service file {path} cannot be read",
            found=reason,
            action="correct the file or its rights",
        ) from None
    numbered = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    return [(number, line) for number, line in numbered if line and not line.startswith("#")]


def _heading(line: str) -> str:
    return line[1:].partition("]")[0] if line.startswith("[") and "]" in line else ""


def _block(path: Path, service: str) -> list[tuple[int, str]] | None:
    """The lines under the first heading of that name; None where there is no such heading."""
    block: list[tuple[int, str]] | None = None
    for number, line in _lines(path):
        if line.startswith("["):
            if block is not None:
                return block
            block = [] if _heading(line) == service else None
        elif block is not None:
            block.append((number, line))
    return block


def _parsed(service: str, path: Path, block: list[tuple[int, str]]) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for number, line in block:
        key, equals, value = line.partition("=")
        if not equals or key not in keywords() or key in ("service", "servicefile"):
            raise TargetError(
                f"service {service}: line {number} of {path}",
                found=_fault(key, equals),
                expected=(
                    "keyword=value, without spaces around the equals sign, with a keyword of libpq"
                ),
                action="correct that line",
            )
        parameters.setdefault(key, value)  # libpq takes the first of two
    return parameters


def _fault(key: str, equals: str) -> str:
    if key.startswith(("ldap:", "ldaps:")):
        return "a look-up by LDAP, which the runbook does not do"
    if not equals:
        return "a line without an equals sign"  # not shown: it may be the rest of a secret
    if key in ("service", "servicefile"):
        return "a service within a service"
    return f"unknown key {key!r}"
