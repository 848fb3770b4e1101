"""What can go wrong, and which exit code it means."""

from __future__ import annotations

__all__ = [
    "ApprovalMissing",
    "BackupNotProven",
    "Failed",
    "FenceLost",
    "GuardTripped",
    "Inconclusive",
    "LockNotObtained",
    "MigrationFileError",
    "ParameterError",
    "PoolerRefused",
    "PrecheckFailed",
    "ProgramError",
    "Refused",
    "RunbookError",
    "StepFailed",
    "TargetError",
    "ValidationFailed",
]


class RunbookError(Exception):
    """Root of all errors of the runbook.

    A message reads: what it is about, what was found, what was expected, what to do. Each part is
    kept as an attribute, so that a report can set them apart. `exit_code` is what the command line
    ends with.
    """

    exit_code = 1

    def __init__(self, what: str, *, found: str = "", expected: str = "", action: str = "") -> None:
        self.what, self.found, self.expected, self.action = what, found, expected, action
        facts = ", ".join(
            part
            for part in (
                f"found {found}" if found else "",
                f"expected {expected}" if expected else "",
            )
            if part
        )
        message = f"{what}: {facts}" if facts else what
        super().__init__(f"{message}; {action}" if action else message)

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message, and no traceback, which could hold values."""
        return [f"{type(self).__name__}: {self}"]


class Refused(RunbookError):
    """Nothing was changed: bad input, a failed precheck, a missing approval. Exit code 2."""

    exit_code = 2


class Failed(RunbookError):
    """Something was tried and did not succeed. Exit code 1."""

    exit_code = 1


class Inconclusive(RunbookError):
    """The evidence does not suffice for a verdict. Exit code 3."""

    exit_code = 3


class TargetError(Refused):
    """The target is unknown, unreachable, or not a database this runbook may work on."""


class PoolerRefused(TargetError):
    """A pooler in transaction mode stands between us and the server."""


class ParameterError(Refused):
    """A parameter, environment, phase or setting is unknown or of the wrong type."""


class MigrationFileError(Refused):
    """A migration file, or the set of them, is not as the engine needs it."""


class PrecheckFailed(Refused):
    """At least one check that guards the next step did not pass."""


class ApprovalMissing(Refused):
    """The plan was not approved, or what was approved is not this plan."""


class ProgramError(Failed):
    """A program (pg_dump, pg_restore, pgbench …) is missing, too old, or ended with an error."""


class BackupNotProven(Failed):
    """The backup does not restore to what its own snapshot held."""


class StepFailed(Failed):
    """A migration step ended with an error; its transaction was rolled back."""


class LockNotObtained(Failed):
    """A step gave up its lock until its deadline had passed; the blockers are named."""


class FenceLost(Failed):
    """Another runner took over; this one must not touch the database any more."""


class GuardTripped(Failed):
    """A limit of the environment was reached during a migration; the running step was stopped."""


class ValidationFailed(Failed):
    """A validation found violations, or raised."""
