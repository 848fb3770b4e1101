"""One file of a migration: cutting it into steps, and refusing what the engine could not run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mantis_runbook.errors import MigrationFileError
from mantis_runbook.migrations import backfill_statements
from mantis_runbook.migrations.safe_steps import is_ledger_statement, recut, render
from mantis_runbook.postgres.statements import Comment, Source, Statement, read, tree

__all__ = ["Header", "Script", "Step", "header", "read_script"]

TITLE = re.compile(r"--\s*Migration\s+(\S+):\s*(\S.*)", re.IGNORECASE)
HEADER = re.compile(r"--\s*(requires|phase)\s*:\s*(.*)", re.IGNORECASE)
STEP = re.compile(r"--\s*step\s*:\s*(.*)", re.IGNORECASE)
MARKER = re.compile(r"batched over (.+)")

#: A backfill whose batches fire no trigger, as `session_replication_role = replica` does: the rows
#: change in one column that no trigger of the application is meant for, and neither updated_at nor
#: an audit trail shall show it as a user's work.
QUIET = "without triggers"

#: A step whose only statement is a SELECT: each row is a statement that runs outside a transaction,
#: for objects that only the catalogue of the database in front of us can name.
EACH = "for each row"


@dataclass(frozen=True)
class Step:
    """The unit of atomicity, of retry, of progress and of resume; `batched_over` is the table a
    backfill walks over, `without_triggers` says that its batches fire none; `for_each_row` that its
    SELECT finds the statements to run.
    """

    name: str
    line: int
    statements: tuple[Statement, ...]
    batched_over: str | None = None
    without_triggers: bool = False
    for_each_row: bool = False

    @property
    def transactional(self) -> bool:
        """Whether the step runs in one transaction, together with its journal row."""
        return not self.for_each_row and not any(one.outside_transaction for one in self.statements)

    @property
    def sha256(self) -> str:
        """Over the statements and the marker; comments and the step's place in the file may
        change.
        """
        marks = f"{self.batched_over or ''}{QUIET if self.without_triggers else ''}{EACH if self.for_each_row else ''}"
        return sha256("\n".join([marks, *(one.sha256 for one in self.statements)]).encode())


@dataclass(frozen=True)
class Script:
    """One file of a migration, cut into steps."""

    path: Path
    text: str
    steps: tuple[Step, ...]

    @property
    def checksum(self) -> str:
        """SHA-256 over the file's bytes, in hex."""
        return sha256(self.text.encode())


@dataclass(frozen=True)
class Header:
    """What the comments above a migration's first step say: `-- Migration 002: title`, `--
    requires:`, `-- phase:`.
    """

    title: str
    phase: str
    requires: tuple[str, ...]


@dataclass(frozen=True)
class _Problem:
    """What has to change in a file; `recut` when the cure is to cut it into other steps."""

    line: int
    found: str
    action: str
    recut: bool = False

    def __str__(self) -> str:
        return f"line {self.line}: {self.found}; {self.action}"


def read_script(path: Path, *, version: str | None = None) -> Script:
    """One file, cut into steps; a header is required of it when the `version` is given that it
    should have.

    Raises `MigrationFileError` with everything in it that has to change.
    """
    text = _text(path)
    source = read(text, path.name)
    steps = _steps(source)
    problems = [
        *(_problems_of_header(source, version) if version else []),
        *_problems_of_marks(source),
        *_problems_of_statements(source),
        *_problems_of_cut(source, steps),
        *(problem for step in steps for problem in _problems_of_step(step)),
    ]
    if problems:
        raise _refusal(path, sorted(problems, key=lambda one: one.line), source, steps)
    return Script(path, text, steps)


def header(script: Script) -> Header:
    """The header of a script that was read with its version."""
    return _header(read(script.text, script.path.name))


