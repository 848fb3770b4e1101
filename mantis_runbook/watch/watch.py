"""A migration under watch: probe, monitor and guard beside the engine, and what they saw."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mantis_runbook import application
from mantis_runbook.errors import Failed, Inconclusive
from mantis_runbook.runs.run import Run
from mantis_runbook.watch.guard import Guard, Trip
from mantis_runbook.watch.monitor import Monitor, MonitorResult, Reading
from mantis_runbook.watch.probe import Probe, ProbeResult

__all__ = ["Watch", "require_seen", "watching"]

#: Seconds of the machine's own noise, before the first step.
NOISE_S = 3.0

#: At most so many tables are probed, each with a lane that reads and one that writes: 33
#: connections, beside the 50 of staging's load and our own out of the 97 that a server's defaults
#: leave, and a tenth of a core.
MOST_TABLES = 16


@dataclass
class Watch:
    """What is being watched; `stop` is for the engine, the results are there after the block.

    `not_probed` are tables that are locked and have no lane: of them nothing was measured.
    """

    stop: Callable[[], None]
    not_probed: tuple[str, ...] = ()
    probed: ProbeResult | None = None
    monitored: MonitorResult | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """Figures for the evidence; durations in milliseconds. "Downtime" is `longest_gap_ms` and
        nothing else.
        """
        if self.probed is None or self.monitored is None:
            return {}
        return {
            "longest_gap_ms": self.probed.longest_gap_ms,
            "noise_gap_ms": self.probed.noise_gap_ms,
            "not_probed": list(self.not_probed),
            "probe": self.probed.as_dict(),
            "monitor": self.monitored.as_dict(),
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What the monitor could not see; no reason to doubt the gaps, which the probe measures."""
        return self.monitored.notes if self.monitored is not None else ()

    def require(self) -> None:
        """Raise `Failed` when a write that was acknowledged is not there afterwards, `Inconclusive`
        when the probe did not see all there was to see.
        """
        if self.probed is None:
            return
        if self.probed.verification.lost:
            raise Failed(
                "acknowledged writes are gone",
                found=f"{self.probed.verification.lost} of the probe's rows are missing",
                expected="every row that was acknowledged",
                action="stop the application and look at the server's log before anything else",
            )
        require_seen(self.probed.problems)


def require_seen(problems: Sequence[str]) -> None:
    """Raise `Inconclusive` for any problem of the probe: a gap that it did not see is no short
    gap.
    """
    if problems:
        raise Inconclusive(
            "the probe did not see all of the migration",
            found="; ".join(problems),
            expected="every gap measured, and every acknowledged write looked for",
            action=(
                "the migration is applied, its downtime unknown: look for what the application met"
                " meanwhile"
            ),
        )


@contextmanager
def watching(
    run: Run,
    phase: str,
    tables: Sequence[str],
    *,
    show: Callable[[Reading], None] = lambda reading: None,
    told: Callable[[Trip], None] = lambda trip: None,
) -> Iterator[Watch]:
    """Probe, monitor and guard for the length of the block.

    The machine's own noise is measured before it begins.

    `tables` come most important first: those beyond `MOST_TABLES` are not probed, and named. `show`
    is handed each of the monitor's readings, once a second, in the monitor's thread. `told` hears
    of the guard's trip at once, from the guard's thread.
    """
    wanted = tuple(dict.fromkeys((*tables, *application.load().probed)))
    probe = Probe(run.target, wanted[:MOST_TABLES], run.folder, file=f"probe-{phase}.csv")
    monitor = Monitor(
        run.target, run.folder, disk=run.backups.parent, file=f"monitor-{phase}.jsonl"
    )
    watch = Watch(
        lambda: None, not_probed=tuple(one for one in wanted[MOST_TABLES:] if one in tables)
    )
    try:
        with probe, Guard(run.target, run.environment, probe, told=told) as guard, monitor:
            monitor.subscribe(guard.take)
            monitor.subscribe(show)
            guard.require(monitor.latest)
            time.sleep(NOISE_S)
            probe.mark()
            watch.stop = guard.stop
            yield watch
            probe.mark("migrated")
            time.sleep(1.0)
    finally:
        watch.probed, watch.monitored = probe.result, monitor.result
        run.journal.append("watch.finished", phase=phase, **watch.facts)
