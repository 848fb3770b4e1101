"""Checks as files: a query under a header that says what it expects and what to do otherwise."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mantis_runbook import settings
from mantis_runbook.errors import ParameterError

__all__ = ["REPORT", "Check", "load", "paths", "read"]

Severity = Literal["fail", "warn", "info"]

HEADER = re.compile(r"-- (check|title|severity|phases|expected|action|reads|each|before): *(.*)")
SEVERITY = re.compile(r"(fail|warn|info)(?:, (fail|warn) from (\d))?")
COMMENTS = re.compile(r"\A(?:--.*\n)+")
#: What a header says of a check that belongs to every phase.
EVERY = "all"

NEEDED = ("check", "title", "severity", "phases", "expected", "action", "reads")

#: How the names of files begin that are reports, not checks.
REPORT = "report_"


@dataclass(frozen=True)
class Check:
    """A predicate: its name, how bad a finding is in this phase, what to expect, what to do."""

    name: str
    title: str
    severity: Severity
    expected: str
    action: str
    phases: tuple[str, ...] = ()
    reads: str = ""
    each: Literal["", "counts", "must run"] = ""
    before: Literal["", "warns"] = ""
    path: Path = Path()

    def is_of(self, phase: str) -> bool:
        """Whether the check belongs to that phase."""
        return self.phases == (EVERY,) or phase in self.phases

    @property
    def text(self) -> str:
        """Its query: no row if all is well, else `(object text, found bigint, detail text)`.

        With `each`, it returns questions instead, `(object text, statement text)`. Each of them
        `counts`, returning `(found bigint, detail text)`, and is found when that is not 0; or it
        `must run`, and is found when it raises. The header is not sent: it is for people,
        and not every database knows its characters.
        """
        return COMMENTS.sub("", self.path.read_text())


def load(phase: str) -> tuple[Check, ...]:
    """All checks, by name, with the severity they have in that phase."""
    return tuple(read(path, phase) for path in paths() if not path.stem.startswith(REPORT))


def paths() -> list[Path]:
    """The files of the runbook's own checks and of the application's, by name.

    The application's are in `checks/application/`. Raises `ParameterError` for a name in both.
    """
    own = {path.stem: path for path in (settings.own_sql() / "checks").glob("*.sql")}
    applications = {
        path.stem: path for path in (settings.sql() / "checks" / "application").glob("*.sql")
    }
    if twice := sorted(own.keys() & applications.keys()):
        raise ParameterError(
            f"check {twice[0]} is there twice",
            found="one of the application's, and one of the runbook's own",
            expected="each name once",
            action=f"rename checks/application/{twice[0]}.sql",
        )
    return [path for _, path in sorted((own | applications).items())]


def read(path: Path, phase: str) -> Check:
    """A check as a phase has it, from the header of its file.

    Raises `ParameterError` for an incomplete header.
    """
    header = dict(HEADER.findall(path.read_text()))
    severity = SEVERITY.fullmatch(header.get("severity", ""))
    missing = [name for name in NEEDED if not header.get(name)]
    if missing or severity is None or header["check"] != path.stem:
        raise ParameterError(
            f"checks/{path.name}",
            found=f"a header without {', '.join(missing)}"
            if missing
            else "a header of another check",
            expected="-- " + ": …, -- ".join(NEEDED),
            action="complete the header",
        )
    usual, later, since = severity.groups()
    worse = bool(later) and int(phase) >= int(since)
    phases = (EVERY,) if header["phases"] == EVERY else tuple(re.findall(r"\d+", header["phases"]))
    return Check(
        name=path.stem,
        title=header["title"],
        expected=header["expected"],
        action=header["action"],
        phases=phases,
        reads=header["reads"],
        each=header.get("each", ""),
        before=header.get("before", ""),
        path=path,
        severity=later if worse else usual,  # type: ignore[arg-type]
    )
