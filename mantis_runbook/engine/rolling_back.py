"""Rolling back one version or several: salvage, scripts, and the catalogue compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from mantis_runbook.backup import salvage
from mantis_runbook.backup.salvage import Salvage
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.engine.ledger import Ledger, LedgerRow
from mantis_runbook.engine.results import Applied, Watcher
from mantis_runbook.engine.seal import keep, seal, unseal
from mantis_runbook.engine.step_journal import StepJournal
from mantis_runbook.errors import (
    ApprovalMissing,
    Failed,
    FenceLost,
    ParameterError,
    Refused,
    RunbookError,
)
from mantis_runbook.migrations.files import Migration, dependents, find
from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.catalog import Catalog, Difference
from mantis_runbook.postgres.connection import GIVING_WAY, Connection
from mantis_runbook.runs.run import Run
from mantis_runbook.settings import Environment

__all__ = [
    "NOT_WATCHED",
    "SCOPES",
    "RolledBack",
    "choose",
    "others",
    "require_confirmation",
    "roll_back",
    "salvage_folder",
]

#: Which versions a rollback of VERSION means.
SCOPES = {
    "only": "this version",
    "after": "every version after this one, newest first; this one stays",
    "from": "this version and every one after it, newest first",
}

#: A rollback drops columns and tables that a probe would read, so none runs beside it: its evidence
#: says so.
NOT_WATCHED = "what readers and writers saw meanwhile was not measured"

#: States in which there is something to roll back.
APPLIED = ("running", "failed", "completed")


@dataclass(frozen=True)
class RolledBack:
    """A rollback carried out: what was salvaged, the passes, and what the catalogue shows beside
    the start.
    """

    salvage: Salvage
    applied: tuple[Applied, ...]
    left_behind: Difference


def choose(
    migrations: Sequence[Migration], ledger: dict[str, LedgerRow], version: str, scope: str = "only"
) -> tuple[Migration, ...]:
    """The migrations to roll back, newest first.

    Raises `ParameterError` for an unknown version or scope, `Refused` when later migrations stand
    on one of them.
    """
    if scope not in SCOPES:
        raise ParameterError(
            "scope", found=repr(scope), expected="one of " + ", ".join(SCOPES), action="choose one"
        )
    first = find(migrations, version)
    applied = [
        migration
        for migration in migrations
        if migration.version in ledger and ledger[migration.version].status in APPLIED
    ]
    chosen = _in_scope(applied, first.version, scope)
    if not chosen:
        status = ledger[version].status if version in ledger else "never applied"
        raise Refused(
            f"nothing to roll back for {version} ({SCOPES[scope]})",
            found=f"{version} is {status}",
            expected="an applied, failed or interrupted migration",
            action="look at `mantis-runbook status`",
        )
    names = {migration.version for migration in chosen}
    standing = [
        later
        for migration in chosen
        for later in dependents(migrations, migration.version)
        if later in applied and later.version not in names
    ]
    if standing:
        raise Refused(
            f"migration {version} cannot be rolled back alone",
            found="later migrations stand on it: "
            + ", ".join(dict.fromkeys(migration.label for migration in standing)),
            expected="none",
            action=(
                f"roll those back first, or all together: `mantis-runbook rollback {version}"
                " --scope from`"
            ),
        )
    return tuple(reversed(chosen))


def _in_scope(applied: Sequence[Migration], first: str, scope: str) -> list[Migration]:
    return {
        "only": [migration for migration in applied if migration.version == first],
        "after": [migration for migration in applied if int(migration.version) > int(first)],
        "from": [migration for migration in applied if int(migration.version) >= int(first)],
    }[scope]


def require_confirmation(limits: Environment, chosen: Sequence[Migration], typed: str) -> None:
    """Raise `ApprovalMissing` unless the versions were typed, where the environment asks for it."""
    expected = " ".join(one.version for one in chosen)
    if limits.rollback_confirmation and typed.split() != expected.split():
        raise ApprovalMissing(
            "the rollback is not confirmed",
            found=repr(typed) if typed else "no answer",
            expected=f"{expected!r} typed",
            action="type the versions, newest first (parameter `confirm`, or --confirm)",
        )


def roll_back(
    run: Run,
    chosen: Sequence[Migration],
    folder: Path,
    *,
    watch: Watcher = lambda event, **facts: None,
) -> RolledBack:
    """Seal, salvage into `folder`, carry out the rollback scripts newest first, and compare the
    catalogue with the start.

    New tables take no more writes meanwhile. New columns of older tables do: what is written there
    until they are gone is salvaged at the end.

    What others made since is neither sealed nor salvaged, and is no difference. Raises `Failed`
    when the salvage does not read back (nothing dropped), or a step fails (running it again
    resumes); the seals are taken off again.
    """
    with (
        hold(run.target, run.name, run.operator) as fence,
        run.connect("rollback", **GIVING_WAY) as connection,
    ):
        journal = StepJournal(connection, run.name, run.operator)
        passes = [_catalogs(journal, one) for one in reversed(chosen)]
        start, now = passes[0][0], _now(connection, journal, chosen[0])
        theirs = others(passes, now)
        engine = Engine(run.target, run.environment, run.name, run.operator, fence, watch)
        try:
            salvaged = _salvaged(connection, start, theirs, folder)
            watch(
                "salvage.finished",
                rows=salvaged.rows,
                files=len(salvaged.files),
                folder=str(folder),
            )
            applied = tuple(engine.rollback(one) for one in chosen)
            salvaged = salvage.take_late(connection, salvaged)
        except FenceLost:
            raise  # the seals are another runner's by now
        except BaseException:
            with suppress(psycopg.Error, RunbookError):
                unseal(connection)
            raise
        unseal(connection)
        left = catalog.left_behind(
            start, catalog.snapshot(connection), Ledger(connection).added_labels()
        )
        return RolledBack(salvaged, applied, _without(left, theirs, now))


def _salvaged(
    connection: Connection, start: Catalog, theirs: frozenset[tuple[str, str]], folder: Path
) -> salvage.Salvage:
    """Seal what the rollback drops, and salvage its rows; what is `theirs` stays as it is."""
    losses = salvage.losses(connection, start, spared=[name for _, name in theirs])
    seal(connection, [loss.name for loss in losses if not loss.only])
    for loss in losses:
        if loss.only:
            keep(connection, loss.schema, loss.table, loss.only, loss.key)
    return salvage.take(connection, losses, folder)


def others(
    passes: Sequence[tuple[Catalog, Catalog | None]], now: Catalog
) -> frozenset[tuple[str, str]]:
    """Class and name of what is not as these passes (oldest first; before, and after if it ended)
    left it. Pure.

    A pass that never ended is taken for the author of everything since it began.
    """
    expected = {
        (kind, name): text
        for kind, entries in _entries(passes[0][0])
        for name, text in entries.items()
    }
    for before, after in passes:
        for change in catalog.diff(before, now if after is None else after).changes:
            expected.pop((change.kind, change.name), None)
            if change.after is not None:
                expected[change.kind, change.name] = change.after
    present = {
        (kind, name): text for kind, entries in _entries(now) for name, text in entries.items()
    }
    return frozenset(
        key for key in expected.keys() | present.keys() if expected.get(key) != present.get(key)
    )


def _entries(snapshot: Catalog) -> list[tuple[str, Mapping[str, str]]]:
    return [(kind, snapshot[kind]) for kind in snapshot if kind != catalog.COLUMN_ORDER]


def _without(left: Difference, theirs: frozenset[tuple[str, str]], now: Catalog) -> Difference:
    """A difference less what others changed and the rollback did not touch."""
    kept = (
        c
        for c in left.changes
        if (c.kind, c.name) not in theirs or c.after != now[c.kind].get(c.name)
    )
    return replace(left, changes=tuple(kept))


def _now(connection: Connection, journal: StepJournal, newest: Migration) -> Catalog:
    """The catalogue before this rollback: as noted by a try that was cut off, else as it is."""
    text = journal.catalog_at_rollback(newest.version)
    return Catalog.from_json(text) if text else catalog.snapshot(connection)


def _catalogs(journal: StepJournal, migration: Migration) -> tuple[Catalog, Catalog | None]:
    """The catalogue before and after a migration, as the journal has them."""
    before, after = (
        journal.catalog_before(migration.version),
        journal.catalog_after(migration.version),
    )
    if before is None:
        raise Failed(
            f"the catalogue from before migration {migration.version} is not on record",
            expected="a row in the journal",
            action="restore the backup instead; its place is in migration_backups",
        )
    return Catalog.from_json(before), Catalog.from_json(after) if after else None


def salvage_folder(run: Run) -> Path:
    """A folder for the next salvage of this run; an earlier one is never written over."""
    taken = len(list(run.backups.glob("salvage-*"))) if run.backups.exists() else 0
    return run.backups / f"salvage-{taken + 1}"
