"""What a probe saw: one sample a scheduled instant, and the figures that follow from them."""

from __future__ import annotations

import csv
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

__all__ = [
    "ACKNOWLEDGED",
    "CACHED_PLAN",
    "CLOCK",
    "COLUMNS",
    "END",
    "MARK",
    "OK",
    "UNANSWERED",
    "Figures",
    "Gap",
    "LaneFigures",
    "Sample",
    "acknowledged",
    "curable",
    "figures",
    "frame",
    "longest_gaps",
    "migration_span",
    "read",
]

COLUMNS = ("at_s", "lane", "number", "latency_ms", "outcome")

OK, UNANSWERED, CACHED_PLAN = "ok", "unanswered", "cached plan must not change result type"

#: The lane whose writes are looked for afterwards.
ACKNOWLEDGED = "write canary"

#: Rows that are no samples: the clock at 0 s, a mark that was set, the end of the schedule.
CLOCK, MARK, END = "clock", "mark", "end"

#: The marks between which the migration lies.
BEGIN, DONE = "migration", "migrated"

#: SQLSTATEs, or their classes, that the same transaction tried once more would not meet again:
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
CURABLE = ("08", "40", "53300", "55P03", "57P0")


@dataclass(frozen=True)
class Sample:
    """One scheduled instant: seconds after the probe's start, and how long after that instant it
    was answered.

    `outcome` is "ok", an SQLSTATE, `CACHED_PLAN`, or "unanswered" when the probe ended first.
    """

    at_s: float
    lane: str
    number: int
    latency_ms: float
    outcome: str = OK

    @property
    def end_s(self) -> float:
        return self.at_s + self.latency_ms / 1000


@dataclass(frozen=True)
class Gap:
    """A time without a success: from one success (or the probe's start) to the next (or its
    end).
    """

    ms: float = 0.0
    from_s: float = 0.0


@dataclass(frozen=True)
class LaneFigures:
    """One lane while the migration ran, and before it: all in milliseconds, counted from the
    scheduled instant.

    A gap includes the pause between two scheduled instants; the `noise` of the quiet time before
    does so, too. The noise is None when nothing was measured before the migration.
    """

    lane: str
    samples: int
    longest_gap: Gap
    p50_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    errors: Mapping[str, int] = field(default_factory=dict)
    noise_gap_ms: float | None = None
    noise_p99_ms: float | None = None
    noise_samples: int = 0


@dataclass(frozen=True)
class Figures:
    """What follows from a file of samples.

    `complete` is False when the probe did not come to its end.
    """

    started_at: datetime | None
    marks: tuple[tuple[str, float], ...]
    lanes: tuple[LaneFigures, ...]
    complete: bool

    def instant(self, at_s: float) -> datetime | None:
        return self.started_at + timedelta(seconds=at_s) if self.started_at else None


def curable(kind: str) -> bool:
    """Whether a plain retry of the application's transaction would succeed after an error of this
    kind.
    """
    return kind == CACHED_PLAN or kind.startswith(CURABLE)


def read(path: Path) -> Iterator[Sample]:
    """The samples of a file, in the order of their answers; a line that was cut off ends it."""
    with path.open(newline="") as file:
        for row in csv.reader(file):
            if len(row) != len(COLUMNS) or row[0] == COLUMNS[0]:
                continue
            try:
                yield Sample(float(row[0]), row[1], int(row[2]), float(row[3]), row[4])
            except ValueError:
                return


def acknowledged(samples: Iterable[Sample]) -> list[tuple[int, int]]:
    """Numbers of the acknowledged writes, as ranges."""
    ranges: list[tuple[int, int]] = []
    for sample in samples:
        if sample.lane != ACKNOWLEDGED or sample.outcome != OK:
            continue
        if ranges and ranges[-1][1] == sample.number - 1:
            ranges[-1] = (ranges[-1][0], sample.number)
        else:
            ranges.append((sample.number, sample.number))
    return ranges


def figures(samples: Iterable[Sample], begin: str = BEGIN, end: str = DONE) -> Figures:
    """All figures of a probe.

    What lies between the marks `begin` and `end` is the migration; before it is the noise.

    Without the mark `begin` everything counts as migration, without `end` everything after `begin`
    does: what is not known to be quiet is not noise. A gap that touches the migration belongs to
    it. Pure.
    """
    lanes: dict[str, _Lane] = {}
    marks: list[tuple[str, float]] = []
    started: datetime | None = None
    ended: float | None = None
    for sample in samples:
        if sample.lane == CLOCK:
            started = datetime.fromisoformat(sample.outcome)
        elif sample.lane == MARK:
            marks.append((sample.outcome, sample.at_s))
        elif sample.lane == END:
            ended = sample.at_s
        else:
            lanes.setdefault(sample.lane, _Lane()).add(sample)
    span = _span(marks, begin, end)
    lane_figures = tuple(lane.figures(name, span, ended) for name, lane in sorted(lanes.items()))
    return Figures(started, tuple(marks), lane_figures, ended is not None)


