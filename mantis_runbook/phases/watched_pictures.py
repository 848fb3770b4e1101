"""The pictures of what was watched while a phase migrated: the probe's latency, and the monitor's
readings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from mantis_runbook import charts, display
from mantis_runbook.drawing import Picture
from mantis_runbook.rehearsal import forecast
from mantis_runbook.runs.journal import Journal
from mantis_runbook.runs.run import Run
from mantis_runbook.watch import samples
from mantis_runbook.watch.monitor import MonitorResult

__all__ = ["latency", "latency_in", "monitoring", "monitoring_in"]

NOT_WATCHED = "No picture: nothing was migrated in this run, so nothing was watched."


def latency(run: Run, phase: str) -> Any:
    """The probe's latency over time, the steps drawn in; a sentence where nothing was watched."""
    path = run.folder / f"probe-{phase}.csv"
    return latency_in(path, phase) if path.is_file() else display.callout("info", NOT_WATCHED)


def latency_in(path: Path, phase: str) -> Picture:
    """The same from the probe's file, which lies beside the journal of its run."""
    spans = forecast.spans(Journal(path.parent).entries(), phase)
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
    return monitoring_in(path) if path.is_file() else display.callout("info", NOT_WATCHED)


def monitoring_in(path: Path) -> Picture:
    """The same from the monitor's file."""
    return charts.monitoring(MonitorResult(path, 0, {}, ()).frame)
