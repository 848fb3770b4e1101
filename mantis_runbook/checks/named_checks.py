"""Named predicates over the database: each says what it found, what it expected, and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import psycopg

from mantis_runbook import application, display
from mantis_runbook.checks import check_files, findings_before
from mantis_runbook.checks.check_files import REPORT, Check
from mantis_runbook.checks.planned_ahead import as_json, planned_ahead
from mantis_runbook.errors import MigrationFileError, ParameterError, PrecheckFailed
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.postgres import blockers
from mantis_runbook.postgres.connection import Connection, message_of, query, scalar
from mantis_runbook.postgres.patience import Patience, reading

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "KEPT",
    "NAMED",
    "PATIENCE_S",
    "Checks",
    "Finding",
    "Result",
    "load",
    "note_before",
    "report",
    "reports",
    "run",
]

#: Seconds a run waits for locked tables, all its checks together.
PATIENCE_S = 5.0

#: Findings that a result keeps; how many there were is kept besides.
KEPT = 500

#: How many of them a line names; the fold below the table of checks has all that are kept.
NAMED = 3

Verdict = Literal["pass", "warn", "fail"]

#: Settings that a check's query may read; each value is computed when the first query asks.
SettingValues = Mapping[str, Callable[[], str]]


@dataclass(frozen=True)
class Finding:
    """What a check found: names and counts, never a person's data."""

    object: str
    found: int
    detail: str

    def __str__(self) -> str:
        return f"{self.object}: {self.detail}"


@dataclass(frozen=True)
class Result:
    """The verdict of one check, with the first findings and the number of all."""

    check: Check
    verdict: Verdict
    found: tuple[Finding, ...] = ()
    total: int = 0
    duration_ms: float = 0.0

    @property
    def record(self) -> dict[str, Any]:
        """As tables show it: names and counts only."""
        return {
            "verdict": self.verdict,
            "check": self.check.title,
            "found": self.summary,
            "expected": self.check.expected,
            "what to do": self.check.action if self.total else "",
        }

    @property
    def summary(self) -> str:
        """The findings in one line."""
        if not self.found:
            return "nothing"
        more = f"; and {self.total - NAMED} more" if self.total > NAMED else ""
        return "; ".join(map(str, self.found[:NAMED])) + more


@dataclass(frozen=True)
class Checks:
    """The results of a run, in the order of the checks' names. Nothing checked is not passed."""

    phase: str
    results: tuple[Result, ...]

    @property
    def verdict(self) -> Verdict:
        verdicts = {result.verdict for result in self.results}
        if not verdicts or "fail" in verdicts:
            return "fail"
        return "warn" if "warn" in verdicts else "pass"

    @property
    def failed(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.verdict == "fail")

    @property
    def warned(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.verdict == "warn")

    @property
    def sentences_of_failed(self) -> tuple[str, ...]:
        """A line for each failed check: what was found and expected, and what to do."""
        return tuple(_sentence(result) for result in self.failed)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Everything, as JSON would have it: for the journal and the archive."""
        return [
            {
                "check": result.check.name,
                "severity": result.check.severity,
                "verdict": result.verdict,
                "total": result.total,
                "found": [asdict(finding) for finding in result.found],
                "duration_ms": round(result.duration_ms, 3),
            }
            for result in self.results
        ]

    def require(self) -> Checks:
        """These checks, if none failed. Raises `PrecheckFailed` naming each that did."""
        if not self.results:
            raise PrecheckFailed(
                f"no check was run for phase {self.phase}", action="name at least one that exists"
            )
        if self.failed:
            raise PrecheckFailed(
                f"{len(self.failed)} of {len(self.results)} checks of phase {self.phase} failed",
                found="\n" + "\n".join(self.sentences_of_failed),
            )
        return self

    def _repr_html_(self) -> str:
        worst = sorted(
            self.results, key=lambda result: ("fail", "warn", "pass").index(result.verdict)
        )
        rows = [result.record for result in worst]
        counts = ", ".join(
            f"{sum(result.verdict == word for result in self.results)} {word}"
            for word in ("pass", "warn", "fail")
        )
        caption = f"Checks of phase {self.phase}: {counts}"
        return str(
            display.table(rows, verdict_column="verdict", caption=caption, empty="no check was run")
        )


def load() -> tuple[Check, ...]:
    """All checks by name, our own and the application's, with their severity in phase 0."""
    return check_files.load("0")


