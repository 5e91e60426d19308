from collections.abc import Callable
from itertools import product
from math import log, prod, sqrt

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom

from results.statistics.intervals import (
    difference_bootstrap,
    difference_interval,
    only_a_given,
    rate_bootstrap,
    rate_interval,
    score,
    tango_interval,
    wilson_interval,
)
from results.statistics.significance import PairCounts
from tasks.errors import ResultsError


@pytest.mark.parametrize(
    ("k", "n", "low", "high"), [(45, 50, 0.786, 0.957), (475, 500, 0.927, 0.966)]
)
def test_known_wilson_intervals(k: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(k, n) == pytest.approx((low, high), abs=5e-4)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 10), (10, 10), (3, 7), (499, 500)])
def test_wilson_agrees_with_the_formula_of_1927(k: int, n: int) -> None:
    z = 1.959963984540054
    p = k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = (max(0.0, middle - half), min(1.0, middle + half))
    assert wilson_interval(k, n) == pytest.approx(expected, abs=1e-9)


def test_nothing_known_without_episodes() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_more_confidence_is_wider() -> None:
    assert wilson_interval(8, 10, 0.99).low < wilson_interval(8, 10, 0.9).low


@pytest.mark.parametrize(("k", "n", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 95.0)])
def test_wilson_refuses_impossible_counts(k: int, n: int, confidence: float) -> None:
    with pytest.raises(ResultsError, match="give"):
        wilson_interval(k, n, confidence)


UNEVEN = [(10, 50), (20, 50), (25, 50), (30, 50), (35, 50), (40, 50), (45, 50), (48, 50), (50, 50)]


def drawn_again(tasks: list[np.ndarray], draws: int = 20_000) -> tuple[float, float]:
    """The textbook's way: draw episodes with replacement within each task, many times."""
    random = np.random.default_rng(11)
    total = np.zeros(draws)
    for outcomes in tasks:
        total += outcomes[random.integers(len(outcomes), size=(draws, len(outcomes)))].sum(axis=1)
    low, high = np.percentile(total / sum(map(len, tasks)), [2.5, 97.5])
    return float(low), float(high)


def test_a_rate_agrees_with_drawing_episodes_anew() -> None:
    tasks = [np.repeat([1, 0], [k, n - k]) for k, n in UNEVEN]
    assert rate_bootstrap(UNEVEN) == pytest.approx(drawn_again(tasks), abs=1.1 / 450)


def test_a_difference_agrees_with_drawing_episodes_anew() -> None:
    counts = [PairCounts(20, 5, 15, 10), PairCounts(0, 2, 20, 8), PairCounts(30, 9, 3, 8)]
    tasks = [np.repeat([0, -1, 1], [c.both + c.neither, c.only_a, c.only_b]) for c in counts]
    found = difference_bootstrap(counts)
    assert found == pytest.approx(drawn_again(tasks), abs=1.1 / sum(c.episodes for c in counts))
    mirrored = difference_bootstrap([c._replace(only_a=c.only_b, only_b=c.only_a) for c in counts])
    assert mirrored == pytest.approx((-found.high, -found.low))


def test_the_order_of_tasks_changes_nothing() -> None:
    assert rate_bootstrap(UNEVEN[::-1]) == rate_bootstrap(UNEVEN)


def test_the_bootstrap_collapses_where_all_outcomes_are_the_same() -> None:
    assert rate_bootstrap([(5, 5), (0, 5)]) == (0.5, 0.5)
    assert difference_bootstrap([PairCounts(5, 0, 0, 5)]) == (0.0, 0.0)


@pytest.mark.slow
def test_the_bootstrap_covers_ten_uneven_tasks() -> None:
    random = np.random.default_rng(3)
    rates = np.array([0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0])
    truth, repetitions = rates.mean(), 1000
    covered, width = 0, 0.0
    for wins in random.binomial(50, rates, size=(repetitions, 10)):
        low, high, method = rate_interval([(int(k), 50) for k in wins])
        assert method == "bootstrap by task"
        covered += low <= truth <= high
        width += (high - low) / repetitions
    assert 0.93 <= covered / repetitions <= 0.97
    # All episodes from one urn would be a fifth less sure.
    pooled = wilson_interval(round(500 * truth), 500)
    assert 1.15 <= (pooled.high - pooled.low) / width <= 1.3


def test_the_bootstrap_refuses_impossible_counts() -> None:
    with pytest.raises(ResultsError, match="6 successes of 5"):
        rate_bootstrap([(6, 5)])
    with pytest.raises(ResultsError, match="negative"):
        difference_bootstrap([PairCounts(1, -1, 0, 0)])
    for nothing in ([], [(0, 0)]):
        with pytest.raises(ResultsError, match="no episode"):
            rate_bootstrap(nothing)
    with pytest.raises(ResultsError, match=r"0\.95"):
        rate_bootstrap(UNEVEN, 95)


def test_tangos_own_example() -> None:
    """Soft contact lenses, 44 patients, 90 %: Tango (1998), table II."""
    assert tango_interval(PairCounts(43, 0, 1, 0), 0.9) == pytest.approx((-0.037, 0.096), abs=5e-4)


@pytest.mark.parametrize("counts", [(20, 5, 15, 10), (0, 10, 3, 2), (80, 1, 9, 10)])
@pytest.mark.parametrize("difference", [-0.2, 0.0, 0.15])
def test_tangos_share_maximises_the_likelihood(
    counts: tuple[int, int, int, int], difference: float
) -> None:
    pairs = PairCounts(*counts)

    def surprise(share: float) -> float:
        rest = 1.0 - 2.0 * share - difference
        logs = zip(
            (pairs.only_a, pairs.only_b, pairs.both + pairs.neither),
            (share, share + difference, rest),
            strict=True,
        )
        return -sum(count * log(p) for count, p in logs)

    low, high = max(0.0, -difference) + 1e-9, (1.0 - difference) / 2.0 - 1e-9
    best = minimize_scalar(surprise, bounds=(low, high), method="bounded", options={"xatol": 1e-9})
    assert only_a_given(pairs, difference) == pytest.approx(best.x, abs=1e-6)


