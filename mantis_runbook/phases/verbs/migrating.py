"""Migrate: the approved migrations carried out on the target, watched, stopped at a limit."""

from __future__ import annotations

from dataclasses import replace

from mantis_runbook import display
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import Fence, hold
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.engine.results import Applied
from mantis_runbook.errors import RunbookError
from mantis_runbook.phases import evidence_tables
from mantis_runbook.phases.phase_plan import refuse_other_plan
from mantis_runbook.phases.progress import Progress, live
from mantis_runbook.phases.record import PhaseRecord, evidence_of_error
from mantis_runbook.phases.verbs.already_applied import is_applied, not_needed
from mantis_runbook.rehearsal import forecast
from mantis_runbook.runs.alerts import Alert
from mantis_runbook.runs.evidence import Evidence
from mantis_runbook.watch.guard import Trip
from mantis_runbook.watch.watch import Watch, require_seen, watching

__all__ = ["migrate"]


def migrate(record: PhaseRecord) -> Evidence:
    """Carry the migrations out, or what is left of them.

    Raises what stopped it: the error of a step, of the guard, or of the probe.
    """
    refuse_other_plan(record)
    if is_applied(record):
        _refuse_unseen(record)
        return not_needed(record, "migrate")
    run = record.run
    with (
        hold(run.target, run.name, run.operator) as fence,
        record.progress("migration") as progress,
        live() as now,
        watching(
            run,
            record.number,
            record.facts("rehearse").get("touched", ()),
            show=lambda reading: now(display.callout("info", f"the database now: {reading}")),
            told=lambda trip: _tell_trip(record, trip),
        ) as watch,
    ):
        applied = _applied(record, fence, progress, watch)
        watch.stop()  # a limit that was reached at the very end counts, too
    evidence = _evidence(record, applied, watch)
    try:
        watch.require()
    except RunbookError as error:
        record.show_red(evidence_of_error(record.number, "migrate", error, evidence))
        raise
    return evidence


def _applied(
    record: PhaseRecord, fence: Fence, progress: Progress, watch: Watch
) -> tuple[Applied, ...]:
    run = record.run
    engine = Engine(
        run.target, run.environment, run.name, run.operator, fence, progress, stop=watch.stop
    )
    with run.connect("status") as connection:
        completed = Ledger(connection).completed()
    return tuple(
        engine.up(migration)
        for migration in record.migrations
        if migration.version not in completed
    )


def _evidence(record: PhaseRecord, applied: tuple[Applied, ...], watch: Watch) -> Evidence:
    """The steps, and what was seen meanwhile; amber where the monitor was blind in one eye."""
    steps = display.many(sum(len(one.steps) for one in applied), "step")
    waits = display.many(sum(step.lock_waits for one in applied for step in one.steps), "lock wait")
    gap, noise = watch.facts["longest_gap_ms"], watch.facts["noise_gap_ms"]
    unseen = f"; not probed: {', '.join(watch.not_probed)}" if watch.not_probed else ""
    return Evidence(
        record.number,
        "migrate",
        "warned" if watch.notes else "passed",
        f"{steps}, {waits}; longest gap that readers or writers saw {display.duration(gap)}"
        f" ({display.duration(noise)} before the first step){unseen}",
        (
            evidence_tables.steps_table("steps", applied),
            evidence_tables.lanes_table(watch.probed),
        ),
        {
            "durations_ms": forecast.durations(applied),
            "lock_waits": forecast.lock_waits(applied),
            **watch.facts,
        },
        advice="; ".join(watch.notes),
    )


def _refuse_unseen(record: PhaseRecord) -> None:
    """What this run applied while the probe did not see all of it stays in doubt: nothing is left
    to be measured.
    """
    problems = record.facts("migrate").get("probe", {}).get("problems", ())
    if problems:
        record.show_red(record.kept("migrate"))
        require_seen(problems)


def _tell_trip(record: PhaseRecord, trip: Trip) -> None:
    """Alert the team while the migration is being stopped.

    Who waits for whom is left out of the message: it may show a statement's values.
    """
    run = record.run
    policy = {"pause": "is left as it is", "roll back": "is rolled back"}[run.environment.on_trip]
    record.alerts.send(
        Alert(
            "guard tripped",
            f"Mantis Runbook: the guard stopped phase {record.number} on {run.target.name}",
            f"run {run.name} in {run.environment.name}: {replace(trip, detail='')}; what was done"
            f" {policy}",
            "failure",
        )
    )
