"""How long the statements of scenarios take in two databases, side by side, and in one of them against itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg

from mantis_runbook import replay
from mantis_runbook.database import Connection, query, rows
from mantis_runbook.scenarios import Scenario
from mantis_runbook.statistics import Times, balanced
from mantis_runbook.target import Target

__all__ = ["ARMS", "BEFORE", "AFTER", "CONTROL", "Timings", "Witness", "measure"]

#: The database before, the same again as a control, and the database after.
BEFORE, CONTROL, AFTER = ARMS = (0, 1, 2)


@dataclass(frozen=True)
class Timings:
    """Milliseconds by scenario: an array (session, statement, arm), each the median over the rounds of one session.

    A statement stands once for each seed; `names` are those of the statements along that axis.
    """

    times: dict[str, Times]
    names: dict[str, tuple[str, ...]]

    def arm(self, scenario: str, arm: int) -> Times:
        """The times (session, statement) of one arm."""
        return np.asarray(self.times[scenario][:, :, arm])


@dataclass(frozen=True)
class Witness:
    """What pg_stat_statements counted of the timed executions, after against before; or why it could not.

    These are plain executions, with random values and dead rows among them: they confirm EXPLAIN's counts, and do
    not repeat to the digit.
    """

    blocks: float | None = None
    wal_bytes: float | None = None
    missing: str = ""

    def __str__(self) -> str:
        if self.missing:
            return f"pg_stat_statements is not available ({self.missing}): counted by EXPLAIN alone"
        shares = [f"{name} {share:.2f}" for name, share in (("blocks", self.blocks), ("WAL", self.wal_bytes)) if share]
        return f"counted by EXPLAIN; pg_stat_statements on the timed part, after against before: {', '.join(shares)}"


def measure(
    before: Target,
    after: Target,
    scenarios: Sequence[Scenario],
    *,
    sessions: int,
    rounds: int,
    draws: int,
    seed: int,
    timeout_s: int,
) -> tuple[Timings, Witness]:
    """Play the scenarios statement by statement, each on all arms before the next, in balanced order.

    Copies of both databases are worked in; they must have been levelled. Each session is three fresh connections, one
    an arm, and plays each scenario with each seed once unmeasured and `rounds` times measured.
    """
    found: dict[str, list[Times]] = {scenario.name: [] for scenario in scenarios}
    names: dict[str, tuple[str, ...]] = {}
    orders = balanced(ARMS)
    with replay.copied(before) as first, replay.copied(after) as second:
        for session in range(sessions):
            with ExitStack() as open_now:
                arms = [open_now.enter_context(replay.opened(one, timeout_s)) for one in (first, first, second)]
                for scenario in scenarios:
                    shift = session * rounds
                    plays = [
                        _seeds(arms, scenario, range(seed, seed + draws), orders[(shift + number) % len(orders)])
                        for number in range(rounds + 1)
                    ]
                    names[scenario.name] = plays[0][0]
                    found[scenario.name].append(np.median([times for _, times in plays[1:]], axis=0))
        witness = _witness(first, second)
    return Timings({name: np.stack(each) for name, each in found.items()}, names), witness


def _seeds(
    arms: Sequence[Connection], scenario: Scenario, seeds: Sequence[int], order: Sequence[int]
) -> tuple[tuple[str, ...], Times]:
    plays = [_side_by_side(arms, scenario, seed, order) for seed in seeds]
    return tuple(name for names, _ in plays for name in names), np.concatenate([times for _, times in plays])


def _side_by_side(
    arms: Sequence[Connection], scenario: Scenario, seed: int, order: Sequence[int]
) -> tuple[tuple[str, ...], Times]:
    """One play on all arms in step: the statements' names, and their times (statement, arm) in milliseconds."""
    names, times = [], []
    with ExitStack() as transactions:
        for connection in arms:
            transactions.enter_context(replay.rolled_back(connection))
        plays = [replay.steps(scenario, seed, replay.deferred(connection)) for connection in arms]
        bounds = [next(play) for play in plays]
        while True:
            took = [0.0] * len(arms)
            for arm in order:
                try:
                    took[arm], bounds[arm] = _step(arms[arm], plays[arm], bounds[arm])
                except StopIteration:
                    return tuple(names), np.array(times)
            ...
