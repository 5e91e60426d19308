import numpy as np
import pytest
from scipy.stats import fisher_exact

from results.statistics.power import (
    detectable_difference,
    detectable_difference_paired,
    episodes_needed,
    episodes_needed_paired,
    power_paired,
)
from results.statistics.significance import mcnemar
from tasks.errors import ResultsError


@pytest.mark.parametrize(
    ("rate_a", "rate_b", "episodes"), [(0.9, 0.95, 435), (0.95, 0.97, 1506), (0.8, 0.9, 199)]
)
def test_known_sample_sizes(rate_a: float, rate_b: float, episodes: int) -> None:
    assert episodes_needed(rate_a, rate_b) == episodes_needed(rate_b, rate_a) == episodes


def test_no_size_is_below_what_an_exact_test_needs() -> None:
    assert episodes_needed(0.0, 1.0) == 4
    for n in (3, 4):
        p = fisher_exact([[n, 0], [0, n]]).pvalue
        assert (p <= 0.05) == (detectable_difference(0.0, n) is not None) == (n == 4)


def test_the_sample_size_reaches_its_power() -> None:
    random = np.random.default_rng(5)
    n = episodes_needed(0.8, 0.9)
    a, b = random.binomial(n, [[0.8], [0.9]], size=(2, 20_000)) / n
    pooled = (a + b) / 2
    shown = abs(a - b) / np.sqrt(2 * pooled * (1 - pooled) / n) > 1.959964
    assert shown.mean() == pytest.approx(0.8, abs=0.015)


def test_detectable_difference_undoes_the_sample_size() -> None:
    assert detectable_difference(0.8, 199) == pytest.approx(0.1, abs=1e-3)
    assert detectable_difference(0.9, 435) == pytest.approx(0.05, abs=1e-3)
    # From 90 % with 50 episodes not even a perfect run can be told: only a worse one.
    assert episodes_needed(0.9, 1.0) > 50
    assert episodes_needed(0.9, 0.9 - detectable_difference(0.9, 50)) == 50
    assert detectable_difference(1.0, 50) == pytest.approx(0.1424, abs=1e-3)
    assert detectable_difference(0.5, 3) is None
    assert detectable_difference(0.5, 0) is None


def test_pairs_need_fewer() -> None:
    """90 against 95 %: 300 shared episodes reach 0.71 to 0.91, by how much the runs agree."""
    assert power_paired(300, 0.07, 0.05) == pytest.approx(0.91, abs=5e-3)
    assert power_paired(300, 0.108, 0.05) == pytest.approx(0.71, abs=5e-3)
    assert episodes_needed_paired(0.05, 0.07) < 300 < episodes_needed(0.9, 0.95)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "flipped", "difference"), [(60, 0.4, 0.2), (300, 0.07, -0.05)])
def test_power_agrees_with_a_simulation(n: int, flipped: float, difference: float) -> None:
    random = np.random.default_rng(6)
    shares = [(flipped - difference) / 2, (flipped + difference) / 2, 1 - flipped]
    counts, times = np.unique(
        random.multinomial(n, shares, size=20_000)[:, :2], axis=0, return_counts=True
    )
    found = [mcnemar(int(a), int(b)) <= 0.05 for a, b in counts]
    assert power_paired(n, flipped, difference) == pytest.approx(
        float(np.average(found, weights=times)), abs=0.012
    )


def test_the_level_is_kept() -> None:
    assert 0.0 < power_paired(500, 0.2, 0.0) <= 0.05
    assert power_paired(500, 0.0, 0.0) == 0.0


@pytest.mark.parametrize(("difference", "flipped"), [(0.05, 0.1), (-0.05, 0.05), (0.002, 0.1)])
def test_the_smallest_number_of_pairs(difference: float, flipped: float) -> None:
    n = episodes_needed_paired(difference, flipped)
    assert power_paired(n, flipped, difference) >= 0.8 > power_paired(n - 1, flipped, difference)


def test_detectable_difference_of_pairs() -> None:
    found = detectable_difference_paired(300, 0.1)
    assert power_paired(300, 0.1, found) == pytest.approx(0.8, abs=1e-3)
    # With fewer flips than any difference needs, all flips go one way.
    alone = detectable_difference_paired(20, 0.0)
    assert power_paired(20, alone, alone) == pytest.approx(0.8, abs=1e-3)
    assert detectable_difference_paired(5, 0.5) is None


def test_nonsense_is_refused() -> None:
    with pytest.raises(ResultsError, match="two different"):
        episodes_needed(0.5, 0.5)
    with pytest.raises(ResultsError, match="difference <= flipped"):
        power_paired(10, 0.1, 0.2)
    with pytest.raises(ResultsError, match="difference of 0"):
        episodes_needed_paired(0.0, 0.2)
    with pytest.raises(ResultsError, match="Rate 2"):
        detectable_difference(2, 10)
