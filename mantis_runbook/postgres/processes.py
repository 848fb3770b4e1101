"""Processes of this machine: who lives, who works in a folder, and the servers we started."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from mantis_runbook.errors import ProgramError

__all__ = ["alive", "children", "pids", "send", "wait_for", "works_in"]

#: Servers that this process started, by pid: they must be reaped, or their postmaster.pid looks
#: alive for ever.
children: dict[int, subprocess.Popen[bytes]] = {}


def pids() -> list[int]:
    """Every process of this machine; none where there is no /proc."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def alive(pid: int) -> bool:
    """Whether the process runs.

    A child of ours that has ended is reaped; a zombie of somebody else's is not alive.
    """
    if (child := children.get(pid)) is not None and child.poll() is not None:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return not Path("/proc/self/stat").exists() and send(pid, 0)
    return state not in "ZX"


def works_in(pid: int, folder: Path) -> bool:
    """Whether the folder is the working directory of the process."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder.resolve()
    except OSError:
        return not Path("/proc/self/cwd").exists()  # no /proc on this system: the number must do


def send(pid: int, number: int) -> bool:
    """Send a signal. False if the process has gone or belongs to somebody else."""
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True


def wait_for(condition: Callable[[], bool], what: str, timeout: float) -> None:
    """Wait until the condition holds. Raises `ProgramError` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise ProgramError(f"waited {timeout:.0f} s for {what}")
        time.sleep(0.02)
