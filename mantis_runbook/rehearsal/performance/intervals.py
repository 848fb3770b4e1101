"""Statistics of repeated timings: median ratios, their bounds, the verdict. Needs no database."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Interval", "Times", "Word", "balanced", "judge", "ratio", "ratios", "stray", "usual"]

#: Times by session, round and statement, in any unit.
Times = npt.NDArray[np.float64]

Word = Literal["passed", "failed", "inconclusive"]

RESAMPLES = 2_000

T = TypeVar("T")


@dataclass(frozen=True)
class Interval:
    """A ratio, and its one-sided bounds: the truth lies below `upper` with the confidence asked,
    and so above `lower`.
    """

    estimate: float
    lower: float
    upper: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.lower:.3f} to {self.upper:.3f})"


def ratio(
    before: Times,
    after: Times,
    *,
    weights: Times | None = None,
    confidence: float = 0.95,
    seed: int = 2026,
) -> Interval:
    """How much longer `after` takes than `before` over all statements: 1.05 is 5 % slower.

    The figure is the mean of the statements' ratios, each weighted by its usual time before (the
    median), unless other weights are given: what a user's wait for all of them grows by. So a
    statement counts by its share, and noise in one of 0.1 ms cannot hide or feign a loss.

    A statement's ratio is the median of the ratios of neighbours: executed within milliseconds of
    each other, they share what the machine does just then. On two busy cores this strayed by 0.6 to
    1.6 %, the ratio of the two sides' medians by 3 to 4 %; and a hiccup that hits one of two
    neighbours is an outlier, which a median forgets.

    The bounds come of a bootstrap over sessions: whole sessions are drawn, because executions
    within a session share its memory, plans and minute, and are no independent evidence. Shapes are
    (sessions, rounds, statements), alike; at least two sessions.
    """
    share = usual(before) if weights is None else weights
    ratios = np.exp(_medians(_logs(before, after)))
    resampled = np.exp(_resampled(_logs(before, after), seed))
    return _interval(
        float(np.average(ratios, weights=share)),
        np.average(resampled, axis=1, weights=share),
        confidence,
    )


def ratios(
    before: Times, after: Times, *, confidence: float = 0.95, seed: int = 2026
) -> tuple[Interval, ...]:
    """The ratio of each statement; see `ratio`."""
    ratios = np.exp(_medians(_logs(before, after)))
    resampled = np.exp(_resampled(_logs(before, after), seed))
    return tuple(
        _interval(float(one), resampled[:, number], confidence) for number, one in enumerate(ratios)
    )


def usual(times: Times) -> Times:
    """The median time of each statement."""
    return np.asarray(np.median(times, axis=(0, 1)))


def _logs(before: Times, after: Times) -> Times:
    if before.shape != after.shape or before.ndim != 3 or len(before) < 2:
        raise ValueError(
            f"times of {before.shape} and {after.shape}: expected (sessions, rounds, statements),"
            " alike, sessions from 2 on"
        )
    return np.asarray(np.log(after) - np.log(before))


def _medians(logs: Times) -> Times:
    return np.asarray(np.median(logs, axis=(0, 1)))


def _resampled(logs: Times, seed: int) -> Times:
    """Medians (resample, statement) over sessions drawn with replacement."""
    sessions = len(logs)
    drawn = np.random.default_rng(seed).integers(0, sessions, size=(RESAMPLES, sessions))
    return np.stack(
        [np.median(logs[drawn, :, number], axis=(1, 2)) for number in range(logs.shape[2])],
        axis=1,
    )


def _interval(estimate: float, resampled: Times, confidence: float) -> Interval:
    lower, upper = np.quantile(resampled, [1 - confidence, confidence])
    return Interval(estimate, float(lower), float(upper))


def judge(interval: Interval, threshold: float) -> Word:
    """Below the threshold with its upper bound: passed. Above it with its lower bound: failed. Else
    inconclusive.
    """
    if interval.upper < threshold:
        return "passed"
    return "failed" if interval.lower > threshold else "inconclusive"


def stray(controls: Sequence[Interval]) -> float:
    """How far the control lies from 1 at most: what the machine makes of no difference at all."""
    return max((max(one.estimate, 1 / one.estimate) - 1 for one in controls), default=0.0)


def balanced(arms: Sequence[T]) -> tuple[tuple[T, ...], ...]:
    """All orders of the arms, each followed by its reverse: ABBA, for any number of arms.

    Over all of them each arm stands in each place, and follows each other arm, equally often: drift
    and what one statement leaves to the next cancel out.
    """
    pairs = ((order, order[::-1]) for order in itertools.permutations(arms) if order < order[::-1])
    return tuple(order for pair in pairs for order in pair)
