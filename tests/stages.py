"""Databases at every stage between the baseline and the last migration, migrated by the engine itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from mantis_runbook import ledger, migrations, settings
from mantis_runbook.apply import Engine
from mantis_runbook.catalog import Catalog, snapshot
from mantis_runbook.database import connect
from mantis_runbook.lock import hold
from mantis_runbook.migrations import Migration
from mantis_runbook.target import Target

#: In the place of a validation that is still being written: what these tests ask is asked by their own means.
NOTHING = "-- step: nothing yet\nSELECT 'never' WHERE false;\n"


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
        return migrations.load(folder)
    finally:
        shutil.rmtree(folder)


def climb(parameters: dict[str, str]) -> Iterator[tuple[str, Catalog]]:
    """Before the first migration, and after each: its version (or 'baseline') and the catalogue of before the first."""
    target = Target("stages", "variable", parameters)
    with connect(target, "test") as connection:
        ledger.install(connection)
        before = snapshot(connection)
    yield "baseline", before
    with hold(target, "stages", "test") as fence:
        engine = Engine(target, settings.environment("development"), "stages", "test", fence)
        for migration in known():
            engine.up(migration)
            yield migration.version, before


def migrate(parameters: dict[str, str]) -> Catalog:
    """All migrations applied; the catalogue of before the first."""
    *_, (_, before) = climb(parameters)
    return before
