"""Validations: SQL that must raise, or return rows, when something is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import stamina

from mantis_runbook.database import Connection
from mantis_runbook.errors import ValidationFailed
from mantis_runbook.migrations import Script, Statement, read_script

__all__ = ["Validated", "ValidationResult", "require", "validate", "validate_file"]

SHOWN = 5

#: The columns of the strategy's data-integrity tests.
COUNTED = ["test_case", "failure_count"]

#: A validation that only waited for the application has found nothing yet: it gives way and tries again.
BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
PATIENCE_S = 30.0


@dataclass(frozen=True)
class ValidationResult:
    """One statement of a validation: passed, or what it found."""

    name: str
    verdict: str
    found: str = ""


@dataclass(frozen=True)
class Validated:
    """All statements of a validation script, in order."""

    source: str
    results: tuple[ValidationResult, ...]

    @property
    def verdict(self) -> str:
        return "fail" if self.failed or not self.results else "pass"

    @property
    def failed(self) -> tuple[ValidationResult, ...]:
        return tuple(result for result in self.results if result.verdict != "pass")

    @property
    def records(self) -> list[dict[str, Any]]:
        return [vars(result) for result in self.results]


def validate(connection: Connection, script: Script) -> Validated:
    """Run every statement of a script, each in a transaction that is always rolled back: a validation leaves nothing.

    A statement that raises, or returns rows, has found something; one that could not run at all is found as well.
    """
    results = [
        _run(connection, step.name if number == 1 else f"{step.name} ({number})", statement)
        for step in script.steps
        for number, statement in enumerate(step.statements, start=1)
    ]
    return Validated(script.path.name, tuple(results))


def validate_file(connection: Connection, path: Path) -> Validated:
    """As `validate`, for a script by its path. Raises `MigrationFileError` when it cannot be read."""
    return validate(connection, read_script(path))


def require(validated: Iterable[Validated]) -> None:
    """Raise `ValidationFailed` naming every statement that found something, and every script that checked nothing."""
    scripts = list(validated)
    found = [f"{result.name}: {result.found}" for script in scripts for result in script.failed]
    found += [f"{script.source}: no validation in it" for script in scripts if not script.results]
    if found or not scripts:
        raise ValidationFailed(
            f"{len(found)} validation(s) failed",
            found="; ".join(found) or "no validation at all",
            expected="no violation",
            action="the migration is rolled back by itself where the environment says so; correct its cause and run again",
        )


def _run(connection: Connection, name: str, statement: Statement) -> ValidationResult:
    try:
        columns, violations = _violations(connection, statement)
    except psycopg.Error as error:
        return ValidationResult(name, "fail", error.diag.message_primary or str(error))
    if violations:
        shown = "; ".join(
            ", ".join(f"{c} {v}" for c, v in zip(columns, row, strict=True)) for row in violations[:SHOWN]
        )
        return ValidationResult(name, "fail", f"{len(violations)} row(s): {shown}")
    return ValidationResult(name, "pass")


def _violations(connection: Connection, statement: Statement) -> tuple[list[str], list[Any]]:
    """Columns and rows of the statement's result, in a transaction that is rolled back.

    The strategy's data-integrity tests give a row a test whatever they find: there, only those with failures count.
    """
    for attempt in stamina.retry_context(on=BUSY, attempts=None, timeout=PATIENCE_S, wait_initial=0.25, wait_max=1.0):
        with attempt, connection.transaction(force_rollback=True):
            cursor = connection.execute(statement.text)
            columns = [column.name for column in cursor.description or ()]
            found = cursor.fetchall() if cursor.description else []
            return columns, [row for row in found if row[-1]] if columns == COUNTED else found
    raise AssertionError("unreachable")
