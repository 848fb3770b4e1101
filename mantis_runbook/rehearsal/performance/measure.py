"""What a migration costs the statements of the workload, measured side by side on two copies."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from mantis_runbook import settings
from mantis_runbook.errors import ParameterError
from mantis_runbook.postgres.target import Target
from mantis_runbook.rehearsal.performance import block_counts, intervals, replay, scenarios
from mantis_runbook.rehearsal.performance import timings as timing
from mantis_runbook.rehearsal.performance.block_counts import Count, Counted
from mantis_runbook.rehearsal.performance.gate import (
    SPARE_BLOCKS,
    SPARE_WAL_BYTES,
    Change,
    Deterministic,
    Gate,
    Growth,
    ScenarioTimes,
    Timed,
)
from mantis_runbook.rehearsal.performance.intervals import Interval, Times
from mantis_runbook.rehearsal.performance.timings import AFTER, BEFORE, CONTROL, Timings, Witness
from mantis_runbook.settings import Environment, PerformanceLimits
from mantis_runbook.watch import application_load

__all__ = ["Accepted", "accepted_costs", "compare", "judge", "measure"]

#: What all executions together may visit beyond what the median one may: one dear user in many is
#: found, too.
IN_ALL = 0.25

#: The line in a statement's name, which moves when the script is edited.
LINE = re.compile(r":\d+")

Watcher = Callable[[str], None]


@dataclass(frozen=True)
class Accepted:
    """What a migration may cost beyond the tolerance, as multiples of before, and why: one
    statement in `blocks` and `wal`, one scenario (in `statement`, by its name alone) in `time`. 0
    is the tolerance.
    """

    migration: str
    statement: str
    reason: str
    blocks: float = 0
    wal: float = 0
    time: float = 0


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

    Both are vacuumed and analysed alike, tables with more dead space in one than in the other are
    rewritten in both, and nothing else is changed: all is played in copies beside them (at most
    three at a time), which are dropped afterwards. Nobody may be connected to either meanwhile.
    `accepted` are the costs that the migrations may have, `scripts` pgbench scripts that must run
    on both (default: `sql/workload`), `touched` the tables they write to, where known. With
    `wider_rows` a statement may cost more as the tables that it reads grew. `watch` is called as
    each part begins.

    Raises `Refused` when a database cannot be copied, `Failed` when a statement of a scenario does
    not run.
    """
    limits, timeout_s = environment.performance, environment.statement_timeout_s
    played = [
        scenarios.read(path)
        for path in (application_load.scenarios() if scripts is None else scripts)
    ]
    with ThreadPoolExecutor(2) as beside:
        watch("levelling both databases")
        growth = _levelled(beside, before, after)
    watch("counting blocks, write-ahead log and plans")
    # One after the other: dropping a copy forces a checkpoint, whose full-page images the other
    # would count.
    counted = [
        block_counts.count(
            database,
            played,
            seed=limits.seed,
            draws=limits.counted,
            timeout_s=timeout_s,
            touched=known,
        )
        for database, known in ((before, touched), (after, None))
    ]
    watch("timing statements side by side")
    timings, witness = timing.measure(before, after, played, limits, timeout_s=timeout_s)
    deterministic = compare(counted[0], counted[1], limits, accepted, growth if wider_rows else ())
    return Gate(deterministic, judge(timings, witness, limits, accepted), growth)


def accepted_costs(migrations: Iterable[str], folder: Path | None = None) -> tuple[Accepted, ...]:
    """What `accepted_costs.toml` accepts for these migrations; nothing where there is no such file.

    Raises `ParameterError` when the file is not as it says it is.
    """
    path, versions = (
        (folder or settings.sql() / "workload") / "accepted_costs.toml",
        set(migrations),
    )
    if not path.exists():
        return ()
    try:
        listed = [Accepted(**each) for each in tomllib.loads(path.read_text()).get("accepted", ())]
    except (OSError, tomllib.TOMLDecodeError, TypeError) as error:
        raise ParameterError(
            f"{path} cannot be read", found=str(error), action="correct the file"
        ) from None
    return tuple(one for one in listed if one.migration in versions)


def _levelled(beside: ThreadPoolExecutor, before: Target, after: Target) -> tuple[Growth, ...]:
    """Bring both into the same condition; what differed in size."""
    was, now = beside.map(replay.level, (before, after))
    tables = _of_other_size(was, now)
    _, compact = beside.map(lambda one: replay.rewrite(one, tables), (before, after))
    sizes = (Growth(name, was[name], now[name], compact[name]) for name in tables)
    return tuple(one for one in sizes if max(one.before, one.after) >= block_counts.LARGE_BLOCKS)