def _span(marks: Iterable[tuple[str, float]], begin: str, end: str) -> tuple[float, float]:
    first = dict(reversed(list(marks)))
    return first.get(begin, 0.0), first.get(end, float("inf"))


def migration_span(path: Path) -> tuple[datetime, datetime] | None:
    """Between which instants a file's migration lies, for its gaps as `figures` counts them; None
    where it is not marked.
    """
    started: datetime | None = None
    marks: list[tuple[str, float]] = []
    last = 0.0
    for sample in read(path):
        last = max(last, sample.end_s)
        if sample.lane == CLOCK:
            started = datetime.fromisoformat(sample.outcome)
        elif sample.lane == MARK:
            marks.append((sample.outcome, sample.at_s))
    if started is None or not marks:
        return None
    begin, end = _span(marks, BEGIN, DONE)
    return started + timedelta(seconds=begin), started + timedelta(seconds=min(end, last))


def longest_gaps(
    samples: Iterable[Sample], spans: Mapping[str, tuple[datetime, datetime]]
) -> dict[str, float]:
    """For each span of time, by name, the longest gap in milliseconds that any lane saw and that
    touches it. Pure.

    Empty when the samples do not say when they began. A gap that touches two spans counts in both.
    """
    started: datetime | None = None
    answered: dict[str, list[float]] = {}
    for sample in samples:
        if sample.lane == CLOCK:
            started = datetime.fromisoformat(sample.outcome)
        elif sample.lane not in (MARK, END) and sample.outcome == OK:
            answered.setdefault(sample.lane, [0.0]).append(sample.end_s)
    if started is None:
        return {}
    gaps = [gap for ends in answered.values() for gap in pairwise(sorted(ends))]
    longest = {}
    for name, (begin, end) in spans.items():
        first, last = (begin - started).total_seconds(), (end - started).total_seconds()
        longest[name] = _longest(gap for gap in gaps if gap[1] > first and gap[0] < last).ms
    return longest


class _Lane:
    """A lane's samples, as compact as is needed: marks come later in the file than what they
    divide.
    """

    def __init__(self) -> None:
        self.scheduled, self.latencies, self.successes = array("d"), array("d"), array("d")
        self.errors: list[tuple[float, str]] = []

    def add(self, sample: Sample) -> None:
        if sample.outcome in (OK, UNANSWERED):
            self.scheduled.append(sample.at_s)
            self.latencies.append(sample.latency_ms)
        if sample.outcome == OK:
            self.successes.append(sample.end_s)
        else:
            self.errors.append((sample.at_s, sample.outcome))

    def figures(self, name: str, span: tuple[float, float], ended: float | None) -> LaneFigures:
        begin, end = span
        edges = [0.0, *sorted(self.successes), *([ended] if ended is not None else [])]
        gaps = list(pairwise(edges))
        noise = [(start, stop) for start, stop in gaps if stop <= begin]
        ours = [(start, stop) for start, stop in gaps if stop > begin and start < end]
        before = sorted(self._latencies(0.0, begin))
        during = sorted(self._latencies(begin, end))
        errors = Counter(kind for at, kind in self.errors if begin <= at < end)
        return LaneFigures(
            name,
            len(during) + sum(count for kind, count in errors.items() if kind != UNANSWERED),
            _longest(ours),
            _percentile(during, 0.5),
            _percentile(during, 0.99),
            _percentile(during, 0.999),
            dict(errors.most_common()),
            _longest(noise).ms if noise else None,
            _percentile(before, 0.99),
            len(before),
        )

    def _latencies(self, begin: float, end: float) -> Iterator[float]:
        return (
            ms for at, ms in zip(self.scheduled, self.latencies, strict=True) if begin <= at < end
        )


def _longest(gaps: Iterable[tuple[float, float]]) -> Gap:
    start, stop = max(gaps, key=lambda gap: gap[1] - gap[0], default=(0.0, 0.0))
    return Gap(round((stop - start) * 1000, 1), round(start, 3))


def _percentile(ordered: list[float], share: float) -> float | None:
    """The nearest rank: a latency that was measured, not one in between."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else None


def frame(path: Path) -> Any:
    """All samples as a pandas frame, as `charts.latency` takes it: at, lane, latency_ms, ok,
    outcome.
    """
    import pandas as pd

    data = pd.read_csv(path, dtype={"lane": "string", "outcome": "string"})
    clock = data.loc[data["lane"] == CLOCK, "outcome"]
    start = pd.Timestamp(clock.iloc[0]) if len(clock) else pd.Timestamp(0, tz=UTC)
    data = data[~data["lane"].isin((CLOCK, MARK, END))].reset_index(drop=True)
    return pd.DataFrame(
        {
            "at": start + pd.to_timedelta(data["at_s"], unit="s"),
            "lane": data["lane"].astype(object),
            "latency_ms": data["latency_ms"],
            "ok": data["outcome"] == OK,
            "outcome": data["outcome"].astype(object),
        }
    )