def test_at_zero_tangos_score_is_mcnemars_statistic() -> None:
    assert score(PairCounts(20, 5, 15, 10), 0.0) == pytest.approx((15 - 5) / sqrt(20))


def test_tangos_ends_are_where_the_score_test_turns() -> None:
    pairs = PairCounts(20, 5, 15, 10)
    low, high = tango_interval(pairs)
    assert (score(pairs, low), score(pairs, high)) == pytest.approx((1.95996, -1.95996), abs=1e-4)
    assert low < pairs.difference < high
    assert tango_interval(pairs._replace(only_a=15, only_b=5)) == pytest.approx((-high, -low))


def test_tango_does_not_collapse() -> None:
    same = tango_interval(PairCounts(50, 0, 0, 0))
    assert same.high == -same.low
    assert 0.05 < same.high < 0.1
    low, high = tango_interval(PairCounts(0, 0, 50, 0))
    assert (high, 0.8 < low < 1.0) == (1.0, True)
    assert tango_interval(PairCounts(0, 0, 0, 0)) == (-1.0, 1.0)


def test_tango_refuses_impossible_counts() -> None:
    with pytest.raises(ResultsError, match="negative"):
        tango_interval(PairCounts(1, -1, 0, 0))
    with pytest.raises(ResultsError, match="confidence"):
        tango_interval(PairCounts(1, 1, 0, 0), 2.0)


@pytest.mark.parametrize(
    ("tasks", "method"),
    [
        ([(45, 50), (20, 50)], "bootstrap by task"),
        ([(45, 50)], "Wilson"),
        ([(50, 50), (45, 50)], "bootstrap by task"),
        ([(50, 50), (46, 50)], "Wilson"),
        ([(0, 50), (5, 50)], "bootstrap by task"),
        ([(0, 50), (4, 50)], "Wilson"),
        ([(5, 10), (25, 50)], "bootstrap by task"),
        ([(5, 9), (25, 50)], "Wilson"),
        ([(0, 0), (25, 50)], "Wilson"),
        ([(0, 0), (25, 50), (20, 50)], "bootstrap by task"),
        ([(50, 50), (50, 50)], "Wilson"),
        ([(0, 50), (0, 50)], "Wilson"),
        ([], "Wilson"),
    ],
)
def test_the_interval_of_a_rate_by_how_much_there_is_to_draw_from(
    tasks: list[tuple[int, int]], method: str
) -> None:
    if method == "Wilson":
        expected = wilson_interval(sum(k for k, _ in tasks), sum(n for _, n in tasks))
    else:
        expected = rate_bootstrap(tasks)
    assert rate_interval(tasks) == (*expected, method)
    assert expected.high > expected.low


@pytest.mark.parametrize(
    ("tasks", "method"),
    [
        ([(20, 5, 15, 10), (30, 3, 2, 15)], "bootstrap by task"),
        ([(20, 5, 15, 10)], "Tango"),
        ([(20, 3, 15, 10), (30, 2, 2, 15)], "bootstrap by task"),
        ([(20, 3, 15, 10), (30, 1, 2, 15)], "Tango"),
        ([(20, 5, 3, 10), (30, 3, 1, 15)], "Tango"),
        ([(2, 4, 4, 0), (20, 10, 10, 10)], "bootstrap by task"),
        ([(1, 4, 4, 0), (20, 10, 10, 10)], "Tango"),
        ([(50, 0, 0, 0), (50, 0, 0, 0)], "Tango"),
        ([(20, 0, 20, 10), (20, 0, 20, 10)], "Tango"),
        ([], "Tango"),
    ],
)
def test_the_interval_of_a_difference_by_how_much_there_is_to_draw_from(
    tasks: list[tuple[int, int, int, int]], method: str
) -> None:
    pairs = [PairCounts(*counts) for counts in tasks]
    if method == "Tango":
        expected = tango_interval(PairCounts(*(sum(task[i] for task in tasks) for i in range(4))))
    else:
        expected = difference_bootstrap(pairs)
    assert difference_interval(pairs) == (*expected, method)


def coverage(
    interval: Callable[[list[tuple[int, int]]], tuple[float, ...]], rates: list[float], n: int
) -> float:
    """Sum the probabilities of all results of a suite whose interval holds the true mean rate."""
    truth, covered = sum(rates) / len(rates), 0.0
    for wins in product(range(n + 1), repeat=len(rates)):
        low, high = interval([(k, n) for k in wins])[:2]
        if low <= truth <= high:
            covered += prod(binom.pmf(k, n, rate) for k, rate in zip(wins, rates, strict=True))
    return float(covered)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rates", "n"),
    [([0.5, 0.5, 0.5], 5), ([0.9, 0.6, 0.3], 5), ([0.95, 0.9], 12), ([0.99, 0.99], 20)],
)
def test_the_interval_that_is_chosen_holds_the_true_rate_often_enough(
    rates: list[float], n: int
) -> None:
    assert coverage(rate_interval, rates, n) >= 0.93


def test_with_few_episodes_the_bootstrap_alone_covers_too_little() -> None:
    assert coverage(rate_bootstrap, [0.5, 0.5, 0.5], 5) == pytest.approx(0.872, abs=0.001)