def _of_other_size(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """Tables that are there before and after, and differ in size by more than 1 %."""
    return [
        name
        for name, blocks in before.items()
        if abs(after.get(name, blocks) - blocks) > blocks / 100
    ]


# -- the deterministic part ------------------------------------------------------------------------


def compare(
    before: Counted,
    after: Counted,
    limits: PerformanceLimits,
    accepted: Sequence[Accepted] = (),
    growth: Sequence[Growth] = (),
) -> Deterministic:
    """What every statement costs more. Pure. `growth` tells how much the tables it reads grew."""
    inexact = {*before.inexact, *after.inexact}
    return Deterministic(
        tuple(
            _change(
                name,
                before,
                after,
                limits.tolerance,
                [
                    *_ours(name, accepted),
                    *_wider(name, before.counts[name], growth, limits.tolerance),
                ],
                is_exact=name not in inexact,
            )
            for name in before.counts
        ),
        before.executions,
    )


def _change(
    name: str,
    before: Counted,
    after: Counted,
    tolerance: float,
    ours: Sequence[Accepted],
    *,
    is_exact: bool,
) -> Change:
    was, now = before.counts[name], after.counts[name]
    blocks = max([1 + tolerance, *(one.blocks for one in ours)])
    wal = max([1 + tolerance, *(one.wal for one in ours)])
    plans = [
        f"reads {table} from end to end, by an index before"
        for table in sorted(
            (block_counts.scanned(now.plans) - block_counts.scanned(was.plans)) & after.large
        )
    ]
    problems = [*_dearer(was, now, before.executions, blocks, wal), *plans]
    beyond = _dearer(was, now, before.executions, 1 + tolerance, 1 + tolerance)
    reason = "; ".join(one.reason for one in ours) if beyond and not problems else ""
    return Change(name, was, now, tuple(problems), reason, is_exact)


def _ours(name: str, accepted: Sequence[Accepted]) -> list[Accepted]:
    return [one for one in accepted if one.statement == LINE.sub("", name, count=1)]


def _wider(name: str, count: Count, growth: Sequence[Growth], tolerance: float) -> list[Accepted]:
    """What a statement may cost more because the tables that it reads lie in more blocks."""
    read = block_counts.read(count.plans)
    grown = [
        table
        for table in growth
        if table.table.rpartition(".")[2].strip('"') in read and table.compact > table.before > 0
    ]
    return [
        Accepted(
            "", name, f"it reads {table}", blocks=table.compact / table.before * (1 + tolerance)
        )
        for table in grown
    ]


def _dearer(before: Count, after: Count, executions: int, blocks: float, wal: float) -> list[str]:
    """Figures that exceed these multiples of before by more than is always spared.

    Execution by execution, and by the median: a page that is full after and was not before adds a
    block, or a split's half page of log, to one of them, as it would have done to another without
    the migration.
    """
    pairs = list(zip(before.by_execution, after.by_execution, strict=True))
    figures = []
    if _exceeds([(was, now) for (was, _), (now, _) in pairs], blocks, SPARE_BLOCKS) or _exceeds(
        [(before.blocks, after.blocks)], blocks + IN_ALL, SPARE_BLOCKS * executions
    ):
        figures.append(f"visits {after.blocks:,} blocks, {before.blocks:,} before")
    if _exceeds([(was, now) for (_, was), (_, now) in pairs], wal, SPARE_WAL_BYTES):
        figures.append(f"writes {after.wal_bytes:,} bytes of log, {before.wal_bytes:,} before")
    return figures


def _exceeds(pairs: Sequence[tuple[int, int]], multiple: float, spare: int) -> bool:
    return median(now - max(was * multiple, was + spare) for was, now in pairs) > 0


# -- the timed part --------------------------------------------------------------------------------


def judge(
    timings: Timings, witness: Witness, limits: PerformanceLimits, accepted: Sequence[Accepted] = ()
) -> Timed:
    """The intervals of every scenario. Pure."""
    each = tuple(_scenario(timings, name, limits, accepted) for name in timings.times)
    return Timed(each, _overall(timings), limits, witness)


def _scenario(
    timings: Timings, name: str, limits: PerformanceLimits, accepted: Sequence[Accepted]
) -> ScenarioTimes:
    ours = [one for one in accepted if one.statement == name and one.time > limits.threshold]
    before, control, after = (timings.arm(name, arm) for arm in (BEFORE, CONTROL, AFTER))
    strict = intervals.ratio(before, after, confidence=1 - 0.05 / len(timings.times))
    return ScenarioTimes(
        name,
        float(intervals.usual(before).sum()),
        intervals.ratio(before, after),
        strict,
        intervals.ratio(before, control),
        _statements(timings.names[name], before, after),
        max([limits.threshold, *(one.time for one in ours)]),
        "; ".join(one.reason for one in ours),
    )


def _statements(names: Sequence[str], before: Times, after: Times) -> dict[str, Interval]:
    """The ratio of each statement over all its users, whose times follow each other."""
    each = tuple(dict.fromkeys(names))
    sums = (side.reshape(*side.shape[:2], -1, len(each)).sum(axis=2) for side in (before, after))
    return dict(zip(each, intervals.ratios(*sums), strict=True))


def _overall(timings: Timings) -> Interval:
    """The mean of the scenarios' ratios, equally weighted: pgbench plays them equally often."""
    shares = []
    for name in timings.times:
        usual = intervals.usual(timings.arm(name, BEFORE))
        shares.append(usual / usual.sum())
    before, after = (
        np.concatenate([timings.arm(name, arm) for name in timings.times], axis=2)
        for arm in (BEFORE, AFTER)
    )
    return intervals.ratio(before, after, weights=np.concatenate(shares))
