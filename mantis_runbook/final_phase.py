"""Phase 5: the final suite, and the strategy's success criteria, one row each with its evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mantis_runbook import audit_trail, blockers, checks, criteria, migrations, phases, promises, validation, worsened
from mantis_runbook.catalog import Catalog, snapshot
from mantis_runbook.criteria import Trail
from mantis_runbook.database import Connection, rows
from mantis_runbook.display import many
from mantis_runbook.earlier import Earlier
from mantis_runbook.errors import Inconclusive, Refused, ValidationFailed
from mantis_runbook.evidence import Evidence, Table
from mantis_runbook.evidence_tables import checks_tables
from mantis_runbook.ledger import Ledger, StepJournal
from mantis_runbook.recording import Recording, show
from mantis_runbook.worsened import Finding

__all__ = ["FinalPhase", "schedule"]

#: The strategy's weeks: phase → first and last week.
WEEKS = {"0": (1, 1), "1": (2, 2), "2": (3, 3), "3": (4, 4), "4": (5, 6), "5": (6, 6)}


class FinalPhase(Recording):
    """Validates everything and migrates nothing."""

    def precheck(self) -> Evidence:
        """Every migration is applied, and every check of this phase passes."""
        return self._verb("precheck", self._precheck)

    def integrity(self) -> Evidence:
        """The strategy's `validate_schema_integrity()`, with its thresholds and the sharper checks."""
        return self._verb("integrity", self._integrity)

    def validate(self) -> Evidence:
        """Every validation of every migration, and the strategy's unit, integration and data-integrity tests."""
        return self._verb("validate", self._validate)

    def tenants(self) -> Evidence:
        """Tenants are apart: tried by acting as users of two organisations, as a user of none, and as nobody."""
        return self._verb("tenants", self._tenants)

    def compatibility(self) -> Evidence:
        """The baseline's own statements and catalogue: what the old application needs is still there."""
        return self._verb("compatibility", self._compatibility)

    def criteria(self) -> Evidence:
        """The strategy's success criteria: criterion, evidence, figure, verdict, or who must sign it."""
        return self._verb("criteria", self._criteria)

    def schedule(self) -> Evidence:
        """The strategy's weeks beside what happened."""
        earlier = self._earlier()
        records = schedule(earlier.instants("phase.started"), earlier.instants("phase.finished"), datetime.now(UTC))
        done = sum(record["actual_end"] is not None for record in records)
        going = sum("going_on_at" in record for record in records)
        waiting = len(records) - done - going
        counts = {"finished": done, "going on": going, "not begun": waiting}
        return Evidence(
            self.number,
            "schedule",
            "info",
            "phases: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count),
            (
                Table(
                    "the strategy's weeks, counted from the Monday of the week in which the first phase began", records
                ),
            ),
            chart="gantt",
        )

    def risks(self) -> Evidence:
        """The strategy's risks, and the gates that answer each."""
        return Evidence(
            self.number,
            "risks",
            "info",
            "each risk is answered by gates that run every time",
            (Table("risks", criteria.RISKS),),
        )

    # ------------------------------------------------------------------------------------------------------------

    def _precheck(self) -> Evidence:
        with (
            self.run.read("precheck", patience_s=checks.PATIENCE_S) as connection,
            blockers.refusing(connection),
        ):
            states = Ledger(connection).require().all()
            missing = [
                one.label
                for one in migrations.load()
                if one.version not in states or states[one.version].status != "completed"
            ]
            if missing:
                raise Refused(
                    "the final validation needs every migration", found=f"not completed: {', '.join(missing)}",
                    expected="all completed", action="run the notebooks of their phases first",
                )  # fmt: skip
            lax = {"durability"} if self.run.environment.unsafe_durability else set[str]()
            found = checks.run(connection, self.number, tolerate=lax)
        verdict = {"pass": "passed", "warn": "warned", "fail": "failed"}[found.verdict]
        summary = f"{many(len(found.results), 'check')}: {len(found.failed)} failed, {len(found.warned)} warned"
        evidence = Evidence(self.number, "precheck", verdict, summary, checks_tables(found))
        if found.failed:
            show(evidence)
            found.require()
        return evidence

    def _integrity(self) -> Evidence:
        with self.run.read("integrity") as connection:
            found = rows(connection, "SELECT check_name, status, details FROM validate_schema_integrity()")
        failed = [row["check_name"] for row in found if row["status"] != "PASS"]
        records = [
            {"check": row["check_name"], "verdict": row["status"].lower(), "details": row["details"]} for row in found
        ]
        evidence = Evidence(
            self.number, "integrity", "failed" if failed or not found else "passed",
            f"{len(found)} checks of the final suite, {len(failed)} failed", (Table("validate_schema_integrity()", records, "verdict"),),
        )  # fmt: skip
        return self._required(evidence, "the final suite failed", ", ".join(failed))

    def _validate(self) -> Evidence:
        with self.run.read("validation") as connection:
            suite = validation.validate_suite(connection, migrations.load())
        failed = suite.problems
        records = [
            {"file": script.source, "statements": len(script.results), "verdict": script.verdict}
            for script in suite.scripts
        ]
        evidence = Evidence(
            self.number, "validate", "failed" if failed else "passed",
            f"{many(suite.statements, 'statement')} of {many(len(suite.scripts), 'file')}, {len(failed)} failed",
            (Table("validations and tests", records, "verdict"),), {"statements": suite.statements},
        )  # fmt: skip
        return self._required(evidence, f"{many(len(failed), 'validation')} failed", "; ".join(failed))

    def _tenants(self) -> Evidence:
        with self.run.connect("tenants") as connection, self._proving() as watch:
            now = snapshot(connection)
            found, records, said, acts = promises.weigh_tenants(
                connection, self._before(connection), now, watch=watch, is_ours=self._made(connection, now)
            )
        worse, warned = worsened.problems(found), worsened.warnings(found)
        evidence = Evidence(
            self.number, "tenants", _verdict(found),
            f"{said} on {len(records)} tables, views and functions, {len(worse)} got through{_warned(warned)}",
            (
                Table(
                    "tenant isolation: tables, views and functions", records, "verdict", folded=not worse,
                    note=acts.summary if acts else "",
                ),
            ),
        )  # fmt: skip
        return self._required(evidence, "tenant isolation is broken", "; ".join(map(str, worse)))

    def _compatibility(self) -> Evidence:
        with self.run.read("compatibility") as connection, self._proving() as watch:
            found, records, said = promises.weigh_contract(
                connection, self._before(connection), snapshot(connection), watch=watch
            )
        worse, warned = worsened.problems(found), worsened.warnings(found)
        evidence = Evidence(
            self.number, "compatibility", _verdict(found), f"{said}, {len(worse)} broken{_warned(warned)}",
            (Table("compatibility contract", records, "verdict", folded=not worse),),
        )  # fmt: skip
        return self._required(evidence, "the old application would not work", "; ".join(map(str, worse)))

    def _before(self, connection: Connection) -> promises.Before:
        """What was so before any migration: kept by the rehearsal of the first; without it the whole promise must hold."""
        text = StepJournal(connection, "", "").catalog_before(migrations.first_version())
        catalog = Catalog.from_json(text) if text else None
        first = migrations.load()[0].phase
        kept = self._earlier().evidence.get((first, "rehearse"), {}).get("facts", {}).get(promises.KEPT)
        return promises.Before.from_dict(kept, catalog) if kept else promises.Before(None, catalog=catalog)

    @staticmethod
    def _made(connection: Connection, now: Catalog) -> Callable[[str], bool]:
        """Whether a migration made a table, a view or a function; a partition is its table's, whoever made it."""
        journal = StepJournal(connection, "", "")
        made: set[str] = set()
        for one in migrations.load():
            then, after = journal.catalog_before(one.version), journal.catalog_after(one.version)
            if then and after:
                old, new = Catalog.from_json(then), Catalog.from_json(after)
                for kind in ("tables", "views", "functions"):
                    made |= new[kind].keys() - old[kind].keys()
        made |= {name for name, text in now["tables"].items() if "partition of " in text}
        plain = {name.replace("public.", "") for name in made}
        return lambda name: name in plain

    def _criteria(self) -> Evidence:
        earlier = self._earlier()
        found = criteria.judge(
            earlier.evidence,
            earlier.verdicts,
            self._trail(earlier),
            performance_asked=self.run.environment.performance.in_rehearsal,
        )
        costs = criteria.costs(earlier.evidence)
        failed = [row.criterion for row in found if row.verdict not in ("pass", "to sign", "not asked")]
        signatures = [row for row in found if row.verdict == "to sign"]
        unasked = [row for row in found if row.verdict == "not asked"]
        evidence = Evidence(
            self.number, "criteria", "failed" if failed else "passed",
            f"{len(found)} criteria: {len(found) - len(failed) - len(signatures) - len(unasked)} met, {len(failed)} not, {len(signatures)} to be signed, {len(unasked)} not asked in {self.run.environment.name}",
            (
                Table("success criteria", [row.record for row in found], "verdict", link_column="link"),
                *([Table("costs beyond 5 %", costs, link_column="link")] if costs else []),
            ),
        )  # fmt: skip
        return self._required(evidence, "success criteria are not met", "; ".join(failed))

    def _required(self, evidence: Evidence, what: str, found: str) -> Evidence:
        if evidence.good:
            return evidence
        show(evidence)
        raise (Inconclusive if evidence.verdict == "inconclusive" else ValidationFailed)(
            what,
            found=found or "nothing was checked",
            expected="none",
            action="the table above names each; correct its cause and run this cell again",
        )

    # -- what earlier phases left --------------------------------------------------------------------------------

    def _earlier(self) -> Earlier:
        """The runs on this very database, each phase's from the one that migrated it."""
        with self.run.connect("status") as connection:
            steps = StepJournal(connection, "", "")
            begun = [(one.phase, steps.run_of(one.version)) for one in migrations.load()]
        phases = {phase for phase, run in begun if run}
        return Earlier(self.run, {phase: min(run for one, run in begun if run and one == phase) for phase in phases})

    def _trail(self, earlier: Earlier) -> Trail:
        """The audit trails, verified now."""
        with self.run.read("audit trail") as connection:
            text = StepJournal(connection, "", "").catalog_before(migrations.first_version())
            return audit_trail.verify(
                connection,
                self.run.folder,
                earlier.journals.keys(),
                {str(found["run"]) for found in earlier.evidence.values()},
                Catalog.from_json(text) if text else None,
                snapshot(connection),
            )


