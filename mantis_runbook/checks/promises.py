"""What no migration may make worse: tenant isolation and the old application, tried on the copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mantis_runbook import application
from mantis_runbook.checks import compatibility, described_statements, worsened
from mantis_runbook.checks.compatibility import Compatibility
from mantis_runbook.checks.described_statements import Described
from mantis_runbook.checks.footing import Footing
from mantis_runbook.checks.learnt_statements import Learnt
from mantis_runbook.checks.promises_before import NO_TENANTS, Before
from mantis_runbook.checks.tenants import isolation as tenants
from mantis_runbook.checks.tenants.acts_as import ActsAs
from mantis_runbook.checks.worsened import BEFORE, Finding
from mantis_runbook.display import many
from mantis_runbook.engine.step_journal import StepJournal
from mantis_runbook.errors import Inconclusive
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.postgres.catalog import Catalog, snapshot
from mantis_runbook.postgres.connection import Connection, connect, query, rows
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs.evidence import Table

__all__ = ["KEPT", "Before", "Promises", "before", "kept", "weigh_contract", "weigh_tenants"]

Watcher = Callable[[str], None]

#: What was so before any migration, among the facts of the first one's rehearsal: the final phase
#: reads it there.
KEPT = "promises_before"


def _quiet(name: str) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Promises:
    """Both proofs, each attempt and statement weighed by the same one before the migration.

    `crossings` and `statements` are what is not as it should be, `isolation` and `contract` records
    of all that was tried.
    """

    crossings: tuple[Finding, ...]
    statements: tuple[Finding, ...]
    isolation: tuple[Mapping[str, Any], ...]
    contract: tuple[Mapping[str, Any], ...]
    summary: str
    acts: ActsAs | None = None

    @property
    def problems(self) -> list[str]:
        """What got worse, in sentences; empty when both promises are kept."""
        return self._sentences(
            "fail", "tenant isolation is broken", "the old application would not work"
        )

    @property
    def doubts(self) -> list[str]:
        """What could not be shown, in sentences."""
        return self._sentences(
            "inconclusive", "tenant isolation was not shown", "the old application was not tried"
        )

    @property
    def warnings(self) -> list[str]:
        """What was so before the migration."""
        return [str(one) for one in worsened.warnings((*self.crossings, *self.statements))]

    def _sentences(self, verdict: str, isolation: str, contract: str) -> list[str]:
        sentences = [f"{isolation}: {one}" for one in self.crossings if one.verdict == verdict]
        return [
            *sentences,
            *(f"{contract}: {one}" for one in self.statements if one.verdict == verdict),
        ]

    @property
    def tables(self) -> tuple[Table, ...]:
        red = bool(self.problems or self.doubts)
        note = self.acts.summary if self.acts else ""
        isolation = Table(
            f"tenant isolation, {len(self.isolation)} tables, views and functions",
            self.isolation,
            "verdict",
            folded=not red,
            note=note,
        )
        contract = Table(
            f"compatibility contract, {len(self.contract)} parts",
            self.contract,
            "verdict",
            folded=not red,
        )
        return (isolation, contract) if self.isolation else (contract,)


def before(scratch: Target, learnt: Learnt, watch: Watcher = _quiet) -> Before:
    """Both proofs on a copy to which nothing was applied yet; all of it is rolled back.

    `learnt` are the application's statements, from the database that the copy was taken of. Nothing
    here fails: what does not hold, or cannot be tried, is what the migration finds.
    """
    separation, untried, unrun, described_now = None, "", "", Described()
    works: Compatibility | None = None
    with connect(scratch, "promises") as connection:
        catalog = snapshot(connection)
        try:
            if application.load().tenants:
                separation = tenants.prove(connection, watch=watch)
        except Inconclusive as error:
            untried = str(error)
        try:
            user = compatibility.user_of(connection, separation.acts if separation else None)
            works = compatibility.run(
                connection, _catalog_before(connection), now=catalog, who=user, watch=watch
            )
            described_now = described_statements.describe(connection, learnt.statements, user)
        except Inconclusive as error:
            unrun = str(error)
        roles = _roles(connection)
    return Before(
        separation=separation,
        untried=untried,
        unrun=unrun,
        failed=works.failed if works else {},
        broken=tuple(map(str, works.broken or ())) if works else (),
        described=described_now,
        learnt=_told(learnt, described_now),
        roles=roles,
        catalog=catalog,
    )


def kept(scratch: Target, was: Before, watch: Watcher = _quiet) -> Promises:
    """Both proofs on the same copy, migrated: tried is only what rests on something that changed.

    All of it is rolled back; a copy because its rows and locks are nobody else's there.
    """
    with connect(scratch, "promises") as connection:
        now = snapshot(connection)
        crossings, records, tried, acts = weigh_tenants(
            connection, was, now, watch=watch, may_rest=True
        )
        worse, parts, promised = weigh_contract(connection, was, now, acts, watch)
    warned = worsened.warnings((*crossings, *worse))
    beside = f"; {many(len(warned), 'thing')} that no migration has to answer for" if warned else ""
    return Promises(
        crossings=tuple(crossings),
        statements=tuple(worse),
        isolation=tuple(records),
        contract=tuple(parts),
        summary=f"{tried}, {promised}{beside}",
        acts=acts,
    )


def weigh_tenants(
    connection: Connection,
    was: Before,
    now: Catalog,
    *,
    watch: Watcher = _quiet,
    may_rest: bool = False,
    is_ours: Callable[[str], bool] = lambda name: True,
) -> tuple[list[Finding], list[dict[str, Any]], str, ActsAs | None]:
    """The proof of tenants against that of before: findings, records, a summary, how it acted.

    `may_rest`: skip what nothing changed for; on the target, where time has passed, nothing is.
    """
    if application.load().tenants is None:
        return [], [], NO_TENANTS, None
    footing = Footing(was.catalog, now) if was.catalog else None
    same_roles = was.roles == _roles(connection)

    def is_unchanged(name: str) -> bool:
        return footing is not None and same_roles and footing.is_unchanged(name)

    def rests(name: str) -> bool:
        return may_rest and was.separation is not None and is_unchanged(name)

    try:
        separation = tenants.prove(connection, rests=rests, watch=watch)
    except Inconclusive as error:
        verdict = "warn" if was.untried else "inconclusive"
        reason = f"{error} ({BEFORE})" if was.untried else str(error)
        return (
            [Finding("tenant isolation", "", reason, verdict)],
            [{"table": "", "verdict": verdict, "attempts": 0, "found": reason}],
            "tenants were not tried",
            None,
        )
    tried = {one.table for one in separation.attempts}
    known = dict.fromkeys(one.table for one in was.separation.attempts) if was.separation else {}
    resting = [name for name in known if name not in tried and rests(name)]
    findings = worsened.isolation(
        was.separation,
        separation,
        is_unchanged=is_unchanged,
        is_new=lambda name: footing is not None and footing.is_new(name),
        is_ours=is_ours,
        resting=resting,
    )
    summary = f"{many(len(separation.attempts), 'attempt')} to cross between tenants"
    if resting:
        summary += f" ({many(len(resting), 'object')} as before: nothing that decides changed)"
    return findings, worsened.records(separation, findings, resting), summary, separation.acts


def weigh_contract(
    connection: Connection,
    was: Before,
    now: Catalog,
    acts: ActsAs | None = None,
    watch: Watcher = _quiet,
) -> tuple[list[Finding], list[dict[str, Any]], str]:
    """The old application's statements against those of before: findings, records, a summary."""
    try:
        user = compatibility.user_of(connection, acts)
        works = compatibility.run(
            connection, _catalog_before(connection), now=now, who=user, watch=watch
        )
        findings = worsened.contract(was.failed, was.broken, works)
        learnt = described_statements.describe(connection, was.described.statements, user)
        records = [_weighed(record, findings) for record in works.records]
    except Inconclusive as error:
        works = compatibility.without_statements(_catalog_before(connection), now)
        verdict = "warn" if was.unrun else "inconclusive"
        reason = f"{error} ({BEFORE})" if was.unrun else str(error)
        findings = worsened.contract(was.failed, was.broken, works)
        records = [_weighed(record, findings) for record in works.records]
        records.append(
            {
                "what": "statements",
                "actor": "",
                "statements": 0,
                "verdict": verdict,
                "found": reason,
            }
        )
        findings.append(Finding("the old application", "", reason, verdict))
        learnt = Described()
    worse, part = _weigh_learnt(was.described, learnt)
    records += part
    summary = was.learnt or "nothing learnt"
    return (
        [*findings, *worse],
        records,
        f"{len(records)} parts of the old application's contract; {summary}",
    )


