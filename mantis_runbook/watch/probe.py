"""The probe: what an application would notice of a migration, measured from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import psycopg

from mantis_runbook.errors import ParameterError, RunbookError
from mantis_runbook.postgres.connection import connect, query, scalar
from mantis_runbook.postgres.target import Target
from mantis_runbook.watch import samples
from mantis_runbook.watch.probe_process import Order, dumps
from mantis_runbook.watch.samples import Figures, LaneFigures

__all__ = ["FILE", "Live", "Probe", "ProbeResult", "Verification"]

FILE = "probe.csv"

#: Seconds for the process to begin and to end; it tells that it has begun even when no server
#: answers.
BEGIN_S, END_S = 30.0, 10.0

#: Of fewer samples than this, p99 and p99.9 are their maximum and say nothing more.
FOR_P99, FOR_P999 = 100, 1_000

#: Milliseconds: a lane whose probes all failed for less than this met a moment, which its longest
#: gap tells.
SILENT_MS = 300.0

#: As many missing numbers are named; more are counted.
NAMED = 20


@dataclass(frozen=True)
class Live:
    """How it stands since the last mark.

    A gap that is open by now counts as long as it is; `at` is monotonic.
    """

    longest_gap_ms: float = 0.0
    lane: str = ""
    samples: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    marks: int = 0
    at: float = 0.0

    @property
    def error_count(self) -> int:
        return sum(self.errors.values())


@dataclass(frozen=True)
class Verification:
    """Acknowledged writes, looked for afterwards. `found` is None when nobody could look."""

    acknowledged: int = 0
    found: int | None = None
    missing: tuple[int, ...] = ()

    @property
    def lost(self) -> int:
        return self.acknowledged - self.found if self.found is not None else 0


@dataclass(frozen=True)
class ProbeResult:
    """What the probe saw.

    `problems` is empty when it saw all there was to see, and nothing was lost.

    "Downtime" in our reports is `longest_gap_ms`, and nothing else.
    """

    file: Path
    rate_hz: float
    figures: Figures
    verification: Verification
    problems: tuple[str, ...]

    @property
    def lanes(self) -> tuple[LaneFigures, ...]:
        return self.figures.lanes

    @property
    def longest_gap_ms(self) -> float | None:
        return self._longest("")

    @property
    def longest_read_gap_ms(self) -> float | None:
        return self._longest("read ")

    @property
    def longest_write_gap_ms(self) -> float | None:
        return self._longest("write ")

    @property
    def noise_gap_ms(self) -> float | None:
        """The longest gap before the migration began, in any lane; None when there was no time
        before.
        """
        return max(
            (lane.noise_gap_ms for lane in self.lanes if lane.noise_gap_ms is not None),
            default=None,
        )

    @property
    def errors(self) -> dict[str, int]:
        """Failed probes by kind: SQLSTATE, or a name of ours."""
        return dict(
            sum((Counter(lane.errors) for lane in self.lanes), Counter[str]()).most_common()
        )

    @property
    def incurable(self) -> dict[str, int]:
        """Errors that a plain retry of the application's transaction would meet again."""
        return {kind: count for kind, count in self.errors.items() if not samples.curable(kind)}

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record a lane, as notebooks and reports show it; p99 only of samples enough for
        it.
        """
        return [
            {
                "lane": lane.lane,
                "samples": lane.samples,
                "longest_gap_ms": lane.longest_gap.ms,
                "at": at.isoformat(timespec="milliseconds") if (at := self._at(lane)) else None,
                "noise_gap_ms": lane.noise_gap_ms,
                "p50_ms": lane.p50_ms,
                "p99_ms": lane.p99_ms if lane.samples >= FOR_P99 else None,
                "p99.9_ms": lane.p999_ms if lane.samples >= FOR_P999 else None,
                "noise_p99_ms": lane.noise_p99_ms if lane.noise_samples >= FOR_P99 else None,
                "errors": (
                    ", ".join(f"{count} x {kind}" for kind, count in lane.errors.items()) or "0"
                ),
            }
            for lane in self.lanes
        ]

    @property
    def frame(self) -> Any:
        """All samples as a pandas frame, as `charts.latency` takes it."""
        return samples.frame(self.file)

    def as_dict(self) -> dict[str, Any]:
        """The figures without the samples, for evidence and comparison."""
        return {
            "file": self.file.name,
            "rate_hz": self.rate_hz,
            "longest_gap_ms": self.longest_gap_ms,
            "longest_read_gap_ms": self.longest_read_gap_ms,
            "longest_write_gap_ms": self.longest_write_gap_ms,
            "noise_gap_ms": self.noise_gap_ms,
            "errors": self.errors,
            "incurable": self.incurable,
            "verification": asdict(self.verification),
            "problems": list(self.problems),
            "lanes": self.records,
        }

    def _longest(self, kind: str) -> float | None:
        return max(
            (lane.longest_gap.ms for lane in self.lanes if lane.lane.startswith(kind)), default=None
        )

    def _at(self, lane: LaneFigures) -> Any:
        return self.figures.instant(lane.longest_gap.from_s)


class Probe:
    """Probes a target while the block lasts; the result is there after it.

    Each table gets a lane that reads and one that writes (without touching a row), and a last lane
    writes rows of the runbook's own that are looked for afterwards. `rate_hz` is the rate of each
    lane. The samples go to `file` of `folder`. A server that does not answer is what the probe
    finds, not an error of its own.

        with Probe(target, ("public.reader",), run.folder) as probe:
            time.sleep(3)                # the machine's own noise
            probe.mark("migration")
            ...                          # the migration
            probe.mark("migrated")
        probe.result
    """

    def __init__(
        self,
        target: Target,
        tables: Sequence[str],
        folder: Path,
        *,
        rate_hz: float = 20.0,
        file: str = FILE,
    ) -> None:
        if not 0.1 <= rate_hz <= 1000:
            raise ParameterError(
                "rate of the probe", found=f"{rate_hz} Hz", expected="0.1 to 1000 Hz a lane"
            )
        self._target, self._rate_hz, self._path = target, rate_hz, Path(folder) / file
        self._name = uuid4().hex
        self._tables = tuple(dict.fromkeys(tables))
        self._problems: list[str] = []
        self._began = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._marks = 0
        self.live = Live()
        self._result: ProbeResult | None = None

    def __enter__(self) -> Self:
        order = Order(
            self._name,
            self._target.name,
            self._target.kind,
            self._target.parameters,
            self._tables,
            self._has_canary(),
            self._rate_hz,
            str(self._path),
        )
        # -P: what lies in the working directory is not the probe's to import.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mantis_runbook.watch.probe_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        )
        self._say(dumps(order))
        threading.Thread(target=self._listen, daemon=True).start()
        if not self._began.wait(BEGIN_S) or self._process.poll() is not None:
            self._problems.append("the probe's process did not begin")
        return self

    def mark(self, name: str = samples.BEGIN) -> None:
        """What comes now begins: "migration", "migrated", or a step's name.

        The live figures start anew.
        """
        self._marks += 1
        self.live = Live(marks=self._marks, at=time.monotonic())
        self._say(json.dumps({"mark": name, "at": time.monotonic()}) + "\n")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        self._result = self._measured()

    @property
    def result(self) -> ProbeResult:
        """What was seen; once the block is over."""
        if self._result is None:
            raise RuntimeError("the probe is still running")
        return self._result

    # -- the process -------------------------------------------------------------------------------

    def _say(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # it is gone: the result says so
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word = json.loads(line)
            if (
                word.get("marks") == self._marks
            ):  # not what was said before the latest mark was heard
                self.live = Live(**word, at=time.monotonic())
            self._began.set()
        self._began.set()

    def _stop(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        self._say(json.dumps({"stop": True, "at": time.monotonic()}) + "\n")
        with suppress(OSError):
            process.stdin.close()
        try:
            code = process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code != 0:
            self._problems.append(f"the probe's process ended before its time (exit code {code})")

    # -- the result --------------------------------------------------------------------------------

    def _measured(self) -> ProbeResult:
        figures = (
            samples.figures(samples.read(self._path))
            if self._path.exists()
            else Figures(None, (), (), False)
        )
        verification = self._verified()
        problems = [*self._problems, *_problems(figures, verification)]
        return ProbeResult(self._path, self._rate_hz, figures, verification, tuple(problems))

    def _has_canary(self) -> bool:
        """Whether there is a table for writes that can be looked for; where nobody answers, the
        lane will tell.
        """
        try:
            with connect(self._target, "probe") as connection:
                is_there = scalar(
                    connection, "SELECT to_regclass('mantis_runbook.canary') IS NOT NULL"
                )
        except (psycopg.Error, RunbookError):
            return True
        if is_there:
            return True
        self._problems.append(
            "acknowledged writes were not looked for: there is no table mantis_runbook.canary"
            " (phase 0)"
        )
        return False

    def _verified(self) -> Verification:
        """Look for every acknowledged write.

        The rows are deleted once all are found; otherwise they stay as evidence.
        """
        ranges = samples.acknowledged(samples.read(self._path)) if self._path.exists() else []
        total = sum(last - first + 1 for first, last in ranges)
        given = {
            "probe": self._name,
            "first": [one[0] for one in ranges],
            "last": [one[1] for one in ranges],
        }
        try:
            with connect(self._target, "probe", lock_timeout="5s") as connection:
                missing = (
                    tuple(row[0] for row in connection.execute(query("probe/missing"), given))
                    if ranges
                    else ()
                )
                if ranges and not missing:
                    with suppress(
                        psycopg.Error
                    ):  # they were found: rows that cannot be tidied up are no doubt
                        connection.execute(
                            "DELETE FROM mantis_runbook.canary WHERE probe = %s", (self._name,)
                        )
        except (psycopg.Error, RunbookError):
            return Verification(total)
        return Verification(total, total - len(missing), missing[:NAMED])


def _problems(figures: Figures, verification: Verification) -> list[str]:
    """What keeps the figures from being good evidence, or is worse than a gap. Pure."""
    problems = []
    if not figures.complete:
        problems.append("the probe did not come to its end: its figures are a lower bound")
    silent = [
        lane.lane
        for lane in figures.lanes
        if lane.samples and lane.p50_ms is None and lane.longest_gap.ms >= SILENT_MS
    ]
    if silent:
        problems.append(f"nothing was answered in {', '.join(silent)}")
    if verification.found is None and verification.acknowledged:
        problems.append(f"nobody could look for {verification.acknowledged:,} acknowledged writes")
    if verification.lost:
        named = ", ".join(map(str, verification.missing))
        problems.append(
            f"{verification.lost:,} of {verification.acknowledged:,} acknowledged writes are gone:"
            f" {named}"
        )
    return problems
