"""Migration files: reading them into steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from mantis_runbook import settings
from mantis_runbook.errors import MigrationFileError, ParameterError
from mantis_runbook.migrations.scripts import Script, Step, header, read_script
from mantis_runbook.migrations.steps import sha256
from mantis_runbook.postgres.statements import Statement, parse_statements

__all__ = [
    "Migration",
    "Script",
    "Statement",
    "Step",
    "dependents",
    "find",
    "first_version",
    "load",
    "order_for",
    "parse_statements",
    "read_script",
]

FILE = re.compile(r"(?P<version>\d{3,})_(?P<name>[a-z0-9_]+?)(?P<role>_rollback|_validate)?\.sql")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Migration:
    """A version: its three scripts, its phase (a notebook), and the versions it requires."""

    version: str
    name: str
    title: str
    phase: str
    requires: tuple[str, ...]
    up: Script
    rollback: Script
    validation: Script

    @property
    def checksum(self) -> str:
        """SHA-256 over the three files' checksums, in hex."""
        return sha256(
            "".join(one.checksum for one in (self.up, self.rollback, self.validation)).encode()
        )

    @property
    def label(self) -> str:
        return f"{self.version} {self.name}"


def load(folder: Path | None = None) -> tuple[Migration, ...]:
    """All migrations of a folder (`sql/migrations` by default), in order of their versions.

    Raises `MigrationFileError` with everything that has to change, in all files, when any of them
    is not usable.
    """
    folder = folder or settings.sql() / "migrations"
    keys = _versions(folder)
    scripts = iter(
        _collect(
            partial(read_script, path, version=version) for path, version in _paths(folder, keys)
        )
    )
    migrations = [
        _migration(key, up, rollback, validation)
        for key, up, rollback, validation in zip(keys, scripts, scripts, scripts, strict=True)
    ]
    _refuse_unknown_requirements(migrations)
    return tuple(migrations)


def first_version() -> str:
    """The version that comes before all others, by the files' names.

    Raises `MigrationFileError` where there is none.
    """
    folder = settings.sql() / "migrations"
    if not (keys := _versions(folder)):
        raise MigrationFileError(f"{folder} holds no migration", expected="at least one")
    return keys[0][0]


def order_for(migrations: Iterable[Migration], phase: str) -> tuple[Migration, ...]:
    """The migrations of a phase, in the order in which they are applied."""
    return tuple(one for one in migrations if one.phase == phase)


def find(migrations: Iterable[Migration], version: str) -> Migration:
    """The migration of that version. Raises `ParameterError` for an unknown one."""
    known = {one.version: one for one in migrations}
    if version not in known:
        raise ParameterError(
            "migration",
            found=repr(version),
            expected="one of " + ", ".join(known),
            action="choose one of them",
        )
    return known[version]


def dependents(migrations: Iterable[Migration], version: str) -> tuple[Migration, ...]:
    """Those that require the version, directly or by way of others, in order."""
    reached = {version}
    dependent = []
    for migration in sorted(migrations, key=_order):
        if reached & set(migration.requires):
            reached.add(migration.version)
            dependent.append(migration)
    return tuple(dependent)


def _file_names(folder: Path) -> list[re.Match[str]]:
    if not folder.is_dir():
        raise MigrationFileError(
            f"{folder} is not a folder", expected="the folder of the migration files"
        )
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".sql")
    matches = [(path, FILE.fullmatch(path.name)) for path in paths]
    if strange := [path.name for path, match in matches if match is None]:
        raise MigrationFileError(
            f"{folder.name}/{strange[0]}", found="a name that is no migration's",
            expected="NNN_name.sql, NNN_name_rollback.sql or NNN_name_validate.sql, in lower case",
            action="rename the file, or move it elsewhere",
        )  # fmt: skip
    return [match for _, match in matches if match]


def _versions(folder: Path) -> list[tuple[str, str]]:
    """Version and name of each migration.

    Raises for a number used twice, and for files that are missing or stray.
    """
    roles: dict[tuple[str, str], set[str]] = {}
    for match in _file_names(folder):
        roles.setdefault((match["version"], match["name"]), set()).add(match["role"] or "")
    ordered = sorted(roles, key=lambda one: (int(one[0]), one))
    _collect(partial(_refuse_incomplete, folder, key, roles[key]) for key in ordered)
    for first, second in pairwise(ordered):
        if int(first[0]) == int(second[0]):
            raise MigrationFileError(
                f"migration number {first[0]}",
                found=f"{'_'.join(first)}.sql and {'_'.join(second)}.sql",
                expected="each number once",
                action="give the later one the next free number",
            )
    return ordered


def _refuse_incomplete(folder: Path, key: tuple[str, str], roles: set[str]) -> None:
    stem = "_".join(key)
    if "" not in roles:
        strays = " and ".join(f"{stem}{role}.sql" for role in sorted(roles))
        raise MigrationFileError(
            f"{folder.name}/{strays}",
            found="no migration of that name",
            expected=f"{stem}.sql beside it",
            action="give both the same number and name, or remove what is left over",
        )
    if missing := [f"{stem}{role}.sql" for role in ("_rollback", "_validate") if role not in roles]:
        raise MigrationFileError(
            f"{folder.name}/{stem}.sql", found=f"no {' and no '.join(missing)}",
            expected="a way back and a proof for every migration", action="write what is missing",
        )  # fmt: skip


def _paths(folder: Path, keys: Iterable[tuple[str, str]]) -> list[tuple[Path, str | None]]:
    """Three files a migration; with the version for the one that has a header."""
    roles = ("", "_rollback", "_validate")
    return [
        (folder / f"{v}_{name}{role}.sql", None if role else v)
        for v, name in keys
        for role in roles
    ]


def _migration(key: tuple[str, str], up: Script, rollback: Script, validation: Script) -> Migration:
    facts = header(up)
    return Migration(*key, facts.title, facts.phase, facts.requires, up, rollback, validation)


def _collect(tasks: Iterable[Callable[[], Result]]) -> list[Result]:
    """The results of all tasks; all their refusals in one error."""
    results: list[Result] = []
    refusals: list[MigrationFileError] = []
    for task in tasks:
        try:
            results.append(task())
        except MigrationFileError as refusal:
            refusals.append(refusal)
    if len(refusals) == 1:
        raise refusals[0]
    if refusals:
        raise MigrationFileError(
            "\n\n".join([f"{len(refusals)} migration files cannot be used", *map(str, refusals)])
        )
    return results


def _refuse_unknown_requirements(migrations: Sequence[Migration]) -> None:
    """Requirements must be known and earlier: that also keeps them free of circles."""
    known = {migration.version for migration in migrations}
    for migration in migrations:
        for required in migration.requires:
            if required in known and int(required) < int(migration.version):
                continue
            earlier = (
                ", ".join(
                    other.version for other in migrations if _order(other) < _order(migration)
                )
                or "none"
            )
            raise MigrationFileError(
                f"{migration.up.path.name} requires {required}",
                found=(
                    "a later version"
                    if required in known - {migration.version}
                    else "no such version before it"
                ),
                expected=f"an earlier one ({earlier})",
                action="correct the requires line, or renumber",
            )


def _order(migration: Migration) -> int:
    return int(migration.version)