def run(
    connection: Connection,
    phase: str | int,
    names: Iterable[str] | None = None,
    *,
    tolerate: Collection[str] = (),
    patience_s: float | None = None,
) -> Checks:
    """Run the checks of a phase, or those named, each read-only in a transaction of its own.

    A finding of a check named in `tolerate` warns instead of failing; a check that could not run
    fails all the same. The first that finds a table locked waits for `patience_s` (None:
    `PATIENCE_S`), and then fails naming who holds it. Whatever the others find locked, they say so
    at once: what held the first up would hold each of them up as long. Raises `ParameterError` for
    an unknown name.
    """
    known = {check.name: check for check in check_files.load(str(phase))}
    chosen = (
        sorted(names)
        if names is not None
        else [name for name, check in known.items() if check.is_of(str(phase))]
    )
    if unknown := sorted({*chosen, *tolerate} - set(known)):
        raise ParameterError(
            "check",
            found=", ".join(unknown),
            expected="one of " + ", ".join(known),
            action="choose one of them",
        )
    values = _setting_values(connection, str(phase))
    patience = Patience(round((PATIENCE_S if patience_s is None else patience_s) * 1000))
    results = (
        _run(connection, known[name], values, patience, tolerated=name in tolerate)
        for name in chosen
    )
    judged = _beside_before(connection, Checks(str(phase), tuple(results)))
    return replace(
        judged,
        results=tuple(replace(result, found=result.found[:KEPT]) for result in judged.results),
    )


def note_before(connection: Connection) -> bool:
    """Note what the checks find before the first migration; nothing once one is applied.

    Only checks whose files say `before: warns` are asked: those that look at objects of the
    owner's, which were there before us and may stay as they are. Returns whether anything was
    noted.
    """
    values, patience = _setting_values(connection, "0"), Patience(round(PATIENCE_S * 1000))
    findings = [
        (check.name, finding.object, finding.found)
        for check in load()
        if check.before
        for finding in _tried_findings(connection, check, values, patience)
    ]
    return findings_before.note(connection, findings)


def _tried_findings(
    connection: Connection, check: Check, values: SettingValues, patience: Patience
) -> list[Finding]:
    """The findings of a check; none if it cannot run now, so later ones count as new."""
    try:
        with reading(connection, patience):
            return list(_findings(connection, check, values))
    except psycopg.Error:
        return []


def _beside_before(connection: Connection, checks: Checks) -> Checks:
    """The same results, where what is no worse than before the first migration only warns."""
    if not any(result.verdict == "fail" and result.check.before for result in checks.results):
        return checks
    before = findings_before.load(connection)
    return replace(
        checks, results=tuple(_judged_beside(result, before) for result in checks.results)
    )


def _judged_beside(result: Result, before: Mapping[tuple[str, str], int]) -> Result:
    if result.verdict != "fail" or not result.check.before:
        return result

    def was_so(finding: Finding) -> bool:
        return finding.found <= before.get((result.check.name, finding.object), 0)

    known = [
        replace(finding, detail=finding.detail + findings_before.SO_BEFORE)
        for finding in result.found
        if was_so(finding)
    ]
    fresh = [finding for finding in result.found if not was_so(finding)]
    return replace(result, verdict="fail" if fresh else "warn", found=(*fresh, *known))


