"""The sequential test: its formulas by other means, and its errors in simulation."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import betaln

from results.statistics.sequential import (
    anytime_p,
    confidence_sequence,
    lies_within,
    log_e_value,
    log_wealth,
)
from results.statistics.significance import PairCounts
from tasks.errors import ResultsError


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (0, 5), (7, 3), (20, 40)])
def test_the_e_value_is_the_mean_wealth_over_a_uniform_share(only_a: int, only_b: int) -> None:
    def wealth(share: float) -> float:
        return float((2 * share) ** only_b * (2 * (1 - share)) ** only_a)

    wanted = quad(wealth, 0, 1, epsabs=0, epsrel=1e-11)[0]
    assert math.exp(log_e_value(only_a, only_b)) == pytest.approx(wanted, rel=1e-8)
    assert log_e_value(only_a, only_b) == pytest.approx(log_e_value(only_b, only_a))


def test_a_tie_changes_nothing_and_one_pair_decides_nothing() -> None:
    assert log_e_value(0, 0) == 0.0
    assert log_e_value(1, 0) == pytest.approx(0.0)
    # Seven wins in a row are not enough for 1/0.05, eight are: 2^n/(n + 1).
    assert math.exp(log_e_value(0, 7)) == pytest.approx(16.0)
    assert math.exp(log_e_value(0, 8)) == pytest.approx(256 / 9)


def test_the_p_value_is_one_over_the_largest_e_value() -> None:
    assert anytime_p(0.0) == 1.0
    assert anytime_p(-3.0) == 1.0
    assert anytime_p(math.log(40)) == pytest.approx(0.025)


@pytest.mark.parametrize(
    "counts", [PairCounts(40, 5, 12, 13), PairCounts(0, 9, 1, 0), PairCounts(90, 0, 0, 10)]
)
@pytest.mark.parametrize("m", [-0.6, -0.2, 0.0, 0.05, 0.5])
def test_wealth_is_the_integral_over_all_bets(counts: PairCounts, m: float) -> None:
    low, high = -1 / (1 - m), 1 / (1 + m)

    def wealth(bet: float) -> float:
        up, down = (1 + bet * (1 - m)) ** counts.only_b, (1 - bet * (1 + m)) ** counts.only_a
        return float(up * down * (1 - bet * m) ** (counts.both + counts.neither) / (high - low))

    wanted = quad(wealth, low, high, epsabs=0, epsrel=1e-10, limit=200)[0]
    assert log_wealth(counts, m) == pytest.approx(math.log(wanted), abs=1e-6)


@pytest.mark.parametrize("ties", [0, 50])
def test_the_interval_leaves_out_zero_exactly_if_the_test_rejects(ties: int) -> None:
    seen = set()
    for only_a in range(0, 12, 3):
        for only_b in range(0, 30, 3):
            counts = PairCounts(ties, only_a, only_b, 0)
            low, high = confidence_sequence(counts)
            rejects = log_e_value(only_a, only_b) >= math.log(20)
            assert (low > 0 or high < 0) == rejects, counts
            assert low <= counts.difference <= high
            seen.add(rejects)
    assert seen == {True, False}


def test_intervals_of_published_widths() -> None:
    """80 v 90 %: 38, 27, 19 and 12 points at 50, 100, 200 and 500 pairs."""
    for pairs, width in [(50, 38), (100, 27), (200, 19), (500, 12)]:
        # ρ 0.3 between 0.8 and 0.9: both 0.756, only A 0.044, only B 0.144.
        counts = PairCounts(*(round(pairs * p) for p in (0.756, 0.044, 0.144, 0.056)))
        low, high = confidence_sequence(counts)
        assert 100 * (high - low) == pytest.approx(width, abs=2)
    assert confidence_sequence(PairCounts(0, 0, 0, 0)) == (-1.0, 1.0)


def test_equal_runs_lie_within_a_margin_in_the_end() -> None:
    for pairs, within in [(100, False), (400, False), (2000, True)]:
        counts = PairCounts(8 * pairs // 10, pairs // 20, pairs // 20, pairs // 10)
        assert lies_within(counts, 0.05) == within
        low, high = confidence_sequence(counts)
        assert (low > -0.05 and high < 0.05) == within
    assert not lies_within(PairCounts(50, 0, 40, 10), 0.1)


def outcomes(
    rng: np.random.Generator, runs: int, pairs: int, a: float, b: float, rho: float
) -> NDArray[np.int_]:
    """Differences of paired outcomes, −1, 0 or 1, of rates a and b with correlation ρ."""
    both = a * b + rho * math.sqrt(a * (1 - a) * b * (1 - b))
    drawn = rng.random((runs, pairs))
    only_a, only_b = a - both, b - both
    return np.where(drawn < only_b, 1, np.where(drawn < only_b + only_a, -1, 0))


def stops(differences: NDArray[np.int_], alpha: float = 0.05) -> tuple[NDArray, NDArray]:
    """After how many pairs each run is decided (−1 for never), and its winner's sign."""
    won, lost = (differences == 1).cumsum(1), (differences == -1).cumsum(1)
    rejects = (won + lost) * math.log(2) + betaln(won + 1, lost + 1) >= -math.log(alpha)
    first = np.where(rejects.any(1), rejects.argmax(1) + 1, -1)
    return first, np.sign((won - lost)[np.arange(len(won)), rejects.argmax(1)])


@pytest.mark.parametrize(
    ("a", "b", "rho"), [(0.5, 0.5, 0.3), (0.9, 0.9, 0.3), (0.8, 0.8, 0.0), (0.5, 0.5, 0.9)]
)
def test_equal_runs_are_told_apart_in_at_most_five_percent(a: float, b: float, rho: float) -> None:
    differences = outcomes(np.random.default_rng(1), 4000, 500, a, b, rho)
    first, _ = stops(differences)
    assert 0.005 < (first > 0).mean() < 0.05


def test_eighty_against_ninety_percent_is_decided_soon_and_the_right_way() -> None:
    first, winner = stops(outcomes(np.random.default_rng(2), 4000, 500, 0.8, 0.9, 0.3))
    decided = first > 0
    assert decided.mean() > 0.97
    assert np.median(first[decided]) <= 150
    assert (winner[decided] < 0).mean() <= 0.001


def test_task_by_task_would_be_wrong_nearly_always() -> None:
    """Opposite effects that cancel: why the order is shuffled."""
    rng = np.random.default_rng(3)
    halves = [outcomes(rng, 500, 250, *rates, 0.3) for rates in [(0.3, 0.9), (0.9, 0.3)]]
    by_task = np.concatenate(halves, axis=1)
    shuffled = rng.permuted(by_task, axis=1)
    assert (stops(by_task)[0] > 0).mean() > 0.99
    assert (stops(shuffled)[0] > 0).mean() < 0.05


def test_numbers_that_cannot_be_are_refused() -> None:
    with pytest.raises(ResultsError, match="give numbers from 0"):
        log_e_value(-1, 3)
    for alpha in (0.0, 1.0, 5.0):
        with pytest.raises(ResultsError, match=r"alpha is .* between 0 and 1"):
            confidence_sequence(PairCounts(1, 1, 1, 1), alpha)
