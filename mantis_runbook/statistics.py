"""Statistics of repeated timings: ratios of medians, their bounds, and the verdict on them. No clock, no database."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Interval", "Times", "Word", "balanced", "geometric_mean", "judge", "ratio", "stray"]

#: Times by session and statement, in any unit.
Times = npt.NDArray[np.float64]

Word = Literal["passed", "failed", "inconclusive"]

RESAMPLES = 2_000

T = TypeVar("T")


@dataclass(frozen=True)
class Interval:
    """A ratio, and its one-sided bounds: the truth lies below `upper` at 95 %, and above `lower` at 95 %."""

    estimate: float
    lower: float
    upper: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.lower:.3f} to {self.upper:.3f})"


def ratio(before: Times, after: Times, *, confidence: float = 0.95, seed: int = 2026) -> Interval:
    """How much longer `after` takes than `before`: 1.05 is 5 % slower.

    The figure of a side is the sum over statements of the median over sessions: what a user waits for when every
    statement takes its usual time. Medians, because a hiccup of the machine hits one session and is not the
    database's; a sum, because a statement counts by its share of the wait, so that noise in one of 0.1 ms cannot hide
    or feign a loss.

    The bounds come of a bootstrap over sessions: whole sessions are drawn, both sides together, because executions
    within a session share its memory, plans and minute, and are no independent evidence.
    Shapes are (sessions, statements), alike; at least two sessions.
    """
    _refuse_unlike(before, after)
    drawn = np.random.default_rng(seed).integers(0, len(before), size=(RESAMPLES, len(before)))
    ratios = _typical(after[drawn], 1) / _typical(before[drawn], 1)
    lower, upper = np.quantile(ratios, [1 - confidence, confidence])
    return Interval(float(_typical(after, 0) / _typical(before, 0)), float(lower), float(upper))


def _typical(times: Times, sessions: int) -> Times:
    return np.asarray(np.median(times, axis=sessions).sum(axis=-1))


def _refuse_unlike(before: Times, after: Times) -> None:
    if before.shape != after.shape or before.ndim != 2 or len(before) < 2:
        raise ValueError(
            f"times of {before.shape} and {after.shape}: expected (sessions, statements), alike, from 2 on"
        )


def judge(interval: Interval, threshold: float) -> Word:
    """Below the threshold with its upper bound: passed. Above it with its lower bound: failed. Else inconclusive."""
    if interval.upper < threshold:
        return "passed"
    return "failed" if interval.lower > threshold else "inconclusive"


def stray(controls: Sequence[Interval]) -> float:
    """How far the control that is furthest from 1 lies from it: what the machine makes of no difference at all."""
    return max((max(one.estimate, 1 / one.estimate) - 1 for one in controls), default=0.0)


def geometric_mean(ratios: Sequence[float]) -> float:
    """The mean of ratios in which twice as fast and twice as slow cancel out."""
    return float(np.exp(np.mean(np.log(ratios))))


def balanced(arms: Sequence[T]) -> tuple[tuple[T, ...], ...]:
    """All orders of the arms, each followed by its reverse: ABBA, for any number of arms.

    Over all of them each arm stands in each place, and follows each other arm, equally often: drift and what one
    statement leaves to the next cancel out.
    """
    pairs = ((order, order[::-1]) for order in itertools.permutations(arms) if order < order[::-1])
    return tuple(order for pair in pairs for order in pair)
