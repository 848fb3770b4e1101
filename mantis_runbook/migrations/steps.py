"""What a step of a migration is, and where the `-- step:` lines of a file cut it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from mantis_runbook.postgres.statements import Comment, Source, Statement

__all__ = ["EACH", "MARKER", "QUIET", "STEP", "Step", "cut", "name_and_markers", "sha256"]

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
    """The unit of atomicity, of retry, of progress and of resume.

    `batched_over` is the table a backfill walks over, `without_triggers` says that its batches fire
    none, `for_each_row` that its SELECT finds the statements to run.
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
        """Over the statements and the markers; comments and the step's line may change."""
        marks = [
            self.batched_over or "",
            QUIET if self.without_triggers else "",
            EACH if self.for_each_row else "",
        ]
        lines = ["".join(marks), *(one.sha256 for one in self.statements)]
        return sha256("\n".join(lines).encode())


def cut(source: Source) -> tuple[Step, ...]:
    """The steps of a file; each ends where the next one begins."""
    marks = [
        one for one in source.comments if one.alone and not one.inside and STEP.fullmatch(one.text)
    ]
    ends: list[float] = [*(mark.line for mark in marks[1:]), float("inf")]
    return tuple(
        _step(mark, tuple(one for one in source.statements if mark.line < one.line < end))
        for mark, end in zip(marks, ends, strict=False)
    )


def _step(mark: Comment, statements: tuple[Statement, ...]) -> Step:
    name, markers = name_and_markers(mark)
    tables = [match[1] for one in markers if (match := MARKER.fullmatch(one))]
    return Step(
        name=name,
        line=mark.line,
        statements=statements,
        batched_over=tables[0] if tables else None,
        without_triggers=QUIET in markers,
        for_each_row=EACH in markers,
    )


def name_and_markers(mark: Comment) -> tuple[str, list[str]]:
    """Name and markers of a step line; two or more spaces separate them."""
    match = STEP.fullmatch(mark.text)
    name, *markers = re.split(r"\s{2,}|\t", match[1].strip() if match else "")
    return name, markers


def sha256(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()
