"""The performance gate's verdict: what each statement and scenario costs, after against before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mantis_runbook.rehearsal.performance import intervals
from mantis_runbook.rehearsal.performance.block_counts import Count
from mantis_runbook.rehearsal.performance.intervals import Interval, Word
from mantis_runbook.rehearsal.performance.timings import Witness
from mantis_runbook.settings import Environment, PerformanceLimits

__all__ = [
    "SPARE_BLOCKS",
    "SPARE_WAL_BYTES",
    "Change",
    "Deterministic",
    "Gate",
    "Growth",
    "ScenarioTimes",
    "Timed",
]

#: What a statement may cost more in any case, per execution: blocks of 8 kB, and bytes of
#: write-ahead log.
SPARE_BLOCKS = 2
SPARE_WAL_BYTES = 128


@dataclass(frozen=True)
class Growth:
    """A large table that the migration made larger or smaller, in blocks. `compact` is its size
    after it without dead space, as it was measured: the rest goes to later writes, or is given back
    by a repack.
    """

    table: str
    before: int
    after: int
    compact: int

    def __str__(self) -> str:
        return (
            f"{self.table} {self.before:,} to {self.after:,} blocks, {self.compact:,} without dead"
            " space"
        )


@dataclass(frozen=True)
class Change:
    """One statement before and after. `problems` are sentences; empty when it costs what it may.
    `accepted` says why it may cost more than the tolerance, where it does.
    """

    statement: str
    before: Count
    after: Count
    problems: tuple[str, ...]
    accepted: str = ""
    is_exact: bool = True

    @property
    def plan_changed(self) -> bool:
        return self.before.plans != self.after.plans

    @property
    def word(self) -> str:
        return "fail" if self.problems else "warn" if self.accepted else "pass"

    @property
    def finding(self) -> str:
        """What there is to say about it; empty when nothing."""
        if self.problems:
            return "; ".join(self.problems)
        return (
            f"accepted: {self.accepted}" if self.accepted else "" if self.is_exact else "not exact"
        )

    @property
    def is_same(self) -> bool:
        return self.before == self.after


@dataclass(frozen=True)
class Deterministic:
    """Blocks, write-ahead log and plan of every statement, which repeat to the digit."""

    changes: tuple[Change, ...]
    executions: int

    @property
    def failed(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.problems)

    @property
    def word(self) -> Word:
        return "failed" if self.failed else "passed" if self.changes else "inconclusive"

    @property
    def inexact(self) -> tuple[str, ...]:
        return tuple(change.statement for change in self.changes if not change.is_exact)

    @property
    def summary(self) -> str:
        problems = [f"{change.statement}: {change.finding}" for change in self.failed]
        same = sum(change.is_same for change in self.changes)
        summary = f"{len(self.changes)} statements, {same} of them cost the same to the digit"
        if accepted := sum(change.word == "warn" for change in self.changes):
            summary += f", {accepted} cost more as accepted"
        if self.inexact:
            summary += (
                f", {len(self.inexact)} could not be counted exactly ({', '.join(self.inexact)})"
            )
        return "; ".join([*problems, summary])


@dataclass(frozen=True)
class ScenarioTimes:
    """A scenario's time after against before, and the control; `statements` by name. Milliseconds
    of one play.

    `allowed` is what after against before may be, and `reason` says why where that is more than the
    threshold.
    """

    scenario: str
    milliseconds: float
    ratio: Interval
    strict: Interval
    control: Interval
    statements: Mapping[str, Interval]
    allowed: float
    reason: str = ""

    @property
    def word(self) -> Word:
        return intervals.judge(self.ratio, self.allowed)

    def is_beyond(self, threshold: float) -> bool:
        """Slower than that beyond doubt, or passed only by what was accepted."""
        return self.ratio.lower > threshold or (
            bool(self.reason) and intervals.judge(self.ratio, threshold) != "passed"
        )

    def __str__(self) -> str:
        accepted = f" (up to {self.allowed:g} accepted: {self.reason})" if self.reason else ""
        return f"{self.scenario} {self.ratio}{accepted}"


@dataclass(frozen=True)
class Timed:
    """The scenarios side by side.

    Each scenario is judged by itself, for each is what one kind of user waits for: a loss in one is
    not made good by the others. All must lie below the threshold with their upper bounds to pass.
    To fail, one must lie above it with its lower bound, at a confidence shared out over the
    scenarios (`strict`), so that three looks are no likelier to see what is not there than one.
    """

    scenarios: tuple[ScenarioTimes, ...]
    overall: Interval
    limits: PerformanceLimits
    witness: Witness

    @property
    def stray(self) -> float:
        """How far the same database seems to differ from itself: 0.02 is 2 %."""
        return intervals.stray([one.control for one in self.scenarios])

    @property
    def is_too_noisy(self) -> bool:
        return self.stray > self.limits.control

    @cached_property
    def slower(self) -> tuple[ScenarioTimes, ...]:
        """Scenarios that are slower beyond doubt, and beyond what the machine's noise can feign."""
        noise = 1 + self.stray if self.is_too_noisy else 1
        return tuple(one for one in self.scenarios if one.strict.lower > one.allowed * noise)

    @property
    def word(self) -> Word:
        if self.slower:
            return "failed"
        words = {one.word for one in self.scenarios}
        return "passed" if words == {"passed"} and not self.is_too_noisy else "inconclusive"

    @property
    def summary(self) -> str:
        control = f"control {self.stray:.1%} off"
        if self.is_too_noisy:
            control += f": this machine is too noisy to judge to {self.limits.control:.0%}"
        each = "; ".join(map(str, self.slower or self.scenarios))
        return f"time after against before {self.overall}: {each}; {control}"


