"""Validations: SQL that must raise, or return rows, when something is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import stamina

from mantis_runbook import settings
from mantis_runbook.database import Connection, message_of
from mantis_runbook.errors import ValidationFailed
from mantis_runbook.migrations import Migration, Script, Statement, read_script

__all__ = [
    "Suite",
    "Validated",
    "ValidationResult",
    "problems",
    "require",
    "tests_of",
    "validate",
    "validate_file",
    "validate_suite",
]

SHOWN = 5

#: How a test begins the notice (or error) that it raises where this database has not what it needs: no pass, no failure.
NOT_APPLICABLE = "not applicable here: "

#: The columns of the strategy's data-integrity tests.
COUNTED = ["test_case", "failure_count"]

#: A validation that only waited for the application has found nothing yet: it gives way and tries again.
BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
PATIENCE_S = 30.0


@dataclass(frozen=True)
class ValidationResult:
    """One statement of a validation: passed, or what it found, with the SQLSTATE where it ended in an error; `warn` where
    it does not apply here, and says why."""

    name: str
    verdict: str
    found: str = ""
    sqlstate: str = ""


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
        return tuple(result for result in self.results if result.verdict == "fail")

    @property
    def records(self) -> list[dict[str, Any]]:
        return [{"name": one.name, "verdict": one.verdict, "found": one.found} for one in self.results]


@dataclass(frozen=True)
class Suite:
    """What must hold once migrations are applied: their validations, and the tests of the versions there."""

    validations: tuple[Validated, ...]
    tests: tuple[Validated, ...]

    @property
    def scripts(self) -> tuple[Validated, ...]:
        return self.validations + self.tests

    @property
    def problems(self) -> list[str]:
        """What is broken, in sentences; empty when all holds."""
        return problems(self.scripts)

    @property
    def statements(self) -> int:
        return _statements(self.scripts)

    @property
    def statements_of_tests(self) -> int:
        return _statements(self.tests)


def _statements(scripts: Iterable[Validated]) -> int:
    return sum(len(script.results) for script in scripts)


def tests_of(version: str) -> list[Path]:
    """The unit, integration and data-integrity tests of a migration: `sql/tests/<kind>_<version>_<name>.sql`."""
    return sorted((settings.sql() / "tests").glob(f"*_{version}_*.sql"))


def validate_suite(connection: Connection, migrations: Iterable[Migration], earlier: Iterable[str] = ()) -> Suite:
    """Run the validations of migrations and their tests; `earlier` are versions whose tests have to hold as well."""
    chosen = tuple(migrations)
    versions = sorted({*earlier, *(one.version for one in chosen)})
    return Suite(
        tuple(validate(connection, one.validation) for one in chosen),
        tuple(validate_file(connection, path) for version in versions for path in tests_of(version)),
    )


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


def problems(scripts: Iterable[Validated]) -> list[str]:
    """Every statement that found something, and every script that checked nothing, each with its file's name."""
    return [
        problem
        for script in scripts
        for problem in (
            [f"{script.source}, {result.name}: {result.found}" for result in script.failed]
            if script.results
            else [f"{script.source}: no validation in it"]
        )
    ]


def require(validated: Iterable[Validated]) -> None:
    """Raise `ValidationFailed` naming every statement that found something, and every script that checked nothing."""
    scripts = list(validated)
    found = problems(scripts)
    if found or not scripts:
        raise ValidationFailed(
            f"{len(found)} validation(s) failed",
            found="; ".join(found) or "no validation at all",
            expected="no violation",
            action="the migration is rolled back by itself where the environment says so; correct its cause and run again",
        )


def _run(connection: Connection, name: str, statement: Statement) -> ValidationResult:
    notices: list[str] = []

    def hear(diagnostic: psycopg.errors.Diagnostic) -> None:
        notices.append(diagnostic.message_primary or "")

    connection.add_notice_handler(hear)
    try:
        columns, violations = _violations(connection, statement)
    except psycopg.Error as error:
        message = message_of(error)
        verdict = "warn" if message.startswith(NOT_APPLICABLE) else "fail"
        return ValidationResult(name, verdict, message, error.sqlstate or "")
    finally:
        connection.remove_notice_handler(hear)
    if violations:
        shown = "; ".join(
            ", ".join(f"{c} {v}" for c, v in zip(columns, row, strict=True)) for row in violations[:SHOWN]
        )
        return ValidationResult(name, "fail", f"{len(violations)} row(s): {shown}")
    inapplicable = next((notice for notice in notices if notice.startswith(NOT_APPLICABLE)), "")
    return ValidationResult(name, "warn" if inapplicable else "pass", inapplicable)


def _violations(connection: Connection, statement: Statement) -> tuple[list[str], list[Any]]:
    """Columns and rows of the statement's result, in a transaction that is rolled back.

    The strategy's data-integrity tests give a row a test whatever they find: there, only those with failures count.
    """
    for attempt in stamina.retry_context(on=BUSY, attempts=None, timeout=PATIENCE_S, wait_initial=0.25, wait_max=1.0):
        with attempt, connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL client_min_messages = notice")
            cursor = connection.execute(statement.text)
            columns = [column.name for column in cursor.description or ()]
            found = cursor.fetchall() if cursor.description else []
            return columns, [row for row in found if row[-1]] if columns == COUNTED else found
    raise AssertionError("unreachable")
