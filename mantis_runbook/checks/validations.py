"""Validations: SQL that must raise, or return rows, when something is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import stamina
from psycopg import sql

from mantis_runbook import application, settings
from mantis_runbook.checks.tenants.acts_as import ActsAs, Person
from mantis_runbook.checks.tenants.settings import learn_here
from mantis_runbook.engine.step_journal import StepJournal
from mantis_runbook.errors import ValidationFailed
from mantis_runbook.migrations.files import (
    Migration,
    Script,
    Statement,
    first_version,
    read_script,
)
from mantis_runbook.postgres.catalog import Catalog, snapshot
from mantis_runbook.postgres.connection import Connection, message_of, scalar

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

#: How a test begins the notice (or error) that it raises where this database has not what it needs:
#: no pass, no failure.
NOT_APPLICABLE = "not applicable here: "

#: The innermost function of an error's context, and the errors that a function's own text has: it
#: names what is not there.
INNERMOST = re.compile(r"^PL/pgSQL function (.+?) line \d", re.MULTILINE)
OWN_FAULT = re.compile(r"42(?!501)")

ACTING = "acting.sql"

#: Who acts, while a test acts: `sql/tenants/acting.sql` puts the real ones in their places.
ANYBODY = Person(user="{user}", org="{org}", role="{role}")

#: The columns of the strategy's data-integrity tests.
COUNTED = ["test_case", "failure_count"]

#: A validation that only waited for the application has found nothing yet: it gives way and tries
#: again.
BUSY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)
PATIENCE_S = 30.0


@dataclass(frozen=True)
class ValidationResult:
    """One statement of a validation: passed, or what it found, with the SQLSTATE where it ended in
    an error; `warn` where it does not apply here, and says why.
    """

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
        return [
            {"name": result.name, "verdict": result.verdict, "found": result.found}
            for result in self.results
        ]


@dataclass(frozen=True)
class Suite:
    """What must hold once migrations are applied: their validations, and the tests of the versions
    there.
    """

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
    """The unit, integration and data-integrity tests of a migration:
    `sql/tests/<kind>_<version>_<name>.sql`.
    """
    return sorted((settings.sql() / "tests").glob(f"*_{version}_*.sql"))


def validate_suite(
    connection: Connection, migrations: Iterable[Migration], earlier: Iterable[str] = ()
) -> Suite:
    """Run the validations of migrations and their tests; `earlier` are versions whose tests have to
    hold as well.
    """
    chosen = tuple(migrations)
    versions = sorted({*earlier, *(one.version for one in chosen)})
    acts = learn_here(connection) if application.load().tenants else ActsAs()
    doubt = (
        Validated(ACTING, (ValidationResult("who acts", "warn", acts.summary),))
        if acts.doubt
        else None
    )
    acting = stage(acts)
    tests = (
        validate(connection, read_script(path), acting)
        for version in versions
        for path in tests_of(version)
    )
    return Suite(
        tuple(validate(connection, one.validation) for one in chosen),
        (doubt, *tests) if doubt else tuple(tests),
    )


def stage(acts: ActsAs) -> tuple[str, ...]:
    """Statements that let a test act as users do on this installation, to be run in the test's own
    transaction; none for an application without tenants.
    """
    if application.load().tenants is None:
        return ()
    told = json.dumps(acts.values(ANYBODY, "{database_role}"))
    learnt = (
        sql.SQL("SELECT set_config('mantis_runbook.acts_as', {}, true)")
        .format(told)
        .as_string(None)
    )
    acting = read_script(settings.sql() / "tenants" / ACTING)
    return learnt, *(statement.text for step in acting.steps for statement in step.statements)


def validate(
    connection: Connection, script: Script, acting: Sequence[str] = (), *, excuses: bool = True
) -> Validated:
    """Run every statement of a script, each in a transaction that is always rolled back: a
    validation leaves nothing.

    A statement that raises, or returns rows, has found something; one that could not run at all is
    found as well. Where the application's own function fails by a fault of its own text, as it
    would have before any migration, the statement does not apply here: unless there are to be no
    `excuses`, as where every statement is compared with itself before. `acting` is run before each
    statement.
    """
    results = [
        _run(
            connection,
            step.name if number == 1 else f"{step.name} ({number})",
            statement,
            acting,
            excuses=excuses,
        )
        for step in script.steps
        for number, statement in enumerate(step.statements, start=1)
    ]
    return Validated(script.path.name, tuple(results))


def validate_file(connection: Connection, path: Path) -> Validated:
    """As `validate`, for a test by its path, which may act as a user. Raises `MigrationFileError`
    when it cannot be read.
    """
    return validate(connection, read_script(path), stage(learn_here(connection)))


def problems(scripts: Iterable[Validated]) -> list[str]:
    """Every statement that found something, and every script that checked nothing, each with its
    file's name.
    """
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
    """Raise `ValidationFailed` naming every statement that found something, and every script that
    checked nothing.
    """
    scripts = list(validated)
    found = problems(scripts)
    if found or not scripts:
        raise ValidationFailed(
            f"{len(found)} validation(s) failed",
            found="; ".join(found) or "no validation at all",
            expected="no violation",
            action=(
                "the migration is rolled back by itself where the environment says so; correct its"
                " cause and run again"
            ),
        )


def _run(
    connection: Connection,
    name: str,
    statement: Statement,
    acting: Sequence[str],
    *,
    excuses: bool,
) -> ValidationResult:
    notices: list[str] = []

    def hear(diagnostic: psycopg.errors.Diagnostic) -> None:
        notices.append(diagnostic.message_primary or "")

    connection.add_notice_handler(hear)
    try:
        columns, violations = _violations(connection, statement, acting)
    except psycopg.Error as error:
        message = message_of(error)
        if excuses and not connection.broken and (culprit := _function_at_fault(connection, error)):
            message = (
                f"{NOT_APPLICABLE}{culprit}, which was so before any migration, fails: {message}"
            )
        verdict = "warn" if message.startswith(NOT_APPLICABLE) else "fail"
        return ValidationResult(name, verdict, message, error.sqlstate or "")
    finally:
        connection.remove_notice_handler(hear)
    if violations:
        shown = "; ".join(
            ", ".join(f"{c} {v}" for c, v in zip(columns, row, strict=True))
            for row in violations[:SHOWN]
        )
        return ValidationResult(name, "fail", f"{len(violations)} row(s): {shown}")
    inapplicable = next((notice for notice in notices if notice.startswith(NOT_APPLICABLE)), "")
    return ValidationResult(name, "warn" if inapplicable else "pass", inapplicable)


def _function_at_fault(connection: Connection, error: psycopg.Error) -> str:
    """The application's function that failed by its own text, and is as it was before the first
    migration; else nothing.

    Whether users are worse off by it than before is for the contract of the old application to find
    out.
    """
    innermost = INNERMOST.search(error.diag.context or "")
    if not innermost or not OWN_FAULT.match(error.sqlstate or ""):
        return ""
    if scalar(connection, "SELECT to_regclass('mantis_runbook.journal')") is None:
        return ""
    kept = StepJournal(connection).catalog_before(first_version())
    if kept is None:
        return ""
    before, now = Catalog.from_json(kept)["functions"], snapshot(connection)["functions"]
    name = f"public.{innermost[1].removeprefix('public.')}"
    return innermost[1] if name in before and before[name] == now.get(name) else ""


def _violations(
    connection: Connection, statement: Statement, acting: Sequence[str]
) -> tuple[list[str], list[Any]]:
    """Columns and rows of the statement's result, in a transaction that is rolled back.

    The strategy's data-integrity tests give a row a test whatever they find: there, only those with
    failures count.
    """
    for attempt in stamina.retry_context(
        on=BUSY, attempts=None, timeout=PATIENCE_S, wait_initial=0.25, wait_max=1.0
    ):
        with attempt, connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL client_min_messages = notice")
            for preparation in acting:
                connection.execute(preparation)
            cursor = connection.execute(statement.text)
            columns = [column.name for column in cursor.description or ()]
            violations = cursor.fetchall() if cursor.description else []
            return columns, [
                row for row in violations if row[-1]
            ] if columns == COUNTED else violations
    raise AssertionError("unreachable")
