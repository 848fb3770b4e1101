"""The tables of a phase's evidence: what checks, rehearsal, gate, engine and validations found."""

from __future__ import annotations

from typing import Any

from mantis_runbook.backup.backup import Proof
from mantis_runbook.checks import named_checks
from mantis_runbook.checks import validations as validation
from mantis_runbook.display import many
from mantis_runbook.engine.results import Applied
from mantis_runbook.rehearsal import forecast
from mantis_runbook.rehearsal.performance.gate import Gate
from mantis_runbook.rehearsal.performance.repertoire import Repertoire
from mantis_runbook.rehearsal.rehearsal import Rehearsal
from mantis_runbook.runs.evidence import Table
from mantis_runbook.settings import Environment
from mantis_runbook.watch.probe import FOR_P99, FOR_P999, ProbeResult

__all__ = [
    "checks_tables",
    "gate_facts",
    "gate_tables",
    "lanes_table",
    "proof_tables",
    "rehearsal_tables",
    "repertoire_facts",
    "repertoire_tables",
    "steps_table",
    "validations",
    "with_performance",
]


def checks_tables(found: named_checks.Checks) -> tuple[Table, ...]:
    """What did not pass to read, worst first, all findings of a check that has many in a fold, and
    what passed folded; names and counts only, so the same database gives the same tables.
    """
    order = ("fail", "warn", "pass")
    worst = sorted(found.results, key=lambda result: order.index(result.verdict))
    records = [result.record for result in worst]
    noticed = [record for record in records if record["found"] != "nothing"]
    quiet = [record for record in records if record["found"] == "nothing"]
    return (
        Table(f"{many(len(noticed), 'check')} found something", noticed, "verdict"),
        *(_all_findings(result) for result in worst if result.total > named_checks.NAMED),
        Table(f"{many(len(quiet), 'check')} found nothing", quiet, "verdict", folded=True),
    )


def _all_findings(result: named_checks.Result) -> Table:
    """What a line of the table of checks cuts short."""
    kept = len(result.found)
    first = f", the first {kept:,} of them here" if kept < result.total else ""
    caption = f"{result.check.title}: {many(result.total, 'finding')}{first}"
    return Table(
        caption, [{"object": one.object, "detail": one.detail} for one in result.found], folded=True
    )


def proof_tables(proof: Proof) -> tuple[Table, ...]:
    """What the copy lacks for a reason, a line each, and the entries of the dump that were left
    out.
    """
    notes = [{"verdict": "warn", "the copy and the database": note} for note in proof.notes]
    entries = [
        {"extension": one.extension, "entry": text} for one in proof.left_out for text in one.texts
    ]
    return (
        *((Table(f"{many(len(notes), 'remark')} on the copy", notes, "verdict"),) if notes else ()),
        *(
            (
                Table(
                    f"{many(len(entries), 'entry', 'entries')} of the dump left out",
                    entries,
                    folded=True,
                ),
            )
            if entries
            else ()
        ),
    )


def rehearsal_tables(rehearsal: Rehearsal) -> tuple[Table, ...]:
    """Locks on existing tables, red ones first, the steps up and down on the copy, validations and
    tests.
    """
    order = ("fail", "warn", "pass")
    locks = sorted(
        (lock for lock in rehearsal.locks if lock.locks.table),
        key=lambda lock: order.index(lock.verdict),
    )
    red = any(lock.verdict == "fail" for lock in locks)
    aside = [{"verdict": "warn", "side effect": effect} for effect in rehearsal.side_effects]
    return (
        *(
            (
                Table(
                    many(
                        len(aside), "side effect of the rehearsal", "side effects of the rehearsal"
                    ),
                    aside,
                    "verdict",
                ),
            )
            if aside
            else ()
        ),
        Table(
            f"locks on existing tables, {many(len(locks), 'statement')}",
            [lock.record for lock in locks],
            "verdict",
            folded=not red,
        ),
        steps_table("applied on the copy", rehearsal.applied, folded=True),
        steps_table("rolled back on the copy", rehearsal.rolled_back, folded=True),
        validations(rehearsal.suite.validations),
        validations(rehearsal.suite.tests, "statement of tests", "statements of tests"),
    )


def gate_facts(gate: Gate, environment: Environment) -> dict[str, Any]:
    """What the success criteria ask of the gate: its verdict, what it let pass beyond the
    strategy's 5 %, and the figures from which the cost of all phases together is told.
    """
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
    """Statement by statement, and scenario by scenario; unfolded where a statement costs what it
    may not.
    """
    failed = gate.deterministic.word != "passed"
    return (
        Table("performance, statement by statement", gate.records, "verdict", folded=not failed),
        Table(
            "performance, scenarios timed side by side",
            gate.scenario_records,
            "verdict",
            folded=True,
        ),
    )


def repertoire_facts(played: Repertoire) -> dict[str, Any]:
    """What was played, and why not more."""
    return {
        "workload": str(played),
        "workload_scripts": [path.stem for path in played.scripts],
        "workload_left_out": dict(played.left_out),
        **({"performance_unjudged": played.missing} if played.missing else {}),
    }


def repertoire_tables(played: Repertoire) -> tuple[Table, ...]:
    """A row for each scenario that did not run before the migration already."""
    caption = (
        f"{many(len(played.left_out), 'scenario')} left out: they do not run on this database"
        " before the migration"
    )
    return (
        (Table(caption, list(played.records), folded=bool(played.scripts)),)
        if played.left_out
        else ()
    )


def with_performance(summary: str, gate: Gate | None, played: Repertoire | None) -> str:
    """A rehearsal's summary with what the gate says, and of what it says it where that is not all
    of our scenarios.
    """
    if gate is None:
        return (
            f"{summary}; performance not judged: {played.missing}"
            if played and played.missing
            else summary
        )
    partial = f" ({played})" if played and (played.left_out or played.source != "ours") else ""
    return f"{summary}; performance {gate.deterministic.summary}{partial}"


def steps_table(caption: str, applied: tuple[Applied, ...], *, folded: bool = False) -> Table:
    """A row for each step that the engine ran."""
    return Table(caption, [record for one in applied for record in one.records], "state", folded)


def lanes_table(probed: ProbeResult | None) -> Table:
    """A row for each lane of the probe."""
    caption = "what readers and writers saw (milliseconds)"
    if probed is None:
        return Table(caption, [])
    note = (
        f"p99 is shown from {FOR_P99:,} samples on, p99.9 from {FOR_P999:,}: of fewer they are the"
        " slowest of all."
    )
    return Table(caption, probed.records, note=f"{forecast.rhythm(probed.rate_hz)} {note}")


def validations(
    scripts: tuple[validation.Validated, ...], one: str = "validation", more: str = ""
) -> Table:
    """A row for each statement; unfolded where one failed. `one` and `more` are what they are
    called.
    """
    records = [{"file": script.source, **record} for script in scripts for record in script.records]
    failed = any(record["verdict"] != "pass" for record in records)
    return Table(many(len(records), one, more), records, "verdict", folded=not failed)
