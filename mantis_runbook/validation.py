"""Validations: SQL that must raise, or return rows, when something is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from mantis_runbook.database import Connection
from mantis_runbook.errors import ValidationFailed
from mantis_runbook.migrations import Script, Statement, read_script

__all__ = ["Validated", "ValidationResult", "require", "validate", "validate_file"]

SHOWN = 5


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
    return validate(connection, read_script(path))


def require(validated: Iterable[Validated]) -> None:
    """Raise `ValidationFailed` naming every statement that found something."""
    found = [f"{result.name}: {result.found}" for script in validated for result in script.failed]
    if found:
        raise ValidationFailed(
            f"{len(found)} validation(s) failed",
            found="; ".join(found),
            expected="no violation",
            action="the migration is rolled back by itself where the environment says so; correct its cause and run again",
        )


def _run(connection: Connection, name: str, statement: Statement) -> ValidationResult:
    try:
        with connection.transaction(force_rollback=True):
            cursor = connection.execute(statement.text)
            violations = cursor.fetchall() if cursor.description else []
    except psycopg.Error as error:
        return ValidationResult(name, "fail", error.diag.message_primary or str(error))
    if violations:
        columns = [column.name for column in cursor.description or ()]
        shown = "; ".join(
            ", ".join(f"{c} {v}" for c, v in zip(columns, row, strict=True)) for row in violations[:SHOWN]
        )
        return ValidationResult(name, "fail", f"{len(violations)} row(s): {shown}")
    return ValidationResult(name, "pass")
