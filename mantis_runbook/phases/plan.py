"""The plan of a phase: what will run, on which database, and the hash that an approval names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mantis_runbook import settings
from mantis_runbook.engine.ledger import LedgerRow
from mantis_runbook.errors import ApprovalMissing
from mantis_runbook.migrations.files import Migration
from mantis_runbook.postgres.connection import Identity

__all__ = ["HASH_LENGTH", "Plan", "combined", "refuse_edited", "require_approval"]

#: Characters of the hash that a person types; 64 bits, far beyond a chance match.
HASH_LENGTH = 16


@dataclass(frozen=True)
class Plan:
    """What a phase would do to one database."""

    phase: str
    identity: Identity
    migrations: tuple[Migration, ...]
    rehearsal: str = "passed"

    @property
    def hash(self) -> str:
        """Over the files, the target's identity and the rehearsal's verdict; any change of them is
        another plan.
        """
        content = {
            "phase": self.phase,
            "files": {one.version: one.checksum for one in self.migrations} or _ledger_files(),
            "system": self.identity.system_identifier,
            "database": [self.identity.database, self.identity.database_oid],
            "rehearsal": self.rehearsal,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[
            :HASH_LENGTH
        ]

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record a step of every migration."""
        return [
            {
                "migration": migration.label,
                "step": step.name,
                "statements": len(step.statements),
                "how": (
                    "in batches"
                    if step.batched_over
                    else (
                        "each outside a transaction"
                        if step.for_each_row
                        else "in a transaction"
                        if step.transactional
                        else "outside a transaction"
                    )
                ),
                "what": (
                    "; ".join(statement.summary for statement in step.statements[:3])
                    + (f"; and {len(step.statements) - 3} more" if len(step.statements) > 3 else "")
                ),
            }
            for migration in self.migrations
            for step in migration.up.steps
        ]


def combined(plans: Sequence[Plan]) -> str:
    """The hash of several phases' plans; that of a single one is its own."""
    if len(plans) == 1:
        return plans[0].hash
    return hashlib.sha256("".join(plan.hash for plan in plans).encode()).hexdigest()[:HASH_LENGTH]


def require_approval(expected: str, given: str, *, what: str) -> None:
    """Raise `ApprovalMissing` unless what was given is the hash of this very plan."""
    if given.strip() != expected:
        raise ApprovalMissing(
            f"{what} is not approved",
            found=f"hash {given.strip()!r}" if given.strip() else "no approval",
            expected=f"hash {expected}",
            action=(
                "read the plan (`mantis-runbook plan`), then give its hash with --approve, or in"
                " the parameter `approve`"
            ),
        )


def refuse_edited(migrations: Iterable[Migration], ledger: Mapping[str, LedgerRow]) -> None:
    """Raise `MigrationFileError` when a file was changed after it was applied."""
    from mantis_runbook.errors import MigrationFileError

    for migration in migrations:
        row = ledger.get(migration.version)
        if row and row.status == "completed" and row.checksum != migration.checksum:
            raise MigrationFileError(
                f"migration {migration.label} was edited after it was applied",
                found=f"checksum {migration.checksum[:12]}…",
                expected=f"{str(row.checksum)[:12]}… as recorded in schema_migrations",
                action=(
                    "restore the files from version control; changes belong into a new migration"
                ),
            )


def _ledger_files() -> dict[str, str]:
    """Phase 0 applies no migration, but the ledger, the journal and the monitoring functions."""
    return {
        _name(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in preparation_files()
    }


def preparation_files() -> tuple[Path, ...]:
    """The SQL that phase 0 installs, in its order."""
    return tuple(
        sorted((settings.own_sql() / "ledger").glob("0*.sql"))
        + sorted((settings.own_sql() / "monitoring").glob("0*.sql"))
    )


def _name(path: Path) -> str:
    return str(path.relative_to(settings.own_sql()))