def reports() -> tuple[str, ...]:
    """The names that `report` knows."""
    return tuple(
        path.stem.removeprefix(REPORT)
        for path in check_files.paths()
        if path.stem.startswith(REPORT)
    )


def report(connection: Connection, name: str) -> pd.DataFrame:
    """A query of `sql/checks/report_….sql` as a frame.

    A `statement` that it returns is run, and its number told in the column `rows` instead. Raises
    `ParameterError` for an unknown name, and `Refused` naming who holds a table that is locked for
    longer than a run of checks would wait.
    """
    import pandas as pd

    if name not in reports():
        raise ParameterError(
            "report",
            found=name,
            expected="one of " + ", ".join(reports()),
            action="choose one of them",
        )
    with blockers.refusing(connection), reading(connection, Patience(round(PATIENCE_S * 1000))):
        connection.execute(
            "SELECT set_config('mantis_runbook.application', %s, true)",
            (application.load().model_dump_json(),),
        )
        cursor = connection.execute(query(f"checks/report_{name}"))
        frame = pd.DataFrame(
            cursor.fetchall(), columns=[column.name for column in cursor.description or ()]
        )
        if "statement" not in frame:
            return frame
        frame["rows"] = [scalar(connection, statement) for statement in frame["statement"]]
    return frame.drop(columns="statement")


def _run(
    connection: Connection,
    check: Check,
    values: SettingValues,
    patience: Patience,
    *,
    tolerated: bool,
) -> Result:
    start = time.monotonic()
    try:
        with reading(connection, patience):
            findings = list(_findings(connection, check, values))
    except psycopg.errors.LockNotAvailable:
        reason = patience.spent(connection)
        findings, severity = [Finding(check.name, 1, f"the check could not run: {reason}")], "fail"
    except (psycopg.Error, MigrationFileError) as error:
        # The server's message alone: its details may quote a row.
        words = error.diag.message_primary if isinstance(error, psycopg.Error) else None
        reason = " ".join((words or str(error)).split())
        findings, severity = [Finding(check.name, 1, f"the check could not run: {reason}")], "fail"
    else:
        severity = "warn" if tolerated and check.severity == "fail" else check.severity
    verdict: Verdict = (
        "pass" if not findings or severity == "info" else "warn" if severity == "warn" else "fail"
    )
    return Result(check, verdict, tuple(findings), len(findings), (time.monotonic() - start) * 1000)


def _findings(connection: Connection, check: Check, values: SettingValues) -> Iterator[Finding]:
    for name, value in values.items():
        if name in check.text:
            connection.execute("SELECT set_config(%s, %s, true)", (name, value()))
    rows = connection.execute(check.text).fetchall()
    if not check.each:
        yield from (Finding(*row) for row in rows)
        return
    answer = _counted if check.each == "counts" else _tried
    for name, statement in rows:
        yield from answer(connection, name, statement)


def _counted(connection: Connection, name: str, statement: str) -> Iterator[Finding]:
    yield from (
        Finding(name, found, detail) for found, detail in connection.execute(statement) if found
    )


def _tried(connection: Connection, name: str, statement: str) -> Iterator[Finding]:
    try:
        with connection.transaction():
            connection.execute(statement)
    except psycopg.errors.LockNotAvailable:
        raise  # says nothing of whether it runs
    except psycopg.Error as error:
        yield Finding(name, 1, message_of(error))


def _setting_values(connection: Connection, phase: str) -> SettingValues:
    """What checks may read of the application and its migration files.

    The files are read when the first check asks for them.
    """
    known = cache(migration_files.load)
    return {
        "mantis_runbook.planned": cache(lambda: planned_ahead(connection, phase, known)),
        "mantis_runbook.made": cache(lambda: as_json(known())),
        "mantis_runbook.application": lambda: application.load().model_dump_json(),
    }


def _sentence(result: Result) -> str:
    return (
        f"  {result.check.name}: found {result.summary}; expected {result.check.expected};"
        f" {result.check.action}"
    )
