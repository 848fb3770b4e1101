"""What the engine could not run, or nobody could tell apart, in a migration's file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mantis_runbook.migrations import backfill_statements
from mantis_runbook.migrations.headers import TITLE, header_lines
from mantis_runbook.migrations.safe_steps import is_ledger_statement
from mantis_runbook.migrations.steps import EACH, MARKER, QUIET, STEP, Step, name_and_markers
from mantis_runbook.postgres.statements import Source, Statement, tree

__all__ = ["Problem", "problems_of"]


@dataclass(frozen=True)
class Problem:
    """What has to change in a file; `recut` when the cure is to cut it into other steps."""

    line: int
    found: str
    action: str
    recut: bool = False

    def __str__(self) -> str:
        return f"line {self.line}: {self.found}; {self.action}"


def problems_of(source: Source, steps: Sequence[Step], version: str | None) -> list[Problem]:
    """Everything that has to change in a file, by line; its header where `version` is given."""
    problems = [
        *(_problems_of_header(source, version) if version else []),
        *_problems_of_marks(source),
        *_problems_of_statements(source),
        *_problems_of_cut(source, steps),
        *(problem for step in steps for problem in _problems_of_step(step)),
    ]
    return sorted(problems, key=lambda problem: problem.line)


def _problems_of_header(source: Source, version: str) -> list[Problem]:
    header = header_lines(source)
    return [
        *_problems_of_title(
            [(line, match) for line, match in header if match.re is TITLE], version
        ),
        *_problems_of_phase(
            [(line, match[2].strip()) for line, match in header if match[1].lower() == "phase"]
        ),
        *_problems_of_requires(
            [(line, match[2]) for line, match in header if match[1].lower() == "requires"]
        ),
    ]


def _problems_of_title(titles: Sequence[tuple[int, re.Match[str]]], version: str) -> list[Problem]:
    example = f"-- Migration {version}: what it brings"
    if not titles:
        return [Problem(1, "no title", f"begin the file with a line such as: {example}")]
    line, match = titles[0]
    if match[1] != version:
        return [
            Problem(
                line,
                f"the title says migration {match[1]}, the file's name says {version}",
                "correct one",
            )
        ]
    return []


def _problems_of_phase(phases: Sequence[tuple[int, str]]) -> list[Problem]:
    example = "add a line such as: -- phase: 2"
    if not phases:
        return [Problem(1, "no phase, so no notebook would apply it", example)]
    line, value = phases[0]
    if not value.isdecimal():
        return [Problem(line, f"phase {value!r} is no number", example)]
    return [Problem(line, "a second phase", "keep one") for line, _ in phases[1:]]


def _problems_of_requires(requires: Sequence[tuple[int, str]]) -> list[Problem]:
    return [
        Problem(
            line,
            f"requires {part.strip()!r}",
            "name versions by their numbers, separated by commas: 001, 002",
        )
        for line, value in requires
        for part in value.split(",")
        if part.strip() and not part.strip().isdecimal()
    ]


def _problems_of_marks(source: Source) -> list[Problem]:
    problems = []
    for mark in source.comments:
        if not STEP.fullmatch(mark.text):
            continue
        name, markers = name_and_markers(mark)
        if mark.inside:
            problems.append(
                Problem(mark.line, "a step line inside a statement", "end the statement before it")
            )
        elif not mark.alone:
            problems.append(
                Problem(mark.line, "a step line behind a statement", "give it a line of its own")
            )
        elif not name:
            problems.append(
                Problem(
                    mark.line,
                    "a step without a name",
                    "say what it does: -- step: contacts of readers",
                )
            )
        action = (
            "write 'batched over <table>' (and then 'without triggers' where it is meant), or"
            " single spaces"
        )
        tables = [marker for marker in markers if MARKER.fullmatch(marker)]
        alone = EACH in markers and not tables
        unknown = [
            marker
            for marker in markers
            if not MARKER.fullmatch(marker)
            and not (marker == QUIET and tables)
            and not (marker == EACH and alone)
        ]
        problems += [Problem(mark.line, f"unknown marker {marker!r}", action) for marker in unknown]
        if len(tables) > 1:
            problems.append(Problem(mark.line, "a second table to batch over", "keep one"))
    return problems


def _problems_of_statements(source: Source) -> list[Problem]:
    problems = []
    for statement in source.statements:
        if statement.kind == "TransactionStmt":
            action = "leave it out: the engine opens and commits one transaction a step"
            problems.append(
                Problem(statement.line, " ".join(statement.text.split()), action, recut=True)
            )
        elif is_ledger_statement(statement):
            action = "leave it out: the engine writes the ledger, in a transaction of its own"
            problems.append(
                Problem(
                    statement.line, f"{statement.summary} (a ledger statement)", action, recut=True
                )
            )
        elif (
            statement.kind == "IndexStmt"
            and statement.index is None
            and statement.outside_transaction
        ):
            action = "name it: without a name an invalid leftover could not be told from it"
            problems.append(
                Problem(
                    statement.line, f"{statement.summary}, without a name for the index", action
                )
            )
        elif statement.kind == "CopyStmt" and _from_client(statement):
            action = "write INSERT … VALUES: there is no client to send rows"
            problems.append(Problem(statement.line, statement.summary, action))
    return problems


def _from_client(statement: Statement) -> bool:
    node = tree(statement.text)
    return not node.filename and not node.is_program


def _problems_of_cut(source: Source, steps: Sequence[Step]) -> list[Problem]:
    first = min((step.line for step in steps), default=None)
    early = [one for one in source.statements if first is None or one.line <= first]
    problems = []
    if early:
        count = f"{len(early)} statements" if len(early) > 1 else "a statement"
        action = "put a line '-- step: <name>' above what shall succeed or fail together"
        problems.append(
            Problem(early[0].line, f"{count} before the first step", action, recut=True)
        )
        problems += _problems_of_mixing("one transaction", early)
    elif not steps:
        problems.append(
            Problem(1, "no steps", "write '-- step: <name>' and the statements of the step")
        )
    seen: dict[str, int] = {}
    for step in steps:
        if step.name and step.name in seen:
            problems.append(
                Problem(
                    step.line,
                    f"a second step {step.name!r} (the first: line {seen[step.name]})",
                    "rename one",
                )
            )
        seen.setdefault(step.name, step.line)
    return problems


def _problems_of_step(step: Step) -> list[Problem]:
    if not step.statements:
        return [
            Problem(step.line, f"step {step.name!r} is empty", "remove it, or write its statements")
        ]
    if step.for_each_row and [one.kind for one in step.statements] != ["SelectStmt"]:
        what = f"step {step.name!r}, {EACH}, has {step.statements[0].summary}"
        return [Problem(step.line, what, "write one SELECT that returns statements")]
    batch = _problems_of_batch(step) if step.batched_over else _problems_of_parameters(step)
    return _problems_of_mixing(f"step {step.name!r}", step.statements) + batch


def _problems_of_mixing(what: str, statements: Sequence[Statement]) -> list[Problem]:
    if len(statements) == 1:
        return []
    action = "give it a step of its own: it cannot run inside a transaction"
    return [
        Problem(one.line, f"{one.summary}, together with others in {what}", action, recut=True)
        for one in statements
        if one.outside_transaction
    ]


def _problems_of_parameters(step: Step) -> list[Problem]:
    action = "write the value, or mark the step: -- step: <name>  batched over <table>"
    return [
        Problem(
            one.line,
            f"a parameter (${numbers[0]}) in step {step.name!r}, which is not batched",
            action,
        )
        for one in step.statements
        if (numbers := backfill_statements.parameters(one))
    ]


def _problems_of_batch(step: Step) -> list[Problem]:
    what = f"step {step.name!r}, batched over {step.batched_over},"
    if len(step.statements) > 1:
        return [
            Problem(
                step.statements[1].line,
                f"{what} has {len(step.statements)} statements",
                "keep one a step",
            )
        ]
    flaw = backfill_statements.flaw(step.statements[0], step.batched_over or "")
    return (
        [Problem(step.statements[0].line, f"{what} {flaw}", f"write {backfill_statements.FORM}")]
        if flaw
        else []
    )
