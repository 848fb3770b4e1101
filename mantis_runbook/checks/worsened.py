"""What got worse: the attempts and statements of a proof against the same ones before the
migration.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mantis_runbook.checks.compatibility import Compatibility
from mantis_runbook.checks.tenants.attempt import Crossing, is_unshown
from mantis_runbook.checks.tenants.isolation import Separation

__all__ = [
    "BEFORE",
    "Finding",
    "Step",
    "contract",
    "isolation",
    "problems",
    "records",
    "warnings",
    "word",
]

#: In every warning of this kind.
BEFORE = "it was so before the migration"

WORDS = ("pass", "warn", "inconclusive", "fail")

#: Work that a user must be able to do; every other attempt must reach nothing.
RIGHTFUL = ("read own rows", "insert an own row")

Step = tuple[str, str, str]


@dataclass(frozen=True)
class Finding:
    """One attempt or statement that is not as it should be, and whether the migration is to answer
    for it.

    `verdict` is warn where it is not, fail or inconclusive where it is.
    """

    subject: str
    what: str
    found: str
    verdict: str

    def __str__(self) -> str:
        return (
            f"{self.subject}: {self.what}: {self.found}"
            if self.what
            else f"{self.subject}: {self.found}"
        )


def word(findings: Iterable[Finding]) -> str:
    """The worst verdict; pass where there is nothing to find."""
    return max((one.verdict for one in findings), key=WORDS.index, default="pass")


def problems(findings: Iterable[Finding]) -> list[Finding]:
    """What the migration has to answer for."""
    return [one for one in findings if one.verdict in ("fail", "inconclusive")]


def warnings(findings: Iterable[Finding]) -> list[Finding]:
    """What was so before, or is none of the migration's."""
    return [one for one in findings if one.verdict == "warn"]


def records(
    separation: Separation, findings: Iterable[Finding], resting: Collection[str] = ()
) -> list[dict[str, Any]]:
    """One record a table, view and function, with all that was found there; those that rest on the
    first proof come last.
    """
    by_subject: dict[str, list[Finding]] = {}
    for one in findings:
        by_subject.setdefault(one.subject, []).append(one)
    attempts: dict[str, int] = {}
    for crossing in separation.attempts:
        attempts[crossing.table] = attempts.get(crossing.table, 0) + 1
    told = [
        {
            "table": name,
            "verdict": word(by_subject.get(name, ())),
            "attempts": attempts.get(name, 0),
            "found": (
                "; ".join(f"{one.what}: {one.found}" for one in by_subject.get(name, ())) or "apart"
            ),
        }
        for name in dict.fromkeys([*attempts, *by_subject])
        if name not in resting
    ]
    rested = [
        {
            "table": name,
            "verdict": word(by_subject.get(name, ())),
            "attempts": 0,
            "found": (
                "; ".join(f"{one.what}: {one.found}" for one in by_subject.get(name, ()))
                or "as before: nothing that decides it was changed"
            ),
        }
        for name in resting
    ]
    return sorted([*told, *rested], key=lambda one: -WORDS.index(str(one["verdict"])))


# -- tenants ---------------------------------------------------------------------------------------


def isolation(
    before: Separation | None,
    after: Separation,
    *,
    is_unchanged: Callable[[str], bool],
    is_new: Callable[[str], bool],
    is_ours: Callable[[str], bool],
    resting: Collection[str] = (),
) -> list[Finding]:
    """What of `after` is not as it should be, each attempt weighed by the same attempt before
    (None: it was not proven).

    `is_unchanged` says of a table, view or function whether anything that decides who sees it was
    changed since; `is_new` whether it came since; `is_ours` whether a migration made it: for those
    the whole promise holds. Of what is `resting` on the proof before, that one's findings are told.
    """
    then = {(one.table, one.attempt): one for one in before.attempts} if before else {}
    findings = [
        _weighed(
            crossing, then.get((crossing.table, crossing.attempt)), is_unchanged, is_new, is_ours
        )
        for crossing in after.leaks
    ]
    old = [one for one in (before.leaks if before else ()) if one.table in resting]
    return [
        *findings,
        *(Finding(one.table, one.attempt, f"{one.found} ({BEFORE})", "warn") for one in old),
    ]


def _weighed(
    now: Crossing,
    was: Crossing | None,
    is_unchanged: Callable[[str], bool],
    is_new: Callable[[str], bool],
    is_ours: Callable[[str], bool],
) -> Finding:
    def finding(verdict: str, reason: str) -> Finding:
        return Finding(
            now.table, now.attempt, f"{now.found} ({reason})" if reason else now.found, verdict
        )

    if is_new(now.table):
        if is_ours(now.table):
            return finding(now.verdict, "")
        return finding("warn", "it came since the first proof, and no migration made it")
    if was is not None and not is_unshown(was.found) and _severity(was) >= _severity(now):
        return (
            finding("warn", BEFORE)
            if not is_unshown(now.found)
            else _unshown(now, finding, is_unchanged)
        )
    if is_unshown(now.found):
        return _unshown(now, finding, is_unchanged)
    if (was is None or was.verdict == "inconclusive") and is_unchanged(now.table):
        return finding("warn", f"{BEFORE}: nothing that decides it was changed")
    return finding(now.verdict, f"before the migration: {was.found if was else 'not seen'}")


def _unshown(
    now: Crossing, finding: Callable[[str, str], Finding], is_unchanged: Callable[[str], bool]
) -> Finding:
    """A limit was reached: never equal to another limit that was reached; the catalogue may say
    that it need not be asked.
    """
    if is_unchanged(now.table):
        return finding(
            "warn",
            "not shown within the limit; nothing that decides it was changed by the migration",
        )
    return finding("inconclusive", "not shown within the limit")


def _severity(crossing: Crossing) -> int:
    """How bad: shown apart, not shown, refused or ended in an error where it should not, rows
    reached.
    """
    if crossing.verdict != "fail":
        return ("pass", "inconclusive").index(crossing.verdict)
    ended = crossing.attempt in RIGHTFUL or (
        crossing.found[:5].isalnum() and crossing.found[5:6] == ":"
    )
    return 2 if ended else 3


# -- the contract ----------------------------------------------------------------------------------


def contract(
    failed_before: Mapping[Step, str], broken_before: Collection[str], after: Compatibility
) -> list[Finding]:
    """Promises to the old application that are broken now, and statements that fail; those of
    before are warnings.

    `failed_before` maps a statement (script, actor, step) to what it ended with, `broken_before`
    are the promises that the catalogue did not keep then, as sentences.
    """
    findings = [
        Finding(
            str(one),
            "",
            BEFORE if str(one) in broken_before else "",
            "warn" if str(one) in broken_before else "fail",
        )
        for one in after.broken or ()
    ]
    for (script, actor, step), outcome in after.failed.items():
        subject, was = f"{script} as {actor}", failed_before.get((script, actor, step))
        if is_unshown(outcome) or (was is not None and is_unshown(was)):
            findings.append(
                Finding(
                    subject,
                    step,
                    f"{outcome}; before the migration: {was or 'passed'}",
                    "inconclusive",
                )
            )
        elif was is None:
            findings.append(Finding(subject, step, outcome, "fail"))
        elif after.is_not_applicable(was):
            findings.append(Finding(subject, step, f"not applicable here: {was}", "warn"))
        else:
            findings.append(Finding(subject, step, f"{outcome} ({BEFORE})", "warn"))
    if after.broken is None:
        findings.append(
            Finding("catalogue of before phase 1", "", "it was not kept", "inconclusive")
        )
    return findings
