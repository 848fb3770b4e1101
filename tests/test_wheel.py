"""The wheel: installed outside the clone it has every room, the files beside them, and a command
that starts. No network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project import REPOSITORY

PACKAGE = REPOSITORY / "mantis_runbook"


def pip(*words: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a wheel of this clone is installed in; what it depends on stays where it
    is.
    """
    folder = tmp_path_factory.mktemp("wheel")
    clone = folder / "clone"
    shutil.copytree(PACKAGE, clone / "mantis_runbook", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / name, clone)
    pip("wheel", "--no-index", "--no-build-isolation", "--no-deps", "--wheel-dir", folder, clone)
    (wheel,) = folder.glob("mantis_runbook-*.whl")
    pip("install", "--no-index", "--no-deps", "--target", folder / "installed", wheel)
    return folder / "installed"


def files(package: Path) -> set[Path]:
    return {
        path.relative_to(package)
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_file_of_the_package(installed: Path) -> None:
    assert files(installed / "mantis_runbook") == files(PACKAGE)


@pytest.mark.parametrize("words", [["--help"], ["status", "--help"]], ids=" ".join)
def test_an_installed_command_starts(installed: Path, words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, installed / "bin" / "mantis-runbook", *words],
        cwd=installed,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: mantis-runbook")


def test_what_is_imported_is_what_was_installed(installed: Path) -> None:
    program = (
        "from mantis_runbook.engine import engine; from mantis_runbook.phases.report import build;"
        " print(engine.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=installed,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == installed / "mantis_runbook" / "engine" / "engine.py"
