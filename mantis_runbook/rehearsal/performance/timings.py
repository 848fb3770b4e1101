"""How long statements take in two databases side by side, and in one against itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import psycopg

from mantis_runbook.postgres.connection import Connection, message_of, query, rows
from mantis_runbook.postgres.target import Target
from mantis_runbook.rehearsal.performance import replay
from mantis_runbook.rehearsal.performance.intervals import Times, balanced
from mantis_runbook.rehearsal.performance.scenarios import Scenario
from mantis_runbook.settings import PerformanceLimits

__all__ = ["AFTER", "ARMS", "BEFORE", "CONTROL", "Timings", "Witness", "measure"]

#: The database before, the same again as a control, and the database after.
BEFORE, CONTROL, AFTER = ARMS = (0, 1, 2)


@dataclass(frozen=True)
class Timings:
    """Milliseconds by scenario: an array (session, round, statement, arm).

    A statement stands once for each seed; `names` are those of the statements along that axis.
    """

    times: dict[str, Times]
    names: dict[str, tuple[str, ...]]

    def arm(self, scenario: str, arm: int) -> Times:
        """The times (session, round, statement) of one arm."""
        return np.asarray(self.times[scenario][..., arm])


@dataclass(frozen=True)
class Witness:
    """What pg_stat_statements counted of the timed executions; or why it could not.

    These are plain executions, with random values and dead rows among them: they confirm EXPLAIN's
    counts, and do not repeat to the digit.
    """

    blocks: float | None = None
    wal_bytes: float | None = None
    missing: str = ""

    def __str__(self) -> str:
        if self.missing:
            return f"pg_stat_statements is not available ({self.missing}): counted by EXPLAIN alone"
        shares = [
            f"{name} {share:.2f}"
            for name, share in (("blocks", self.blocks), ("WAL", self.wal_bytes))
            if share
        ]
        return (
            "counted by EXPLAIN; pg_stat_statements on the timed part, after against before:"
            f" {', '.join(shares)}"
        )


def measure(
    before: Target,
    after: Target,
    scenarios: Sequence[Scenario],
    limits: PerformanceLimits,
    *,
    timeout_s: int,
) -> tuple[Timings, Witness]:
    """Play the scenarios, each statement on all arms before the next, in balanced order.

    All is played in three copies: two of the database before, the second of them as the control.
    Both databases must have been levelled. Each session is three fresh connections, one for each
    arm; it plays each scenario with each seed once unmeasured and `limits.rounds` times measured.
    """
    rounds = limits.rounds
    seeds = range(limits.seed, limits.seed + limits.draws)
    names: dict[str, tuple[str, ...]] = {}
    sessions: dict[str, list[Times]] = {scenario.name: [] for scenario in scenarios}
    orders = balanced(ARMS)
    with ExitStack() as copies:
        # Two sessions in one database would wait for each other's rows: the control has a copy of
        # its own.
        copied = [
            copies.enter_context(replay.copied(database)) for database in (before, before, after)
        ]
        for session in range(limits.sessions):
            turn = [orders[(session * rounds + number) % len(orders)] for number in range(rounds)]
            with ExitStack() as connections:
                arms = [
                    connections.enter_context(replay.opened(copy, timeout_s)) for copy in copied
                ]
                for scenario in scenarios:
                    names[scenario.name], times = _session(arms, scenario, seeds, turn)
                    sessions[scenario.name].append(times)
        witness = _witness(copied[BEFORE], copied[AFTER])
    return Timings({name: np.stack(times) for name, times in sessions.items()}, names), witness


class _Player:
    """One arm of a play: it stands before a statement to be timed, or at the end."""

    def __init__(self, connection: Connection, scenario: Scenario, seed: int) -> None:
        self._connection = connection
        self._steps = replay.steps(scenario, seed, replay.deferred(connection))
        self._bound: replay.Bound | None = next(self._steps)
        self._pass_settings()

    @property
    def name(self) -> str | None:
        return self._bound.statement.name if self._bound else None

    def step(self) -> float:
        """Carry the statement out and go to the next; how long it took, in milliseconds."""
        assert self._bound is not None
        began = time.perf_counter()
        row = replay.run(self._connection, self._bound)
        took = time.perf_counter() - began
        self._advance(row)
        self._pass_settings()
        return took * 1000

    def _pass_settings(self) -> None:
        while self._bound and self._bound.statement.kind == "setting":
            self._advance(replay.run(self._connection, self._bound))

    def _advance(self, row: replay.Row | None) -> None:
        try:
            self._bound = self._steps.send(row)
        except StopIteration:
            self._bound = None


def _session(
    arms: Sequence[Connection],
    scenario: Scenario,
    seeds: Sequence[int],
    orders: Sequence[Sequence[int]],
) -> tuple[tuple[str, ...], Times]:
    """Times (round, statement, arm), one round for each order, after an unmeasured one."""
    names: list[str] = []
    times: list[Times] = []
    for seed in seeds:
        plays = [_side_by_side(arms, scenario, seed, order) for order in (orders[0], *orders)]
        names += plays[0][0]
        times.append(np.stack([each for _, each in plays[1:]]))
    return tuple(names), np.concatenate(times, axis=1)


def _side_by_side(
    arms: Sequence[Connection], scenario: Scenario, seed: int, order: Sequence[int]
) -> tuple[tuple[str, ...], Times]:
    """One play on all arms in step: statement names and times (statement, arm) in milliseconds."""
    names: list[str] = []
    times: list[list[float]] = []
    with ExitStack() as transactions:
        for connection in arms:
            transactions.enter_context(replay.rolled_back(connection))
        players = [_Player(connection, scenario, seed) for connection in arms]
        while (name := players[0].name) is not None:
            took = {arm: players[arm].step() for arm in order}
            names.append(name)
            times.append([took[arm] for arm in range(len(arms))])
    return tuple(names), np.array(times)


def _witness(before: Target, after: Target) -> Witness:
    try:
        figures = [_statistics(target) for target in (before, after)]
    except psycopg.Error as error:
        return Witness(missing=message_of(error).lower())
    (blocks, wal, calls), (blocks_after, wal_after, calls_after) = figures
    if not (calls and calls_after):
        return Witness(missing="it recorded nothing")
    return Witness(blocks_after / blocks if blocks else None, wal_after / wal if wal else None)


def _statistics(target: Target) -> tuple[float, float, float]:
    with replay.opened(target) as connection:
        statistics = rows(connection, query("performance/statement_statistics"))[0]
    return float(statistics["blocks"]), float(statistics["wal_bytes"]), float(statistics["calls"])
