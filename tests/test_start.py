"""What a start brings along: commands and low rooms come without the libraries that only notebooks
and reports need.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from project import REPOSITORY

HEAVY = ("matplotlib", "nbconvert", "numpy", "pandas", "papermill")
LOW = ("postgres", "runs", "migrations", "backup", "engine", "watch")


def modules(room: str) -> list[str]:
    paths = sorted((REPOSITORY / "mantis_runbook" / room).rglob("*.py"))
    return [
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
        for path in paths
    ]


def brought(*names: str) -> set[str]:
    """Heavy libraries that a new interpreter has loaded after importing these modules."""
    program = f"import {', '.join(names)}, sys; print(*({set(HEAVY)} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("room", LOW)
def test_a_low_room_brings_nothing_heavy(room: str) -> None:
    assert brought(*modules(room)) == set()


def test_the_command_line_starts_without_anything_heavy() -> None:
    assert brought("mantis_runbook.cli") == set()