@dataclass(frozen=True)
class Gate:
    """Both parts. A combined verdict is asked of it for an environment, since they weigh them
    differently.
    """

    deterministic: Deterministic
    timed: Timed
    growth: tuple[Growth, ...] = ()

    def combined(self, environment: Environment) -> Word:
        """Development goes by the deterministic part alone; where the timed part decides too, both
        must pass.
        """
        words = [self.deterministic.word]
        if environment.performance.timed_decides:
            words.append(self.timed.word)
        worst: tuple[Word, ...] = ("failed", "inconclusive", "passed")
        return next(word for word in worst if word in words)

    def summary(self, environment: Environment) -> str:
        """The verdict in a sentence, with what decided it."""
        beside = "" if environment.performance.timed_decides else " (reported only)"
        grown = (
            f". Tables of another size: {'; '.join(map(str, self.growth))}" if self.growth else ""
        )
        return (
            f"{self.combined(environment)}: deterministic part {self.deterministic.word}:"
            f" {self.deterministic.summary}. Timed part{beside} {self.timed.word}:"
            f" {self.timed.summary}. {self.timed.witness}{grown}"
        )

    @property
    def beyond(self) -> tuple[dict[str, Any], ...]:
        """A record for everything that costs more than the tolerance or the threshold and did not
        fail: somebody has to answer for it.
        """
        limit = self.timed.limits.threshold
        return (
            *(_cost(one) for one in self.deterministic.changes if one.word == "warn"),
            *(_time(one) for one in self.timed.scenarios if one.is_beyond(limit)),
        )

    @property
    def counts(self) -> dict[str, dict[str, tuple[int, int, int]]]:
        """Of each statement blocks and bytes of log: before, after, and how many more are spared in
        any case.
        """
        executions = self.deterministic.executions
        return {
            change.statement: {
                "blocks": (change.before.blocks, change.after.blocks, SPARE_BLOCKS * executions),
                "bytes of log": (
                    change.before.wal_bytes,
                    change.after.wal_bytes,
                    SPARE_WAL_BYTES * executions,
                ),
            }
            for change in self.deterministic.changes
        }

    @property
    def records(self) -> list[dict[str, Any]]:
        """A row for each statement, problems first; `verdict` is the deterministic part's."""
        times = {
            name: timed for each in self.timed.scenarios for name, timed in each.statements.items()
        }
        ordered = sorted(
            self.deterministic.changes,
            key=lambda change: ("fail", "warn", "pass").index(change.word),
        )
        return [_record(change, times.get(change.statement)) for change in ordered]

    @property
    def growth_records(self) -> list[dict[str, Any]]:
        """A row for each table of another size."""
        return [
            {
                "table": growth.table,
                "blocks before": growth.before,
                "blocks after": growth.after,
                "without dead space": growth.compact,
            }
            for growth in self.growth
        ]

    @property
    def scenario_records(self) -> list[dict[str, Any]]:
        """A row for each scenario of the timed part."""
        return [
            {
                "scenario": scenario.scenario,
                "verdict": (
                    "fail"
                    if scenario in self.timed.slower
                    else "pass"
                    if scenario.word == "passed"
                    else "inconclusive"
                ),
                "ms before": round(scenario.milliseconds, 2),
                "after / before": round(scenario.ratio.estimate, 3),
                "lower bound": round(scenario.ratio.lower, 3),
                "upper bound": round(scenario.ratio.upper, 3),
                "control": round(scenario.control.estimate, 3),
                "accepted": f"{scenario.allowed:g}: {scenario.reason}" if scenario.reason else "",
            }
            for scenario in self.timed.scenarios
        ]


def _record(change: Change, time: Interval | None) -> dict[str, Any]:
    return {
        "statement": change.statement,
        "verdict": change.word,
        "blocks before": change.before.blocks,
        "blocks after": change.after.blocks,
        "WAL bytes before": change.before.wal_bytes,
        "WAL bytes after": change.after.wal_bytes,
        "plan": "changed" if change.plan_changed else "same",
        "time after / before": round(time.estimate, 2) if time else None,
        "finding": change.finding,
    }


def _cost(change: Change) -> dict[str, Any]:
    """A statement that costs more than the tolerance, as accepted: what grew most of it."""
    was, now = change.before, change.after
    unit, before, after = max(
        ("blocks", was.blocks, now.blocks),
        ("bytes of log", was.wal_bytes, now.wal_bytes),
        key=lambda one: one[2] / max(one[1], 1),
    )
    return {
        "what": change.statement,
        "before": f"{before:,} {unit}",
        "after": f"{after:,} {unit}",
        "ratio": after / max(before, 1),
        "reason": change.accepted,
    }


def _time(scenario: ScenarioTimes) -> dict[str, Any]:
    """A scenario that is slower than the threshold allows."""
    accepted = (
        f"; up to {scenario.allowed:g} accepted: {scenario.reason}" if scenario.reason else ""
    )
    return {
        "what": f"time of {scenario.scenario}",
        "before": f"{scenario.milliseconds:.1f} ms",
        "after": f"{scenario.milliseconds * scenario.ratio.estimate:.1f} ms",
        "ratio": scenario.ratio.estimate,
        "reason": f"ratio {scenario.ratio}{accepted}",
    }