def _weigh_learnt(was: Described, now: Described) -> tuple[list[Finding], list[dict[str, Any]]]:
    """Learnt statements against their descriptions before: findings, and a record if any."""
    compared = {(one.text, one.role) for one in was.statements if not one.error}
    if not compared:
        return [], []
    worse = described_statements.worse(was, now)
    findings = [
        Finding(
            f"statement of the application ({statement.calls:,} calls as {statement.role})",
            statement.name,
            why,
            "fail",
        )
        for statement, why in worse
    ]
    subject = "statements learnt from pg_stat_statements"
    if missing := compared - {(one.text, one.role) for one in now.statements}:
        findings.append(
            Finding(
                subject,
                "",
                f"{len(missing)} of {len(compared)} were not asked again",
                "inconclusive",
            )
        )
    differences = "; ".join(map(str, findings)) or "all are prepared as before"
    record = {
        "what": subject,
        "actor": "",
        "statements": len(compared),
        "verdict": worsened.word(findings),
        "found": differences,
    }
    return findings, [record]


def _weighed(record: dict[str, Any], findings: list[Finding]) -> dict[str, Any]:
    """A part's record, with the verdict that its findings have."""
    subject = f"{record['what'].removeprefix('statements on ')} as {record['actor']}"
    ours = [
        finding
        for finding in findings
        if (finding.subject == subject if record["actor"] else not _is_of_statements(finding))
    ]
    if record["verdict"] == "pass" or not ours:
        return record
    return record | {"verdict": worsened.word(ours), "found": "; ".join(map(str, ours))}


def _is_of_statements(finding: Finding) -> bool:
    return " as " in finding.subject and bool(finding.what)


def _told(learnt: Learnt, described: Described) -> str:
    unprepared = sum(bool(one.error) for one in described.statements)
    beside = [f"{count} not asked: {why}" for why, count in described.left_out.items()]
    beside += [f"{unprepared} that cannot be prepared by themselves"] if unprepared else []
    return "; ".join([str(learnt), *beside])


def _catalog_before(connection: Connection) -> Catalog | None:
    text = StepJournal(connection).catalog_before(migration_files.first_version())
    return Catalog.from_json(text) if text else None


def _roles(connection: Connection) -> str:
    return str(rows(connection, query("tenants/roles"))[0]["roles"])
