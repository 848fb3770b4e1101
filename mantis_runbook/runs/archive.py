"""A run's folder: its name, its place among the others, and the evidence in it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from mantis_runbook import settings
from mantis_runbook.errors import Inconclusive
from mantis_runbook.runs.journal import Journal, plain

__all__ = [
    "EVIDENCE", "all_runs", "create", "evidence_path", "latest", "read_evidence", "started_at",
    "target_of", "write_evidence",
]  # fmt: skip

EVIDENCE = "evidence"

#: 20261122T130501Z-sandbox, and 20261122T130501Z-sandbox~2 for a second one in the same second.
NAME = re.compile(r"(?P<when>\d{8}T\d{6}Z)-(?P<target>[\w.-]+?)(?:~(?P<twin>\d+))?")


def create(target_name: str, when: datetime | None = None) -> Path:
    """A new, empty folder for a run against that target, named after the instant and the target."""
    reports = settings.reports()
    reports.mkdir(parents=True, exist_ok=True)
    stamp = (when or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    for name in _names(f"{stamp}-{_slug(target_name)}"):
        try:
            (reports / name).mkdir()
        except FileExistsError:
            continue
        return reports / name
    raise AssertionError("unreachable")


def all_runs(reports: Path | None = None) -> list[Path]:
    """The folders of all runs, oldest first, also of those that were abandoned."""
    reports = reports or settings.reports()
    folders = (
        [path for path in reports.iterdir() if NAME.fullmatch(path.name)]
        if reports.is_dir()
        else []
    )
    return sorted((path for path in folders if path.is_dir()), key=_order)


def latest(target_name: str) -> Path | None:
    """The newest run's folder of that target, finished or not."""
    return next((path for path in reversed(all_runs()) if target_of(path) == target_name), None)


def target_of(folder: Path) -> str:
    """The target's name, from the journal; without an entry, from the folder's name."""
    for entry in Journal(folder).entries():
        if entry.event == "run.started" and "target" in entry.facts:
            return str(entry.facts["target"])
    match = NAME.fullmatch(folder.name)
    return match["target"] if match else folder.name


def started_at(folder: Path) -> datetime | None:
    """The instant in the folder's name, UTC; None for a folder that is not named like a run."""
    match = NAME.fullmatch(folder.name)
    return datetime.strptime(match["when"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if match else None


def evidence_path(folder: Path, phase: str, name: str) -> Path:
    """Where the evidence of that name lies, or would lie."""
    return folder / EVIDENCE / f"{_slug(phase)}.{_slug(name)}.json"


def write_evidence(folder: Path, phase: str, name: str, data: Any) -> Path:
    """Keep `data` as JSON; whole or not at all, an earlier version is replaced.

    Returns the file's path.
    """
    path = evidence_path(folder, phase, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    text = json.dumps(plain(data), ensure_ascii=False, indent=1, allow_nan=False)
    with unfinished.open("wb") as file:
        file.write(text.encode("utf-8", "backslashreplace") + b"\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return path


def read_evidence(folder: Path, phase: str, name: str) -> Any:
    """What was kept under that name, or None.

    Raises `Inconclusive` when the file is there and cannot be read.
    """
    path = evidence_path(folder, phase, name)
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Inconclusive(
            f"evidence {path.name} of run {folder.name}",
            found=f"no JSON ({error})",
            expected="what the run wrote",
            action="check the archive with `mantis-runbook verify`",
        ) from None


def _names(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}~{number}" for number in count(2))


def _order(folder: Path) -> tuple[str, int, str]:
    match = NAME.fullmatch(folder.name)
    assert match is not None
    return match["when"], int(match["twin"] or 1), match["target"]


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip(".") or "unnamed"
