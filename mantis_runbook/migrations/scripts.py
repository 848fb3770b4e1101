"""One file of a migration: read, cut into steps, and refused when the engine could not run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mantis_runbook.errors import MigrationFileError
from mantis_runbook.migrations.file_problems import Problem, problems_of
from mantis_runbook.migrations.headers import Header, header_of
from mantis_runbook.migrations.safe_steps import recut, render
from mantis_runbook.migrations.steps import Step, cut, sha256
from mantis_runbook.postgres.statements import Source, read

__all__ = ["Header", "Script", "Step", "header", "read_script"]


@dataclass(frozen=True)
class Script:
    """One file of a migration, cut into steps."""

    path: Path
    text: str
    steps: tuple[Step, ...]

    @property
    def checksum(self) -> str:
        """SHA-256 over the file's bytes, in hex."""
        return sha256(self.text.encode())


def read_script(path: Path, *, version: str | None = None) -> Script:
    """One file, cut into steps; with the header of its `version`, where that is given.

    Raises `MigrationFileError` with everything in it that has to change.
    """
    text = _text(path)
    source = read(text, path.name)
    steps = cut(source)
    if problems := problems_of(source, steps, version):
        raise _refusal(path, problems, source, steps)
    return Script(path, text, steps)


def header(script: Script) -> Header:
    """The header of a script that was read with its version."""
    return header_of(read(script.text, script.path.name))


def _text(path: Path) -> str:
    """The file as text, its line ends untouched.

    What is hashed and executed are the bytes that were reviewed.
    """
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise MigrationFileError(
            f"{path.name}:{line}",
            found=f"the byte 0x{error.object[error.start]:02x}",
            expected="UTF-8",
            action="save the file as UTF-8",
        ) from None
    except OSError as error:
        raise MigrationFileError(f"{path} cannot be read", found=str(error.strerror)) from None
    if text.startswith("\ufeff"):
        raise MigrationFileError(
            f"{path.name}:1",
            found="a byte order mark",
            expected="UTF-8 without one",
            action="save the file without it",
        )
    return text


def _refusal(
    path: Path, problems: Sequence[Problem], source: Source, steps: Sequence[Step]
) -> MigrationFileError:
    """All problems of a file in one message, and other steps to cut it into where that helps."""
    if len(problems) == 1 and not problems[0].recut:
        only = problems[0]
        return MigrationFileError(f"{path.name}:{only.line}", found=only.found, action=only.action)
    lines = "\n".join(f"  {problem}" for problem in problems)
    many = f"{len(problems)} things have" if len(problems) > 1 else "one thing has"
    message = f"{path.name}: {many} to change\n{lines}"
    if any(problem.recut for problem in problems):
        first = min((step.line for step in steps), default=None)
        early = [one for one in source.statements if first is None or one.line <= first]
        groups = [("", early), *((step.name, step.statements) for step in steps)]
        message += "\nas steps:\n" + "\n".join(
            f"  {line}" for line in render(recut(groups)).splitlines()
        )
    return MigrationFileError(message)