def _verdict(findings: Sequence[Finding]) -> str:
    """The verdict of a verb whose findings are weighed by what was so before."""
    words = {"pass": "passed", "warn": "warned", "inconclusive": "inconclusive", "fail": "failed"}
    return words[worsened.word(findings)]


def _warned(findings: Sequence[Finding]) -> str:
    return f"; {many(len(findings), 'thing')} that no migration has to answer for" if findings else ""


def schedule(started: Mapping[str, datetime], finished: Mapping[str, datetime], now: datetime) -> list[dict[str, Any]]:
    """One record a phase: the strategy's weeks, counted from the Monday of the first phase's start, and what happened.

    A phase that has begun and not ended is going on by `now`.
    """
    first = min(started.values(), default=now)
    monday = (first - timedelta(days=first.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    return [
        {
            "phase": f"{phase.number} {phase.title}",
            "planned_start": (monday + timedelta(weeks=WEEKS[phase.number][0] - 1)).date().isoformat(),
            "planned_end": (monday + timedelta(weeks=WEEKS[phase.number][1])).date().isoformat(),
            "actual_start": _instant(started.get(phase.number)),
            "actual_end": _instant(finished.get(phase.number)),
            **({"going_on_at": _instant(now)} if phase.number in started and phase.number not in finished else {}),
        }
        for phase in phases.present()
    ]


def _instant(when: datetime | None) -> str | None:
    return when.isoformat(" ", "seconds") if when else None