def sha256(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def _text(path: Path) -> str:
    """The file as text, its line ends untouched: what is hashed and executed are the bytes that
    were reviewed.
    """
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise MigrationFileError(
            f"{path.name}:{line}", found=f"the byte 0x{error.object[error.start]:02x}", expected="UTF-8",
            action="save the file as UTF-8",
        ) from None  # fmt: skip
    except OSError as error:
        raise MigrationFileError(f"{path} cannot be read", found=str(error.strerror)) from None
    if text.startswith("\ufeff"):
        raise MigrationFileError(
            f"{path.name}:1",
            found="a byte order mark",
            expected="UTF-8 without one",
            action="save the file without it",
        )
    return text


def _header(source: Source) -> Header:
    found = _header_lines(source)
    title = [match[2].strip() for line, match in found if match.re is TITLE]
    phase = [match[2].strip() for line, match in found if match[1].lower() == "phase"]
    requires = [match[2].split(",") for line, match in found if match[1].lower() == "requires"]
    named = tuple(part.strip() for parts in requires for part in parts if part.strip())
    return Header("".join(title[:1]), "".join(phase[:1]), named)


def _header_lines(source: Source) -> list[tuple[int, re.Match[str]]]:
    comments = [
        (one.line, TITLE.fullmatch(one.text) or HEADER.fullmatch(one.text))
        for one in _header_comments(source)
    ]
    return [(line, match) for line, match in comments if match]


def _problems_of_header(source: Source, version: str) -> list[_Problem]:
    found = _header_lines(source)
    return [
        *_problems_of_title([(line, match) for line, match in found if match.re is TITLE], version),
        *_problems_of_phase(
            [(line, match[2].strip()) for line, match in found if match[1].lower() == "phase"]
        ),
        *_problems_of_requires(
            [(line, match[2]) for line, match in found if match[1].lower() == "requires"]
        ),
    ]


def _header_comments(source: Source) -> list[Comment]:
    steps = [one.line for one in source.comments if one.alone and STEP.fullmatch(one.text)]
    end = min(steps + [one.line for one in source.statements], default=None)
    return [one for one in source.comments if one.alone and (end is None or one.line < end)]


def _problems_of_title(titles: Sequence[tuple[int, re.Match[str]]], version: str) -> list[_Problem]:
    example = f"-- Migration {version}: what it brings"
    if not titles:
        return [_Problem(1, "no title", f"begin the file with a line such as: {example}")]
    line, match = titles[0]
    if match[1] != version:
        return [
            _Problem(
                line,
                f"the title says migration {match[1]}, the file's name says {version}",
                "correct one",
            )
        ]
    return []


def _problems_of_phase(phases: Sequence[tuple[int, str]]) -> list[_Problem]:
    example = "add a line such as: -- phase: 2"
    if not phases:
        return [_Problem(1, "no phase, so no notebook would apply it", example)]
    line, value = phases[0]
    if not value.isdecimal():
        return [_Problem(line, f"phase {value!r} is no number", example)]
    return [_Problem(line, "a second phase", "keep one") for line, _ in phases[1:]]


def _problems_of_requires(requires: Sequence[tuple[int, str]]) -> list[_Problem]:
    return [
        _Problem(
            line,
            f"requires {part.strip()!r}",
            "name versions by their numbers, separated by commas: 001, 002",
        )
        for line, value in requires
        for part in value.split(",")
        if part.strip() and not part.strip().isdecimal()
    ]


def _steps(source: Source) -> tuple[Step, ...]:
    marks = [
        one for one in source.comments if one.alone and not one.inside and STEP.fullmatch(one.text)
    ]
    ends: list[float] = [*(mark.line for mark in marks[1:]), float("inf")]
    return tuple(
        _step(mark, tuple(one for one in source.statements if mark.line < one.line < end))
        for mark, end in zip(marks, ends, strict=False)
    )


def _step(mark: Comment, statements: tuple[Statement, ...]) -> Step:
    name, markers = _named(mark)
    tables = [match[1] for one in markers if (match := MARKER.fullmatch(one))]
    return Step(
        name,
        mark.line,
        statements,
        tables[0] if tables else None,
        QUIET in markers,
        EACH in markers,
    )


def _named(mark: Comment) -> tuple[str, list[str]]:
    """Name and markers of a step line; two or more spaces part them."""
    match = STEP.fullmatch(mark.text)
    name, *markers = re.split(r"\s{2,}|\t", match[1].strip() if match else "")
    return name, markers


def _problems_of_marks(source: Source) -> list[_Problem]:
    problems = []
    for mark in source.comments:
        if not STEP.fullmatch(mark.text):
            continue
        name, markers = _named(mark)
        if mark.inside:
            problems.append(
                _Problem(mark.line, "a step line inside a statement", "end the statement before it")
            )
        elif not mark.alone:
            problems.append(
                _Problem(mark.line, "a step line behind a statement", "give it a line of its own")
            )
        elif not name:
            problems.append(
                _Problem(
                    mark.line,
                    "a step without a name",
                    "say what it does: -- step: contacts of readers",
                )
            )
        action = (
            "write 'batched over <table>' (and then 'without triggers' where it is meant), or"
            " single spaces"
        )
        tables = [one for one in markers if MARKER.fullmatch(one)]
        alone = EACH in markers and not tables
        unknown = [
            one
            for one in markers
            if not MARKER.fullmatch(one)
            and not (one == QUIET and tables)
            and not (one == EACH and alone)
        ]
        problems += [_Problem(mark.line, f"unknown marker {one!r}", action) for one in unknown]
        if len(tables) > 1:
            problems.append(_Problem(mark.line, "a second table to batch over", "keep one"))
    return problems


def _problems_of_statements(source: Source) -> list[_Problem]:
    problems = []
    for one in source.statements:
        if one.kind == "TransactionStmt":
            action = "leave it out: the engine opens and commits one transaction a step"
            problems.append(_Problem(one.line, " ".join(one.text.split()), action, recut=True))
        elif is_ledger_statement(one):
            action = "leave it out: the engine writes the ledger, in a transaction of its own"
            problems.append(
                _Problem(one.line, f"{one.summary} (a ledger statement)", action, recut=True)
            )
        elif one.kind == "IndexStmt" and one.index is None and one.outside_transaction:
            action = "name it: without a name an invalid leftover could not be told from it"
            problems.append(
                _Problem(one.line, f"{one.summary}, without a name for the index", action)
            )
        elif one.kind == "CopyStmt" and _from_client(one):
            action = "write INSERT … VALUES: there is no client to send rows"
            problems.append(_Problem(one.line, one.summary, action))
    return problems


def _from_client(statement: Statement) -> bool:
    node = tree(statement.text)
    return not node.filename and not node.is_program


def _problems_of_cut(source: Source, steps: Sequence[Step]) -> list[_Problem]:
    first = min((step.line for step in steps), default=None)
    early = [one for one in source.statements if first is None or one.line <= first]
    problems = []
    if early:
        count = f"{len(early)} statements" if len(early) > 1 else "a statement"
        action = "put a line '-- step: <name>' above what shall succeed or fail together"
        problems.append(
            _Problem(early[0].line, f"{count} before the first step", action, recut=True)
        )
        problems += _problems_of_mixing("one transaction", early)
    elif not steps:
        problems.append(
            _Problem(1, "no steps", "write '-- step: <name>' and the statements of the step")
        )
    seen: dict[str, int] = {}
    for step in steps:
        if step.name and step.name in seen:
            problems.append(
                _Problem(
                    step.line,
                    f"a second step {step.name!r} (the first: line {seen[step.name]})",
                    "rename one",
                )
            )
        seen.setdefault(step.name, step.line)
    return problems


def _problems_of_step(step: Step) -> list[_Problem]:
    if not step.statements:
        return [
            _Problem(
                step.line, f"step {step.name!r} is empty", "remove it, or write its statements"
            )
        ]
    if step.for_each_row and [one.kind for one in step.statements] != ["SelectStmt"]:
        what = f"step {step.name!r}, {EACH}, has {step.statements[0].summary}"
        return [_Problem(step.line, what, "write one SELECT that returns statements")]
    batch = _problems_of_batch(step) if step.batched_over else _problems_of_parameters(step)
    return _problems_of_mixing(f"step {step.name!r}", step.statements) + batch


def _problems_of_mixing(what: str, statements: Sequence[Statement]) -> list[_Problem]:
    if len(statements) == 1:
        return []
    action = "give it a step of its own: it cannot run inside a transaction"
    return [
        _Problem(one.line, f"{one.summary}, together with others in {what}", action, recut=True)
        for one in statements
        if one.outside_transaction
    ]


def _problems_of_parameters(step: Step) -> list[_Problem]:
    action = "write the value, or mark the step: -- step: <name>  batched over <table>"
    return [
        _Problem(
            one.line,
            f"a parameter (${numbers[0]}) in step {step.name!r}, which is not batched",
            action,
        )
        for one in step.statements
        if (numbers := backfill_statements.parameters(one))
    ]


def _problems_of_batch(step: Step) -> list[_Problem]:
    what = f"step {step.name!r}, batched over {step.batched_over},"
    if len(step.statements) > 1:
        return [
            _Problem(
                step.statements[1].line,
                f"{what} has {len(step.statements)} statements",
                "keep one a step",
            )
        ]
    flaw = backfill_statements.flaw(step.statements[0], step.batched_over or "")
    return (
        [_Problem(step.statements[0].line, f"{what} {flaw}", f"write {backfill_statements.FORM}")]
        if flaw
        else []
    )


def _refusal(
    path: Path, problems: Sequence[_Problem], source: Source, steps: Sequence[Step]
) -> MigrationFileError:
    """All problems of a file in one message, and the steps it could be cut into when that is the
    cure.
    """
    if len(problems) == 1 and not problems[0].recut:
        only = problems[0]
        return MigrationFileError(f"{path.name}:{only.line}", found=only.found, action=only.action)
    lines = "\n".join(f"  {problem}" for problem in problems)
    many = f"{len(problems)} things have" if len(problems) > 1 else "one thing has"
    message = f"{path.name}: {many} to change\n{lines}"
    if any(problem.recut for problem in problems):
        first = min((step.line for step in steps), default=None)
        early = [one for one in source.statements if first is None or one.line <= first]
        groups = [("", early), *((step.name, step.statements) for step in steps)]
        message += "\nas steps:\n" + "\n".join(
            f"  {line}" for line in render(recut(groups)).splitlines()
        )
    return MigrationFileError(message)
