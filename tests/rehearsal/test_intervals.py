"""Statistics of timings: what they say of known distributions, and that their bounds hold."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from mantis_runbook.rehearsal.performance.intervals import (
    Interval,
    Times,
    balanced,
    judge,
    ratio,
    ratios,
    stray,
    usual,
)

SESSIONS, ROUNDS = 10, 5
USUAL = np.array([0.2, 1.0, 4.0, 0.5])


def timings(
    seed: int, *, slower: float = 1.0, noise: float = 0.05, busy: float = 0.5
) -> tuple[Times, Times]:
    """Two sides of lognormal times; neighbours share the machine's noise and rare hiccups."""
    draw = np.random.default_rng(seed)
    shape = (SESSIONS, ROUNDS, len(USUAL))
    machine = np.exp(busy * draw.standard_normal(shape))
    sides = []
    for factor in (1.0, slower):
        hiccup = np.where(draw.random(shape) < 0.05, 20.0, 1.0)
        sides.append(
            USUAL * factor * machine * hiccup * np.exp(noise * draw.standard_normal(shape))
        )
    return sides[0], sides[1]


def test_the_same_times_are_a_ratio_of_one_without_doubt() -> None:
    before, _ = timings(1)
    assert ratio(before, before) == Interval(1.0, 1.0, 1.0)


@pytest.mark.parametrize("slower", [0.5, 1.0, 1.1, 3.0])
def test_the_ratio_is_found_under_noise_that_both_sides_share(slower: float) -> None:
    found = ratio(*timings(7, slower=slower))
    assert found.estimate == pytest.approx(slower, rel=0.03)
    assert found.lower <= found.estimate <= found.upper


def test_each_bound_is_broken_about_as_rarely_as_its_confidence_says() -> None:
    found = [ratio(*timings(seed)) for seed in range(200)]
    assert sum(one.upper < 1 for one in found) <= 30
    assert sum(one.lower > 1 for one in found) <= 30


def test_no_difference_hardly_ever_counts_as_a_loss_of_5_percent_and_a_loss_of_a_fifth_always() -> (
    None
):
    same = Counter(judge(ratio(*timings(seed)), 1.05) for seed in range(60))
    slower = Counter(judge(ratio(*timings(seed, slower=1.2)), 1.05) for seed in range(60))
    assert same["failed"] == 0
    assert same["passed"] >= 55
    assert slower == {"failed": 60}


def test_a_statement_counts_by_its_share_of_the_time() -> None:
    before, _ = timings(3, noise=0)
    after = before.copy()
    after[:, :, 0] *= 2
    expected = 1 + usual(before)[0] / usual(before).sum()
    assert ratio(before, after).estimate == pytest.approx(expected)
    assert [round(one.estimate, 6) for one in ratios(before, after)] == [2, 1, 1, 1]


def test_given_weights_replace_the_shares() -> None:
    before, _ = timings(3, noise=0)
    after = before * np.array([2, 1, 1, 1])
    assert ratio(before, after, weights=np.array([1.0, 1, 1, 1])).estimate == pytest.approx(1.25)


def test_sessions_are_drawn_whole() -> None:
    """Where all that differs is the session, more rounds of it are no more evidence."""
    draw = np.random.default_rng(5)
    session = np.exp(0.1 * draw.standard_normal((SESSIONS, 1, 1)))
    few = np.ones((SESSIONS, 2, 1))
    many = np.ones((SESSIONS, 200, 1))
    narrow, wide = (ratio(one, one * session) for one in (many, few))
    assert narrow.upper - narrow.lower == pytest.approx(wide.upper - wide.lower)


def test_more_confidence_means_wider_bounds() -> None:
    before, after = timings(2)
    usual_, strict = ratio(before, after), ratio(before, after, confidence=0.99)
    assert strict.lower < usual_.lower < usual_.upper < strict.upper


def test_the_bounds_of_the_same_times_are_always_the_same() -> None:
    assert ratio(*timings(4)) == ratio(*timings(4))


@pytest.mark.parametrize(
    ("before", "after"),
    [((5, 2, 3), (5, 2, 4)), ((5, 3), (5, 3)), ((1, 2, 3), (1, 2, 3))],
    ids=["unlike", "without rounds", "one session"],
)
def test_times_that_cannot_be_compared_are_refused(
    before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="expected"):
        ratio(np.ones(before), np.ones(after))


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        (Interval(1.00, 0.98, 1.04), "passed"),
        (Interval(1.20, 1.10, 1.30), "failed"),
        (Interval(1.04, 1.00, 1.08), "inconclusive"),
        (Interval(1.05, 1.05, 1.05), "inconclusive"),
    ],
)
def test_the_bounds_decide(interval: Interval, word: str) -> None:
    assert judge(interval, 1.05) == word


def test_the_control_strays_alike_in_both_directions() -> None:
    assert stray([]) == 0
    assert stray([Interval(1.01, 1, 1), Interval(0.8, 1, 1)]) == pytest.approx(0.25)


@pytest.mark.parametrize("arms", [(0, 1), (0, 1, 2)])
def test_each_arm_stands_in_each_place_and_follows_each_other_equally_often(
    arms: tuple[int, ...],
) -> None:
    orders = balanced(arms)
    assert all(
        first == second[::-1] for first, second in zip(orders[::2], orders[1::2], strict=True)
    )
    for place in range(len(arms)):
        assert len(set(Counter(order[place] for order in orders).values())) == 1
    assert len(set(Counter(pair for order in orders for pair in pairwise(order)).values())) == 1
