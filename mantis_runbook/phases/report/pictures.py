"""The pictures of a run as files: drawn from its evidence, its probe's samples and its monitor's
readings.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantis_runbook.runs import archive
from mantis_runbook.runs.evidence import Evidence

if TYPE_CHECKING:
    from mantis_runbook.drawing import Picture

__all__ = ["CHARTS", "draw"]

CHARTS = "charts"

#: What a probe and a monitor leave of a phase: `probe-1.csv`, `monitor-1.jsonl`.
RECORD = re.compile(r"(?:probe|monitor)-(?P<phase>\w+)\.\w+")

logger = logging.getLogger(__name__)


def draw(folder: Path) -> list[Path]:
    """Draw the run's pictures into its `charts/`, the same bytes for the same files. Returns their
    paths.

    What a killed run left half is no reason to have no report: a picture that cannot be drawn is
    left out, and logged.
    """
    drawn = []
    for name, picture in _pictures(folder):
        try:
            drawn.append(_saved(picture(), folder / CHARTS / f"{name}.png"))
        except Exception as error:
            logger.warning(
                "no picture %s of run %s: %s: %s", name, folder.name, type(error).__name__, error
            )
    return drawn


def _pictures(folder: Path) -> Iterator[tuple[str, Callable[[], Picture]]]:
    """Names and how to draw them."""
    for path in sorted((folder / archive.EVIDENCE).glob("*.json")):
        phase, _, verb = path.stem.partition(".")
        kept = _evidence(folder, phase, verb)
        if kept and kept.chart:
            yield f"phase_{phase}_{verb}_{kept.chart}", kept.plot
    for path in sorted(folder.glob("probe-*.csv")):
        if match := RECORD.fullmatch(path.name):
            yield (
                f"phase_{match['phase']}_migrate_latency",
                partial(_latency, path, match["phase"]),
            )
    for path in sorted(folder.glob("monitor-*.jsonl")):
        if match := RECORD.fullmatch(path.name):
            yield f"phase_{match['phase']}_migrate_monitoring", partial(_monitoring, path)


def _evidence(folder: Path, phase: str, verb: str) -> Evidence | None:
    """A verb's evidence; None for a file that holds something else."""
    try:
        return Evidence.from_dict(archive.read_evidence(folder, phase, verb))
    except Exception:
        return None


def _latency(path: Path, phase: str) -> Picture:
    from mantis_runbook.phases import watched_pictures

    return watched_pictures.latency_in(path, phase)


def _monitoring(path: Path) -> Picture:
    from mantis_runbook.phases import watched_pictures

    return watched_pictures.monitoring_in(path)


def _saved(picture: Any, path: Path) -> Path:
    from mantis_runbook import charts

    return charts.save(picture, path)
