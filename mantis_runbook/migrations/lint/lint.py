"""What a migration must not do to a running system."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mantis_runbook.errors import MigrationFileError
from mantis_runbook.migrations.files import Migration
from mantis_runbook.migrations.lint import squawk
from mantis_runbook.migrations.lint.alter_table import Hit
from mantis_runbook.migrations.lint.lock_model import Scene, expanded, strong_locks
from mantis_runbook.migrations.lint.messages import ADVICE, Severity
from mantis_runbook.migrations.lint.rules import cascades, hits_of_statement, hits_of_step
from mantis_runbook.migrations.scripts import Script, Step
from mantis_runbook.postgres.statements import Comment, Statement, read

__all__ = ["Finding", "lint", "refuse_unsafe"]

ALLOW = re.compile(r"--\s*lint:\s*(.*)", re.IGNORECASE)
EXEMPTION = re.compile(r"allow (?P<rule>[a-z-]+) because (?P<reason>\S.*)")
HIDDEN = re.compile(r"(--|/\*)\s*squawk-ignore")


@dataclass(frozen=True)
class Finding:
    """A rule that a statement breaks: whom it would block, why, and the safe steps instead.

    `allowed_because` is the reason of an exemption that stands in the step; "" when there is none.
    """

    rule: str
    severity: Severity
    file: str
    step: str
    line: int
    statement: str
    blocks: str
    why: str
    instead: str
    allowed_because: str = ""

    @property
    def refuses(self) -> bool:
        """Whether the migration must not run because of it."""
        return self.severity == "error" and not self.allowed_because

    def __str__(self) -> str:
        lines = [
            f"{self.file}:{self.line}: {self.rule} in step {self.step!r}: {self.statement}",
            f"  blocks: {self.blocks}",
            f"  why: {self.why}",
            *(
                ["  instead:", *(f"    {line}" for line in self.instead.splitlines())]
                if self.instead
                else []
            ),
            *([f"  allowed because {self.allowed_because}"] if self.allowed_because else []),
        ]
        return "\n".join(lines)


def lint(migration: Migration) -> tuple[Finding, ...]:
    """All findings of a migration's scripts, in the order of their lines; those exempted say why.

    The rollback is judged like the migration, except that it may drop (squawk's warnings of that
    are left out). A validation is only searched for CASCADE. Raises `ProgramMissing` without
    squawk: not examined is not passed.
    """
    scene = Scene()
    return (
        *_judged(migration.up, _findings(migration.up, scene, rollback=False)),
        *_judged(migration.rollback, _findings(migration.rollback, scene, rollback=True)),
        *_judged(migration.validation, _cascades(migration.validation)),
    )


def refuse_unsafe(migration: Migration) -> None:
    """Raise `MigrationFileError` with all errors of the migration that are not exempted."""
    refusals = [str(one) for one in lint(migration) if one.refuses]
    if refusals:
        count = f"{len(refusals)} statements would" if len(refusals) > 1 else "one statement would"
        raise MigrationFileError(
            "\n".join(
                (
                    f"migration {migration.label}: {count} harm the running system",
                    *refusals,
                    "change the files, or exempt a statement in its step:"
                    " -- lint: allow <rule> because <reason>",
                )
            )
        )


def _findings(script: Script, scene: Scene, *, rollback: bool) -> Iterator[Finding]:
    for step in script.steps:
        locks: list[tuple[Statement, set[str]]] = []
        for outer in step.statements:
            for statement in expanded(outer):
                locks.append((statement, strong_locks(statement, scene)))
                hits = hits_of_statement(statement, step, scene, rollback=rollback)
                yield from (_finding(script, step, hit, outer) for hit in hits)
                scene.happens(statement)
        yield from (
            _finding(script, step, hit, _outer(step, hit)) for hit in hits_of_step(locks, scene)
        )
    heard = squawk.remarks(script.text, script.path.name)
    yield from _remarks(script, [one for one in heard if one.is_error or not rollback])


def _cascades(script: Script) -> Iterator[Finding]:
    for step in script.steps:
        for outer in step.statements:
            for statement in expanded(outer):
                yield from (_finding(script, step, hit, outer) for hit in cascades(statement))


def _outer(step: Step, hit: Hit) -> Statement:
    """The statement of the step that holds the one which was hit: itself, or its DO block."""
    return next(one for one in step.statements if hit.statement in expanded(one))


def _finding(script: Script, step: Step, hit: Hit, outer: Statement) -> Finding:
    advice = ADVICE[hit.rule]
    inside = "" if hit.statement == outer else f", in the DO block of line {outer.line}"
    return Finding(
        hit.rule,
        advice.severity,
        script.path.name,
        step.name,
        outer.line,
        hit.statement.summary + inside,
        _filled(advice.blocks, hit),
        _filled(advice.why, hit),
        _filled(advice.instead, hit),
    )


def _filled(text: str, hit: Hit) -> str:
    return text.format_map(hit.facts)


def _remarks(script: Script, remarks: Iterable[squawk.Remark]) -> Iterator[Finding]:
    """Squawk's remarks: over the whole script, for it sees neither steps nor what existed
    before.
    """
    for remark in remarks:
        step = _step_at(script.steps, remark.line)
        statement = next(
            (one for one in reversed(step.statements) if one.line <= remark.line),
            step.statements[0],
        )
        yield Finding(
            remark.rule,
            "error" if remark.is_error else "warning",
            script.path.name,
            step.name,
            statement.line,
            statement.summary,
            "squawk does not say",
            remark.message,
            f"-- {remark.advice}" if remark.advice else "",
        )


def _step_at(steps: Sequence[Step], line: int) -> Step:
    return next((one for one in reversed(steps) if one.line <= line), steps[0])


# Exemptions
# --------------------------------------------------------------------------------------------------


def _judged(script: Script, findings: Iterable[Finding]) -> list[Finding]:
    """The findings with their exemptions, and what is wrong with the exemptions."""
    comments = read(script.text, script.path.name).comments
    exemptions = [one for one in comments if ALLOW.fullmatch(one.text)]
    judged = list(findings)
    added = [_hidden(script, one) for one in comments if HIDDEN.match(one.text)]
    for comment in exemptions:
        match = EXEMPTION.fullmatch(ALLOW.fullmatch(comment.text)[1])  # type: ignore[index]
        flaw = _flaw(script, comment, match)
        if flaw or match is None:
            added.append(_about(script, comment, "allowance-unclear", {"reason": flaw}))
            continue
        step = _step_at(script.steps, comment.line)
        meant = [one for one in judged if one.rule == match["rule"] and one.step == step.name]
        if not meant:
            added.append(_about(script, comment, "allowance-unused", {"name": match["rule"]}))
        judged = [
            replace(one, allowed_because=match["reason"].strip()) if one in meant else one
            for one in judged
        ]
    return sorted([*judged, *added], key=lambda one: one.line)


def _flaw(script: Script, comment: Comment, match: re.Match[str] | None) -> str:
    if match is None:
        return "an exemption names a rule and a reason"
    if comment.line < script.steps[0].line:
        return "an exemption stands within the step it exempts"
    return ""


def _hidden(script: Script, comment: Comment) -> Finding:
    return _about(script, comment, "hidden-exemption", {})


def _about(script: Script, comment: Comment, rule: str, facts: dict[str, str]) -> Finding:
    advice, step = ADVICE[rule], _step_at(script.steps, comment.line)
    return Finding(
        rule,
        advice.severity,
        script.path.name,
        step.name,
        comment.line,
        comment.text,
        advice.blocks,
        advice.why.format_map(facts),
        advice.instead,
    )
