"""The owner's own pgbench scripts (`MANTIS_RUNBOOK_WORKLOAD`), refused if they leave changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import postgast

from mantis_runbook.errors import MigrationFileError, ParameterError
from mantis_runbook.postgres import statements as grammar
from mantis_runbook.rehearsal.performance import scenarios
from mantis_runbook.rehearsal.performance.scenarios import Scenario, Statement
from mantis_runbook.settings import Environment

__all__ = ["ACCEPTED", "VARIABLE", "read", "writes"]

VARIABLE = "MANTIS_RUNBOOK_WORKLOAD"

#: A file of costs that the owner accepts, beside the scripts, in the form of
#: `sql/workload/accepted_costs.toml`.
ACCEPTED = "accepted_costs.toml"

#: pgbench takes no more scripts.
MOST = 128

#: What stands in a transaction without changing anything.
QUIET = (
    "SelectStmt",
    "VariableSetStmt",
    "VariableShowStmt",
    "TransactionStmt",
    "ConstraintsSetStmt",
    "ExplainStmt",
)

ROWS = ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")


def read(folder: Path, environment: Environment) -> tuple[Path, ...]:
    """The scripts in the folder, in name order, each of which was read.

    Raises `ParameterError` when there is none, `MigrationFileError` by name and line for one that
    cannot be read, and for one that leaves changes behind where the environment has `load_writes =
    false`: that takes BEGIN … ROLLBACK.
    """
    paths = tuple(sorted(folder.glob("*.sql"))) if folder.is_dir() else ()
    if not paths:
        raise ParameterError(
            f"{VARIABLE} names {folder}",
            found="no folder of that name" if not folder.is_dir() else "no script in it",
            expected="a folder of pgbench scripts, each *.sql",
            action="put the application's statements there, or unset the variable",
        )
    if len(paths) > MOST:
        raise ParameterError(
            f"{VARIABLE} names {folder}",
            found=f"{len(paths)} scripts",
            expected=f"at most {MOST}, as pgbench plays at once",
            action="put several transactions into one script",
        )
    for path in paths:
        scenario = _scenario(path)
        for reason in [] if environment.load_writes else list(_changes(scenario))[:1]:
            raise MigrationFileError(
                f"{path}:{reason[0].line}",
                found=f"{reason[1]}: {reason[0].summary}",
                expected=(
                    f"scripts that leave nothing behind, for {environment.name} has"
                    " load_writes = false"
                ),
                action=(
                    "end the transaction with ROLLBACK instead of COMMIT, or leave the script out"
                ),
            )
    return paths


def writes(scenario: Scenario) -> bool:
    """Whether a statement of it writes, rolled back or not; what functions do is not seen here."""
    return any(_kind(one) != "reads" for one in scenario.statements if one.kind == "plain")


def _scenario(path: Path) -> Scenario:
    """What the script holds, each statement read by the grammar."""
    try:
        scenario = scenarios.parse(path.stem, path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise MigrationFileError(
            f"{path}",
            found=str(error),
            expected="a pgbench script in UTF-8",
            action="correct the file",
        ) from None
    except MigrationFileError as error:
        raise MigrationFileError(
            f"{path}: {error.what}", found=error.found, expected=error.expected, action=error.action
        ) from None
    if not scenario.statements:
        raise MigrationFileError(
            f"{path}:1",
            found="no statement",
            expected="a pgbench script",
            action="remove the empty file",
        )
    for statement in scenario.statements:
        try:
            count = len(postgast.parse(_without_variables(statement)).stmts)
        except postgast.PgQueryError as error:
            raise _unreadable(path, statement, error.message) from None
        if count != 1:
            raise _unreadable(path, statement, f"{count} statements in one")
    return scenario


def _unreadable(path: Path, statement: Statement, found: str) -> MigrationFileError:
    return MigrationFileError(
        f"{path}:{statement.line}",
        found=f"{found}, in: {statement.text.splitlines()[0][:72]}",
        expected="SQL of PostgreSQL, each statement ended by a semicolon",
        action="correct the statement",
    )


def _without_variables(statement: Statement) -> str:
    return scenarios.VARIABLE.sub(lambda variable: variable[1] or "$1", statement.text)


def _changes(scenario: Scenario) -> Iterator[tuple[Statement, str]]:
    """Statements that no ROLLBACK undoes, or should have to, and why."""
    is_open, pending = False, list[Statement]()
    for statement in scenario.statements:
        kind = _kind(statement) if statement.kind == "plain" else ""
        if statement.kind == "begin":
            is_open, pending = True, []
        elif statement.kind == "rollback":
            is_open, pending = False, []
        elif statement.kind == "commit":
            yield from ((each, "a write that is committed") for each in pending)
            is_open, pending = False, []
        elif kind == "other":
            yield (
                statement,
                "a statement that neither reads nor writes rows (DDL, DO, CALL, LOCK, COPY …)",
            )
        elif kind == "writes" and is_open:
            pending.append(statement)
        elif kind == "writes":
            yield statement, "a write outside of BEGIN … ROLLBACK"
    yield from ((each, "a write in a transaction that the script does not end") for each in pending)


def _kind(statement: Statement) -> str:
    """Whether it reads, writes rows, or does something else."""
    root: Any = grammar.tree(_without_variables(statement))
    if (
        root.DESCRIPTOR.name not in (*QUIET, *ROWS)
        or statement.text.split()[0].upper() == "PREPARE"
    ):
        return "other"
    if any(True for _ in grammar.nodes(root, "IntoClause")):
        return "other"
    changes = any(True for _ in grammar.nodes(root, *ROWS))
    return "writes" if changes else "reads"
