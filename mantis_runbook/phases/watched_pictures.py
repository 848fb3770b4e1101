"""The pictures of what was watched while a phase migrated: the probe's latency, and the monitor's
readings.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from mantis_runbook import charts, display
from mantis_runbook.rehearsal import forecast
from mantis_runbook.runs.run import Run
from mantis_runbook.watch import samples
from mantis_runbook.watch.monitor import MonitorResult

__all__ = ["latency", "monitoring"]

NOT_WATCHED = "No picture: nothing was migrated in this run, so nothing was watched."


def latency(run: Run, phase: str) -> Any:
    """The probe's latency over time, the steps drawn in; a sentence where nothing was watched."""
    path = run.folder / f"probe-{phase}.csv"
    if not path.is_file():
        return display.callout("info", NOT_WATCHED)
    spans = forecast.spans(run.journal.entries(), phase)
    steps = [
        {"step": name.partition(" ")[2], "started": began, "finished": ended}
        for name, (began, ended) in spans.items()
    ]
    return charts.latency(samples.frame(path), pd.DataFrame(steps), samples.migration_span(path))


def monitoring(run: Run, phase: str) -> Any:
    """Connections, waiting, query time and cache hits over time; a sentence where nothing was
    watched.
    """
    path = run.folder / f"monitor-{phase}.jsonl"
    if not path.is_file():
        return display.callout("info", NOT_WATCHED)
    return charts.monitoring(MonitorResult(path, 0, {}, ()).frame)
