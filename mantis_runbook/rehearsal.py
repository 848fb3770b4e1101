"""The rehearsal: a phase carried out on the restored backup, rolled back, and carried out again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mantis_runbook import catalog, fingerprint, validation
from mantis_runbook.apply import Applied, Engine, Watcher
from mantis_runbook.catalog import Difference
from mantis_runbook.database import connect
from mantis_runbook.fingerprint import Comparison, Fingerprint
from mantis_runbook.lock import hold
from mantis_runbook.migrations import Migration
from mantis_runbook.settings import Environment
from mantis_runbook.target import Target
from mantis_runbook.validation import Validated

__all__ = ["LEDGER_TABLES", "Rehearsal", "rehearse"]

#: Written by the runbook itself while it works, so no part of what must not change.
LEDGER_TABLES = ("public.schema_migrations", "public.migration_backups")


@dataclass(frozen=True)
class Rehearsal:
    """What happened on the copy. `content` compares the old columns before and after; `left_behind` the catalogue
    before and after the rollback."""

    applied: tuple[Applied, ...]
    validated: tuple[Validated, ...]
    content: Comparison
    rolled_back: tuple[Applied, ...]
    left_behind: Difference
    again: tuple[Applied, ...]

    @property
    def problems(self) -> list[str]:
        """What keeps the phase from going on; empty when all went as it must."""
        found = [f"{result.name}: {result.found}" for script in self.validated for result in script.failed]
        if not self.content.is_equal:
            found.append(f"old columns changed: {self.content.message}")
        if not self.left_behind.is_empty:
            found.append(f"the rollback leaves a difference: {self.left_behind}")
        return found


def rehearse(
    scratch: Target,
    migrations: Sequence[Migration],
    before: Fingerprint,
    environment: Environment,
    *,
    run: str,
    who: str,
    watch: Watcher = lambda event, **facts: None,
) -> Rehearsal:
    """Apply, validate, compare, roll back, compare, apply again: all on the copy in `scratch`.

    Raises what the engine raises when a step fails there: better there than on the target.
    """
    with hold(scratch, run, who) as fence, connect(scratch, "rehearsal") as connection:
        engine = Engine(scratch, environment, run, who, fence, watch)
        start = catalog.snapshot(connection)
        applied = tuple(engine.up(one) for one in migrations)
        validated = tuple(validation.validate(connection, one.validation) for one in migrations)
        columns = {name: names for name, names in before.columns.items() if name not in LEDGER_TABLES}
        after = fingerprint.take(connection, columns=columns)
        expected = Fingerprint(
            {name: table for name, table in before.tables.items() if name in columns}, before.sequences
        )
        rolled_back = tuple(engine.rollback(one) for one in reversed(migrations))
        left_behind = catalog.diff(start, catalog.snapshot(connection)).after_rollback
        again = tuple(engine.up(one) for one in migrations)
    return Rehearsal(applied, validated, fingerprint.compare(expected, after), rolled_back, left_behind, again)
