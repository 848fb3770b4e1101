"""Phase 5: the final suite, and the strategy's success criteria, one row each with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mantis_runbook import archive, blockers, checks, criteria, migrations, settings, tenants, validation
from mantis_runbook.catalog import Catalog
from mantis_runbook.database import rows
from mantis_runbook.display import many
from mantis_runbook.errors import Refused, ValidationFailed
from mantis_runbook.evidence import Evidence, Table
from mantis_runbook.evidence_tables import checks_tables
from mantis_runbook.journal import Entry, Journal
from mantis_runbook.ledger import Ledger, StepJournal
from mantis_runbook.phases import PHASES, PhaseDefinition
from mantis_runbook.recording import Recording, show
from mantis_runbook.verdict import phase_verdict

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
        records = schedule(self._started(), self._finished_at(), datetime.now(UTC))
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
            found = checks.run(connection, self.number)
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
        known = migrations.load()
        with self.run.read("validation") as connection:
            scripts = [validation.validate(connection, one.validation) for one in known]
            scripts += [
                validation.validate_file(connection, path) for path in sorted((settings.sql() / "tests").glob("*.sql"))
            ]
        failed = [f"{script.source}, {result.name}: {result.found}" for script in scripts for result in script.failed]
        statements = sum(len(script.results) for script in scripts)
        records = [
            {"file": script.source, "statements": len(script.results), "verdict": script.verdict} for script in scripts
        ]
        evidence = Evidence(
            self.number, "validate", "failed" if failed else "passed",
            f"{many(statements, 'statement')} of {many(len(scripts), 'file')}, {len(failed)} failed",
            (Table("validations and tests", records, "verdict"),), {"statements": statements},
        )  # fmt: skip
        return self._required(evidence, f"{many(len(failed), 'validation')} failed", "; ".join(failed))

    def _tenants(self) -> Evidence:
        with self.run.connect("tenants") as connection:
            found = tenants.prove(connection)
        records = found.records
        evidence = Evidence(
            self.number, "tenants", "failed" if found.leaks else "passed",
            f"{many(len(found.attempts), 'attempt')} to cross on {len(records)} tables, views and functions, {len(found.leaks)} got through",
            (Table("tenant isolation: tables, views and functions", records, "verdict", folded=not found.leaks),),
        )  # fmt: skip
        return self._required(
            evidence, "tenants are not apart", "; ".join(f"{one.table}: {one.attempt}" for one in found.leaks)
        )

    def _compatibility(self) -> Evidence:
        from mantis_runbook import compatibility

        with self.run.read("compatibility") as connection:
            text = StepJournal(connection, "", "").catalog_before("001")
            found = compatibility.run(connection, Catalog.from_json(text) if text else None)
        failed = [record for record in found.records if record["verdict"] != "pass"]
        evidence = Evidence(
            self.number, "compatibility", "failed" if failed else "passed",
            f"{len(found.records)} parts of the old application's contract, {len(failed)} broken",
            (Table("compatibility contract", found.records, "verdict", folded=not failed),),
        )  # fmt: skip
        return self._required(evidence, "the old application would not work", "; ".join(map(str, failed)))

    def _criteria(self) -> Evidence:
        found = criteria.judge(
            self._earlier(),
            self._verdicts(),
            performance_asked=self.run.environment.performance.in_rehearsal,
        )
        failed = [row.criterion for row in found if row.verdict not in ("pass", "to sign", "not asked")]
        signatures = [row for row in found if row.verdict == "to sign"]
        unasked = [row for row in found if row.verdict == "not asked"]
        evidence = Evidence(
            self.number, "criteria", "failed" if failed else "passed",
            f"{len(found)} criteria: {len(found) - len(failed) - len(signatures) - len(unasked)} met, {len(failed)} not, {len(signatures)} to be signed, {len(unasked)} not asked in {self.run.environment.name}",
            (Table("success criteria", [row.record for row in found], "verdict", link_column="link"),),
        )  # fmt: skip
        return self._required(evidence, "success criteria are not met", "; ".join(failed))

    def _required(self, evidence: Evidence, what: str, found: str) -> Evidence:
        if evidence.good:
            return evidence
        show(evidence)
        raise ValidationFailed(
            what,
            found=found or "nothing was checked",
            expected="none",
            action="the table above names each; correct its cause and run this cell again",
        )

    # -- what earlier phases left --------------------------------------------------------------------------------

    def _earlier(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """Evidence by phase and verb: of each phase, that of the newest run on this target in which it passed."""
        kept: dict[tuple[str, str], Mapping[str, Any]] = {}
        for phase in PHASES:
            for folder in reversed(self._runs_of(phase.number)):
                for verb in phase.verbs:
                    if found := archive.read_evidence(folder, phase.number, verb):
                        kept.setdefault((phase.number, verb), found | {"page": self._page(phase, folder)})
                break
        return kept

    def _page(self, phase: PhaseDefinition, folder: Path) -> str:
        """Where this is to be read: the phase's notebook, or its page in the archive of another run."""
        return f"{phase.name}.ipynb" if folder == self.run.folder else f"../{folder.name}/{phase.name}.html"

    def _runs_of(self, number: str) -> list[Path]:
        phase = next(one for one in PHASES if one.number == number)
        return [
            folder for folder in archive.all_runs()
            if archive.target_of(folder) == self.run.target.name
            and (folder == self.run.folder or phase_verdict(_journal(folder), number, phase.verbs).passed)
            and any(entry.facts.get("phase") == number for entry in _journal(folder))
            and any(entry.event == "run.started" and entry.facts.get("identity", {}).get("database_oid") == self.run.identity.database_oid for entry in _journal(folder))
        ]  # fmt: skip

    def _verdicts(self) -> dict[str, str]:
        """The verdict word of each earlier phase in the newest run that carried it out."""
        words: dict[str, str] = {}
        for phase in PHASES:
            found = self._runs_of(phase.number)
            if found and phase.number != self.number:
                words[phase.number] = phase_verdict(_journal(found[-1]), phase.number, phase.verbs).word
        return words

    def _started(self) -> dict[str, datetime]:
        return self._instants("phase.started")

    def _finished_at(self) -> dict[str, datetime]:
        return self._instants("phase.finished")

    def _instants(self, event: str) -> dict[str, datetime]:
        found = {}
        for phase in PHASES:
            for folder in self._runs_of(phase.number)[-1:]:
                for entry in _journal(folder):
                    if entry.event == event and entry.facts.get("phase") == phase.number:
                        found[phase.number] = entry.time
        return found


def _journal(folder: Path) -> list[Entry]:
    return Journal(folder).entries()


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
        for phase in PHASES
    ]


def _instant(when: datetime | None) -> str | None:
    return when.isoformat(" ", "seconds") if when else None
