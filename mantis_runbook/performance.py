"""The performance gate: what a migration costs the statements of the workload, and whether that may be."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from mantis_runbook import counting, replay, scenarios, settings, statistics, timing, workload
from mantis_runbook.counting import Count, Counted
from mantis_runbook.errors import ParameterError
from mantis_runbook.settings import Environment, PerformanceLimits
from mantis_runbook.statistics import Interval, Times, Word
from mantis_runbook.target import Target
from mantis_runbook.timing import AFTER, BEFORE, CONTROL, Timings, Witness

__all__ = [
    "Accepted",
    "Change",
    "Deterministic",
    "Gate",
    "Growth",
    "ScenarioTimes",
    "Timed",
    "accepted_costs",
    "measure",
]

#: What a statement may cost more in any case, per execution: blocks of 8 kB, and bytes of write-ahead log.
SPARE_BLOCKS = 2
SPARE_WAL_BYTES = 128

#: What all executions together may visit beyond what the median one may: one dear user in many is found, too.
IN_ALL = 0.25

#: The line in a statement's name, which moves when the script is edited.
LINE = re.compile(r":\d+")

Watcher = Callable[[str], None]


@dataclass(frozen=True)
class Accepted:
    """What a migration may cost beyond the tolerance, as multiples of before, and why: one statement in `blocks` and
    `wal`, one scenario (in `statement`, by its name alone) in `time`. 0 is the tolerance."""

    migration: str
    statement: str
    reason: str
    blocks: float = 0
    wal: float = 0
    time: float = 0


@dataclass(frozen=True)
class Growth:
    """A large table that the migration made larger or smaller, in blocks. `compact` is its size after it without dead space,
    as it was measured: the rest goes to later writes, or is given back by a repack."""

    table: str
    before: int
    after: int
    compact: int

    def __str__(self) -> str:
        return f"{self.table} {self.before:,} to {self.after:,} blocks, {self.compact:,} without dead space"


@dataclass(frozen=True)
class Change:
    """One statement before and after. `problems` are sentences; empty when it costs what it may. `accepted` says why
    it may cost more than the tolerance, where it does."""

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
        return f"accepted: {self.accepted}" if self.accepted else "" if self.is_exact else "not exact"

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
        said = f"{len(self.changes)} statements, {same} of them cost the same to the digit"
        if accepted := sum(change.word == "warn" for change in self.changes):
            said += f", {accepted} cost more as accepted"
        if self.inexact:
            said += f", {len(self.inexact)} could not be counted exactly ({', '.join(self.inexact)})"
        return "; ".join([*problems, said])


@dataclass(frozen=True)
class ScenarioTimes:
    """A scenario's time after against before, and the control; `statements` by name. Milliseconds of one play.

    `allowed` is what after against before may be, and `reason` says why where that is more than the threshold."""

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
        return statistics.judge(self.ratio, self.allowed)

    def is_beyond(self, threshold: float) -> bool:
        """Slower than that beyond doubt, or passed only by what was accepted."""
        return self.ratio.lower > threshold or (
            bool(self.reason) and statistics.judge(self.ratio, threshold) != "passed"
        )

    def __str__(self) -> str:
        accepted = f" (up to {self.allowed:g} accepted: {self.reason})" if self.reason else ""
        return f"{self.scenario} {self.ratio}{accepted}"


@dataclass(frozen=True)
class Timed:
    """The scenarios side by side.

    Each scenario is judged by itself, for each is what one kind of user waits for: a loss in one is not made good by
    the others. All must lie below the threshold with their upper bounds to pass. To fail, one must lie above it with
    its lower bound, at a confidence shared out over the scenarios (`strict`), so that three looks are no likelier to
    see what is not there than one.
    """

    scenarios: tuple[ScenarioTimes, ...]
    overall: Interval
    limits: PerformanceLimits
    witness: Witness

    @property
    def stray(self) -> float:
        """How far the same database seems to differ from itself: 0.02 is 2 %."""
        return statistics.stray([one.control for one in self.scenarios])

    @property
    def is_too_noisy(self) -> bool:
        return self.stray > self.limits.control

    @cached_property
    def slower(self) -> tuple[ScenarioTimes, ...]:
        """Scenarios that are slower beyond doubt; on a noisy machine, beyond what its noise can feign too."""
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
    """Both parts. A combined verdict is asked of it for an environment, since they weigh them differently."""

    deterministic: Deterministic
    timed: Timed
    growth: tuple[Growth, ...] = ()

    def combined(self, environment: Environment) -> Word:
        """Development goes by the deterministic part alone; where the timed part decides too, both must pass."""
        words = [self.deterministic.word]
        if environment.performance.timed_decides:
            words.append(self.timed.word)
        worst: tuple[Word, ...] = ("failed", "inconclusive", "passed")
        return next(word for word in worst if word in words)

    def summary(self, environment: Environment) -> str:
        """The verdict in a sentence, with what decided it."""
        beside = "" if environment.performance.timed_decides else " (reported only)"
        grown = f". Tables of another size: {'; '.join(map(str, self.growth))}" if self.growth else ""
        return (
            f"{self.combined(environment)}: deterministic part {self.deterministic.word}: {self.deterministic.summary}."
            f" Timed part{beside} {self.timed.word}: {self.timed.summary}. {self.timed.witness}{grown}"
        )

    @property
    def beyond(self) -> tuple[dict[str, Any], ...]:
        """A record for everything that costs more than the tolerance or the threshold and did not fail: somebody has to
        answer for it."""
        limit = self.timed.limits.threshold
        return (
            *(_cost(one) for one in self.deterministic.changes if one.word == "warn"),
            *(_time(one) for one in self.timed.scenarios if one.is_beyond(limit)),
        )

    @property
    def counts(self) -> dict[str, dict[str, tuple[int, int, int]]]:
        """Of each statement blocks and bytes of log: before, after, and how many more are spared in any case."""
        executions = self.deterministic.executions
        return {
            one.statement: {
                "blocks": (one.before.blocks, one.after.blocks, SPARE_BLOCKS * executions),
                "bytes of log": (one.before.wal_bytes, one.after.wal_bytes, SPARE_WAL_BYTES * executions),
            }
            for one in self.deterministic.changes
        }

    @property
    def records(self) -> list[dict[str, Any]]:
        """A row for each statement, those with problems first; `verdict` is that of the deterministic part."""
        times = {name: one for each in self.timed.scenarios for name, one in each.statements.items()}
        ordered = sorted(self.deterministic.changes, key=lambda change: ("fail", "warn", "pass").index(change.word))
        return [_record(change, times.get(change.statement)) for change in ordered]

    @property
    def growth_records(self) -> list[dict[str, Any]]:
        """A row for each table of another size."""
        return [
            {
                "table": one.table,
                "blocks before": one.before,
                "blocks after": one.after,
                "without dead space": one.compact,
            }
            for one in self.growth
        ]

    @property
    def scenario_records(self) -> list[dict[str, Any]]:
        """A row for each scenario of the timed part."""
        return [
            {
                "scenario": one.scenario,
                "verdict": "fail" if one in self.timed.slower else "pass" if one.word == "passed" else "inconclusive",
                "ms before": round(one.milliseconds, 2),
                "after / before": round(one.ratio.estimate, 3),
                "lower bound": round(one.ratio.lower, 3),
                "upper bound": round(one.ratio.upper, 3),
                "control": round(one.control.estimate, 3),
                "accepted": f"{one.allowed:g}: {one.reason}" if one.reason else "",
            }
            for one in self.timed.scenarios
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


def _time(one: ScenarioTimes) -> dict[str, Any]:
    """A scenario that is slower than the threshold allows."""
    accepted = f"; up to {one.allowed:g} accepted: {one.reason}" if one.reason else ""
    return {
        "what": f"time of {one.scenario}",
        "before": f"{one.milliseconds:.1f} ms",
        "after": f"{one.milliseconds * one.ratio.estimate:.1f} ms",
        "ratio": one.ratio.estimate,
        "reason": f"ratio {one.ratio}{accepted}",
    }


def measure(
    before: Target,
    after: Target,
    environment: Environment,
    *,
    accepted: Sequence[Accepted] = (),
    scripts: Sequence[Path] | None = None,
    touched: Mapping[str, int] | None = None,
    wider_rows: bool = False,
    watch: Watcher = lambda part: None,
) -> Gate:
    """Compare two databases of one server: the restored backup, and the same migrated.

    Both are vacuumed and analysed alike, tables with more dead space in one than in the other are rewritten in both,
    and nothing else is changed: all is played in copies beside them (at most three at a time), which are dropped
    afterwards. Nobody may be connected to either meanwhile. `accepted` are the costs that the migrations may have
    (`accepted_costs`), `scripts` pgbench scripts that must run on both, those of `sql/workload` by default; `touched` the
    tables that they write to, where that is known. With `wider_rows` a statement may visit as much more as the tables grew
    that it reads: nobody has looked at it, so nobody accepted that. `watch` is told of each part as it begins.

    Raises `Refused` when a database cannot be copied, `Failed` when a statement of a scenario does not run.
    """
    limits, timeout_s = environment.performance, environment.statement_timeout_s
    played = [scenarios.read(path) for path in (workload.scenarios() if scripts is None else scripts)]
    with ThreadPoolExecutor(2) as beside:
        watch("levelling both databases")
        growth = _levelled(beside, before, after)
    watch("counting blocks, write-ahead log and plans")
    # One after the other: dropping a copy forces a checkpoint, whose full-page images the other would count.
    counted = [
        counting.count(one, played, seed=limits.seed, draws=limits.counted, timeout_s=timeout_s, touched=known)
        for one, known in ((before, touched), (after, None))
    ]
    watch("timing statements side by side")
    timings, witness = timing.measure(
        before,
        after,
        played,
        sessions=limits.sessions,
        rounds=limits.rounds,
        draws=limits.draws,
        seed=limits.seed,
        timeout_s=timeout_s,
    )
    deterministic = compare(counted[0], counted[1], limits, accepted, growth if wider_rows else ())
    return Gate(deterministic, judge(timings, witness, limits, accepted), growth)


def accepted_costs(migrations: Iterable[str], folder: Path | None = None) -> tuple[Accepted, ...]:
    """What `accepted_costs.toml` beside the scripts accepts for migrations of these versions, where there is one.

    Raises `ParameterError` when the file is not as it says it is.
    """
    path, versions = (folder or settings.sql() / "workload") / "accepted_costs.toml", set(migrations)
    if not path.exists():
        return ()
    try:
        listed = [Accepted(**each) for each in tomllib.loads(path.read_text()).get("accepted", ())]
    except (OSError, tomllib.TOMLDecodeError, TypeError) as error:
        raise ParameterError(f"{path} cannot be read", found=str(error), action="correct the file") from None
    return tuple(one for one in listed if one.migration in versions)


def _levelled(beside: ThreadPoolExecutor, before: Target, after: Target) -> tuple[Growth, ...]:
    """Bring both into the same condition; what differed in size."""
    was, now = beside.map(replay.level, (before, after))
    tables = _of_other_size(was, now)
    _, compact = beside.map(lambda one: replay.rewrite(one, tables), (before, after))
    sizes = (Growth(name, was[name], now[name], compact[name]) for name in tables)
    return tuple(one for one in sizes if max(one.before, one.after) >= counting.LARGE_BLOCKS)


def _of_other_size(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """Tables that are there before and after, and differ in size by more than 1 %."""
    return [name for name, blocks in before.items() if abs(after.get(name, blocks) - blocks) > blocks / 100]


# -- the deterministic part --------------------------------------------------------------------------------------


def compare(
    before: Counted,
    after: Counted,
    limits: PerformanceLimits,
    accepted: Sequence[Accepted] = (),
    growth: Sequence[Growth] = (),
) -> Deterministic:
    """What every statement costs more. Pure. `growth` is what tables may grow by, and who reads them with them."""
    inexact = {*before.inexact, *after.inexact}
    return Deterministic(
        tuple(
            _change(
                name,
                before,
                after,
                limits.tolerance,
                [*_ours(name, accepted), *_wider(name, before.counts[name], growth, limits.tolerance)],
                is_exact=name not in inexact,
            )
            for name in before.counts
        ),
        before.executions,
    )


def _change(
    name: str, before: Counted, after: Counted, tolerance: float, ours: Sequence[Accepted], *, is_exact: bool
) -> Change:
    was, now = before.counts[name], after.counts[name]
    blocks = max([1 + tolerance, *(one.blocks for one in ours)])
    wal = max([1 + tolerance, *(one.wal for one in ours)])
    plans = [
        f"reads {table} from end to end, by an index before"
        for table in sorted((counting.scanned(now.plans) - counting.scanned(was.plans)) & after.large)
    ]
    problems = [*_dearer(was, now, before.executions, blocks, wal), *plans]
    beyond = _dearer(was, now, before.executions, 1 + tolerance, 1 + tolerance)
    reason = "; ".join(one.reason for one in ours) if beyond and not problems else ""
    return Change(name, was, now, tuple(problems), reason, is_exact)


def _ours(name: str, accepted: Sequence[Accepted]) -> list[Accepted]:
    return [one for one in accepted if one.statement == LINE.sub("", name, count=1)]


def _wider(name: str, count: Count, growth: Sequence[Growth], tolerance: float) -> list[Accepted]:
    """What the growth of the tables that a statement reads lets it cost: its rows lie in so many more blocks."""
    read = counting.read(count.plans)
    grown = [one for one in growth if one.table.rpartition(".")[2].strip('"') in read and one.compact > one.before > 0]
    return [Accepted("", name, f"it reads {one}", blocks=one.compact / one.before * (1 + tolerance)) for one in grown]


def _dearer(before: Count, after: Count, executions: int, blocks: float, wal: float) -> list[str]:
    """Which figures are more than these multiples of before, and more than what is spared in any case.

    Execution by execution, and by the median: a page that is full after and was not before adds a block, or a split's
    half page of log, to one of them, as it would have done to another without the migration.
    """
    pairs = list(zip(before.by_execution, after.by_execution, strict=True))
    found = []
    if _exceeds([(was, now) for (was, _), (now, _) in pairs], blocks, SPARE_BLOCKS) or _exceeds(
        [(before.blocks, after.blocks)], blocks + IN_ALL, SPARE_BLOCKS * executions
    ):
        found.append(f"visits {after.blocks:,} blocks, {before.blocks:,} before")
    if _exceeds([(was, now) for (_, was), (_, now) in pairs], wal, SPARE_WAL_BYTES):
        found.append(f"writes {after.wal_bytes:,} bytes of log, {before.wal_bytes:,} before")
    return found


def _exceeds(pairs: Sequence[tuple[int, int]], multiple: float, spare: int) -> bool:
    return median(now - max(was * multiple, was + spare) for was, now in pairs) > 0


# -- the timed part ----------------------------------------------------------------------------------------------


def judge(timings: Timings, witness: Witness, limits: PerformanceLimits, accepted: Sequence[Accepted] = ()) -> Timed:
    """The intervals of every scenario. Pure."""
    each = tuple(_scenario(timings, name, limits, accepted) for name in timings.times)
    return Timed(each, _overall(timings), limits, witness)


def _scenario(timings: Timings, name: str, limits: PerformanceLimits, accepted: Sequence[Accepted]) -> ScenarioTimes:
    ours = [one for one in accepted if one.statement == name and one.time > limits.threshold]
    before, control, after = (timings.arm(name, arm) for arm in (BEFORE, CONTROL, AFTER))
    strict = statistics.ratio(before, after, confidence=1 - 0.05 / len(timings.times))
    return ScenarioTimes(
        name,
        float(statistics.usual(before).sum()),
        statistics.ratio(before, after),
        strict,
        statistics.ratio(before, control),
        _statements(timings.names[name], before, after),
        max([limits.threshold, *(one.time for one in ours)]),
        "; ".join(one.reason for one in ours),
    )


def _statements(names: Sequence[str], before: Times, after: Times) -> dict[str, Interval]:
    """The ratio of each statement over all users it is executed for, who follow each other in the times."""
    each = tuple(dict.fromkeys(names))
    sums = (side.reshape(*side.shape[:2], -1, len(each)).sum(axis=2) for side in (before, after))
    return dict(zip(each, statistics.ratios(*sums), strict=True))


def _overall(timings: Timings) -> Interval:
    """The mean of the scenarios' ratios: each weighs the same, as pgbench plays them equally often."""
    shares = []
    for name in timings.times:
        usual = statistics.usual(timings.arm(name, BEFORE))
        shares.append(usual / usual.sum())
    before, after = (
        np.concatenate([timings.arm(name, arm) for name in timings.times], axis=2) for arm in (BEFORE, AFTER)
    )
    return statistics.ratio(before, after, weights=np.concatenate(shares))
