"""Compare: the rehearsal's prediction with what happened, the snapshot's rows with today's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mantis_runbook import display
from mantis_runbook.backup import fingerprint, missing_rows
from mantis_runbook.backup.missing_rows import Deletions, Loss
from mantis_runbook.phases.copy import PhaseCopy
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.phases.verbs.already_applied import not_needed
from mantis_runbook.rehearsal import forecast
from mantis_runbook.runs.evidence import Evidence, Table
from mantis_runbook.watch import samples

__all__ = ["compare"]

READ_LOST = (
    "Rows are fewer than in the snapshot, and the server did not count as many deletions. TRUNCATE"
    " is not counted, and counters begin anew after a crash or a reset: find out what emptied these"
    " tables. The proven backup has the rows."
)


def compare(record: PhaseRecord) -> Evidence:
    """Compare forecast and rows with what is there now.

    Failed where a table is gone, or rows that nobody deleted; a step that took longer is only
    shown.
    """
    if "backup" not in record.facts("back_up"):
        return not_needed(record, "compare", "nothing was migrated in this run")
    steps, took = _beside_actual(record)
    then, now, lost = _rows(record)
    missing = sorted(then.keys() - now.keys())
    problems = [*([f"tables gone: {', '.join(missing)}"] if missing else []), *map(str, lost)]
    bad = bool(missing) or any(loss.word == "failed" for loss in lost)
    return Evidence(
        record.number,
        "compare",
        "failed" if bad else "warned" if lost else "passed",
        "; ".join(problems) or f"{took}; no table is missing, and no row that nobody deleted",
        (
            steps,
            Table(
                "rows in the snapshot and now (the application writes on)",
                _content(then, now, lost),
                "verdict",
                folded=not problems,
            ),
        ),
        advice=READ_LOST if lost else "",
        chart="durations",
    )


def _beside_actual(record: PhaseRecord) -> tuple[Table, str]:
    """Each step on the copy and on the target, and how long they took together."""
    path = record.run.folder / f"probe-{record.number}.csv"
    spans = forecast.spans(record.run.journal.entries(), record.number)
    gaps = samples.longest_gaps(samples.read(path), spans) if path.is_file() else {}
    steps = forecast.beside_actual(record.facts("rehearse"), record.facts("migrate"), gaps)
    rate_hz = record.facts("migrate").get("probe", {}).get("rate_hz")
    total, predicted_ms = (
        sum(row[name] for row in steps) for name in ("actual_ms", "predicted_ms")
    )
    took = (
        f"{display.many(len(steps), 'step')} took {display.duration(total)}, predicted"
        f" {display.duration(predicted_ms)}"
    )
    table = Table(
        "predicted (on the copy) and actual: durations, locks, and the longest gap that"
        " anybody saw",
        steps,
        note=forecast.rhythm(rate_hz) if rate_hz else "",
    )
    return table, took


def _rows(record: PhaseRecord) -> tuple[Mapping[str, int], Mapping[str, int], Sequence[Loss]]:
    """Rows by table in the snapshot and now, and those that are gone though nobody deleted them."""
    before = PhaseCopy(record).backup.fingerprint
    then = {name: table.total.rows for name, table in before.tables.items()}
    noted = record.facts("back_up").get("deletions")
    with record.run.read("comparison") as connection:
        now = fingerprint.counts(connection, before.tables)
        return (
            then,
            now,
            missing_rows.found(
                connection, then, now, Deletions.from_dict(noted) if noted else None
            ),
        )


def _content(
    then: Mapping[str, int], now: Mapping[str, int], lost: Sequence[Loss]
) -> list[dict[str, Any]]:
    """A row for each table of the snapshot, those that are gone or lost rows first."""
    words = {loss.table: {"failed": "fail", "warned": "warn"}[loss.word] for loss in lost}
    words |= dict.fromkeys(then.keys() - now.keys(), "fail")
    return [
        {
            "table": name,
            "verdict": words.get(name, "pass"),
            "rows then": then[name],
            "rows now": now.get(name, "missing"),
            "change": now[name] - then[name] if name in now else "missing",
        }
        for name in sorted(
            then, key=lambda name: (("fail", "warn", "pass").index(words.get(name, "pass")), name)
        )
    ]
