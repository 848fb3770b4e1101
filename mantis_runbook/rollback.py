"""Rolling back: one version or several, newest first; salvage first; the catalogue compared at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mantis_runbook import catalog, salvage
from mantis_runbook.apply import Applied, Engine, Watcher
from mantis_runbook.catalog import Catalog, Difference
from mantis_runbook.errors import ApprovalMissing, Failed, ParameterError, Refused
from mantis_runbook.ledger import Ledger, LedgerRow, StepJournal
from mantis_runbook.lock import hold
from mantis_runbook.migrations import Migration, dependents, find
from mantis_runbook.run import Run
from mantis_runbook.salvage import Salvage
from mantis_runbook.settings import Environment

__all__ = ["SCOPES", "RolledBack", "choose", "require_confirmation", "roll_back", "salvage_folder"]

#: Which versions a rollback of VERSION means.
SCOPES = {
    "only": "this version",
    "after": "every version after this one, newest first; this one stays",
    "from": "this version and every one after it, newest first",
}

#: States in which there is something to roll back.
APPLIED = ("running", "failed", "completed")


@dataclass(frozen=True)
class RolledBack:
    """A rollback carried out: what was salvaged, the passes, and what the catalogue shows beside the start."""

    salvage: Salvage
    applied: tuple[Applied, ...]
    left_behind: Difference


def choose(
    migrations: Sequence[Migration], ledger: dict[str, LedgerRow], version: str, scope: str = "only"
) -> tuple[Migration, ...]:
    """The migrations to roll back, newest first.

    Raises `ParameterError` for an unknown version or scope, `Refused` when later migrations stand on one of them.
    """
    if scope not in SCOPES:
        raise ParameterError("scope", found=repr(scope), expected="one of " + ", ".join(SCOPES), action="choose one")
    first = find(migrations, version)
    applied = [one for one in migrations if one.version in ledger and ledger[one.version].status in APPLIED]
    chosen = {
        "only": [one for one in applied if one.version == first.version],
        "after": [one for one in applied if one.version > first.version],
        "from": [one for one in applied if one.version >= first.version],
    }[scope]
    if not chosen:
        status = ledger[version].status if version in ledger else "never applied"
        raise Refused(
            f"nothing to roll back for {version} ({SCOPES[scope]})",
            found=f"{version} is {status}",
            expected="an applied, failed or interrupted migration",
            action="look at `mantis-runbook status`",
        )
    names = {one.version for one in chosen}
    standing = [
        later
        for one in chosen
        for later in dependents(migrations, one.version)
        if later in applied and later.version not in names
    ]
    if standing:
        raise Refused(
            f"migration {version} cannot be rolled back alone",
            found="later migrations stand on it: " + ", ".join(dict.fromkeys(one.label for one in standing)),
            expected="none",
            action=f"roll those back first, or all together: `mantis-runbook rollback {version} --scope from`",
        )
    return tuple(reversed(chosen))


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
    run: Run, chosen: Sequence[Migration], folder: Path, *, watch: Watcher = lambda event, **facts: None
) -> RolledBack:
    """Seal, salvage into `folder`, carry out the rollback scripts newest first, and compare the catalogue with the start.

    Raises `Failed` when the salvage does not read back (nothing dropped, seals taken off again), or a step fails
    (running it again resumes).
    """
    with hold(run.target, run.name, run.operator) as fence, run.connect("rollback") as connection:
        Ledger(connection).require()
        journal = StepJournal(connection, run.name, run.operator)
        text = journal.catalog_before(chosen[-1].version)
        start = Catalog.from_json(text) if text else None
        if start is None:
            raise Failed(
                f"the catalogue from before migration {chosen[-1].version} is not on record",
                expected="a row in the journal",
                action="restore the backup instead; its place is in migration_backups",
            )
        kept = _salvage(connection, start, folder)
        watch("salvage.finished", rows=kept.rows, files=len(kept.files), folder=str(folder))
        engine = Engine(run.target, run.environment, run.name, run.operator, fence, watch)
        applied = tuple(engine.rollback(one) for one in chosen)
        return RolledBack(kept, applied, catalog.diff(start, catalog.snapshot(connection)).after_rollback)


def salvage_folder(run: Run) -> Path:
    """A folder for the next salvage of this run; an earlier one is never written over."""
    taken = len(list(run.backups.glob("salvage-*"))) if run.backups.exists() else 0
    return run.backups / f"salvage-{taken + 1}"


def _salvage(connection: Any, start: Catalog, folder: Path) -> Salvage:
    salvage.seal(connection, start)
    try:
        return salvage.take(connection, start, folder)
    except BaseException:
        salvage.unseal(connection, start)
        raise
