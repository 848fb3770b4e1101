"""Databases at every stage between the baseline and the last migration, migrated by the engine
itself, and what was seen there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from unittest.mock import patch

from mantis_runbook import sandbox, settings
from mantis_runbook.checks import compatibility, named_checks
from mantis_runbook.checks.compatibility import Compatibility
from mantis_runbook.checks.named_checks import Checks
from mantis_runbook.engine import ledger
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.files import Migration
from mantis_runbook.postgres.catalog import Catalog, snapshot
from mantis_runbook.postgres.connection import Connection, connect
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target

#: The installations in the wild: with Supabase's schema, and the other one, which has owners under
#: row-level security too.
INSTALLATIONS: dict[str, dict[str, Any]] = {
    "supabase": {},
    "extended": {"auth": "extended", "force_rls": True},
}

#: In the place of a validation that is still being written: what these tests ask is asked by their
#: own means.
NOTHING = "-- step: nothing yet\nSELECT 'never' WHERE false;\n"

PERSONAL = ("unmarked_personal_data", "unmarked_personal_data_elsewhere")

_climbed: dict[tuple[str, str], Climbed] = {}


@dataclass(frozen=True)
class Climbed:
    """A database with all migrations, and what was seen before the first ('baseline') and after
    each, by version.
    """

    target: Target
    before: Catalog
    compatibility: dict[str, Compatibility] = field(default_factory=dict)
    personal: dict[str, Checks] = field(default_factory=dict)

    def connect(self) -> Connection:
        return connect(self.target, "test")


@cache
def known() -> tuple[Migration, ...]:
    """All migrations that are there, read once."""
    folder = Path(mkdtemp(prefix="mantis-stages-"))
    try:
        shutil.copytree(settings.sql() / "migrations", folder, dirs_exist_ok=True)
        for path in sorted(folder.glob("*_rollback.sql")):
            validation = path.with_name(path.name.replace("_rollback", "_validate"))
            if not validation.exists():
                validation.write_text(NOTHING)
        return migration_files.load(folder)
    finally:
        shutil.rmtree(folder)


def climbed(server: Server, installation: str = "supabase") -> Climbed:
    """The database of that installation on that server, migrated when the first test asks for it.
    Leave it as it is.
    """
    key = (str(server.data), installation)
    if key not in _climbed:
        _climbed[key] = _climb(server, installation)
    return _climbed[key]


def _climb(server: Server, installation: str) -> Climbed:
    name = f"stages_{installation}"
    sandbox.drop(server, name)
    target = Target("stages", "variable", sandbox.clone(server, "template0", name))
    sandbox.load_baseline(target.parameters, scale=0.02, seed=2026, **INSTALLATIONS[installation])
    with connect(target, "test") as connection:
        ledger.install(connection)
        result = Climbed(target, snapshot(connection))
    everywhere = installation == "supabase"
    for version in _stages(target):
        if everywhere or version in ("baseline", known()[-1].version):
            _look(result, version)
    return result


def _stages(target: Target) -> Iterator[str]:
    yield "baseline"
    with hold(target, "stages", "test") as fence:
        engine = Engine(target, settings.environment("development"), "stages", "test", fence)
        for migration in known():
            engine.up(migration)
            yield migration.version


def _look(result: Climbed, version: str) -> None:
    with result.connect() as connection:
        result.compatibility[version] = compatibility.run(connection, result.before)
        with patch.object(
            migration_files, "load", return_value=known()
        ):  # the files are long, and read for each check
            result.personal[version] = named_checks.run(connection, 5, PERSONAL)
