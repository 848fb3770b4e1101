"""The tables of a phase's evidence: what checks, rehearsal, gate, engine and validations found."""

from __future__ import annotations

from typing import Any

from mantis_runbook import checks, validation
from mantis_runbook.apply import Applied
from mantis_runbook.evidence import Table
from mantis_runbook.performance import Gate
from mantis_runbook.rehearsal import Rehearsal
from mantis_runbook.settings import Environment

__all__ = ["checks_tables", "gate_facts", "gate_tables", "rehearsal_tables", "steps_table", "validations"]


def checks_tables(found: checks.Checks) -> tuple[Table, ...]:
    """What did not pass to read, worst first, and what passed folded; names and counts only, so the same database
    gives the same tables."""
    order = ("fail", "warn", "pass")
    records = [result.record for result in sorted(found.results, key=lambda result: order.index(result.verdict))]
    noticed = [record for record in records if record["found"] != "nothing"]
    quiet = [record for record in records if record["found"] == "nothing"]
    return (
        Table(f"{len(noticed)} checks found something", noticed, "verdict"),
        Table(f"{len(quiet)} checks found nothing", quiet, "verdict", folded=True),
    )


def rehearsal_tables(found: Rehearsal) -> tuple[Table, ...]:
    """Locks on existing tables, red ones first, the steps up and down on the copy, and the validations."""
    order = ("fail", "warn", "pass")
    locks = sorted((one for one in found.locks if one.locks.table), key=lambda one: order.index(one.verdict))
    red = any(one.verdict == "fail" for one in locks)
    return (
        Table(
            f"locks on existing tables, {len(locks)} statements",
            [one.record for one in locks],
            "verdict",
            folded=not red,
        ),
        steps_table("applied on the copy", found.applied, folded=True),
        steps_table("rolled back on the copy", found.rolled_back, folded=True),
        validations(found.validated),
    )


def gate_facts(gate: Gate, environment: Environment) -> dict[str, Any]:
    """What the success criteria ask of the gate: its verdict, what it let pass beyond the strategy's 5 %, and the figures
    from which the cost of all phases together is told."""
    return {
        "performance": gate.combined(environment),
        "performance_timed": gate.timed.word,
        "performance_time_decides": environment.performance.timed_decides,
        "performance_ratio": gate.timed.overall.estimate,
        "performance_scenarios": {one.scenario: one.ratio.estimate for one in gate.timed.scenarios},
        "performance_counts": gate.counts,
        "performance_summary": gate.summary(environment),
        "performance_beyond": list(gate.beyond),
    }


def gate_tables(gate: Gate) -> tuple[Table, ...]:
    """Statement by statement, and scenario by scenario; unfolded where a statement costs what it may not."""
    failed = gate.deterministic.word != "passed"
    return (
        Table("performance, statement by statement", gate.records, "verdict", folded=not failed),
        Table("performance, scenarios timed side by side", gate.scenario_records, "verdict", folded=True),
    )


def steps_table(caption: str, applied: tuple[Applied, ...], *, folded: bool = False) -> Table:
    """A row for each step that the engine ran."""
    return Table(caption, [record for one in applied for record in one.records], "state", folded)


def validations(scripts: tuple[validation.Validated, ...]) -> Table:
    """A row for each validation; unfolded where one failed."""
    records = [{"file": script.source, **record} for script in scripts for record in script.records]
    failed = any(record["verdict"] != "pass" for record in records)
    return Table(f"{len(records)} validations", records, "verdict", folded=not failed)
