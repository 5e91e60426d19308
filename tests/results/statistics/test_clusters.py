"""Intervals of episodes that come in clusters."""

import numpy as np
import pytest

from results.statistics.clusters import Trial, clustered_rate
from results.statistics.intervals import wilson_interval
from tasks.errors import ResultsError


def trials(*clusters: str) -> list[Trial]:
    return [Trial(name, letter == "s") for name, text in enumerate(clusters) for letter in text]


def test_a_single_cluster_has_wilsons_interval() -> None:
    """But for the smoothing of its variance, which a hundred episodes do not notice."""
    rate = clustered_rate(trials("s" * 70 + "f" * 30))
    low, high = wilson_interval(70, 100)
    assert (rate.rate, rate.successes, rate.episodes, rate.clusters) == (0.7, 70, 100, 1)
    assert (rate.low, rate.high) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))


def test_clusters_that_go_together_say_less() -> None:
    mixed = clustered_rate(trials(*["ssssfffff" + "s"] * 10))
    split = clustered_rate(trials(*["s" * 10] * 5, *["f" * 10] * 5))
    assert mixed.rate == split.rate == 0.5
    assert split.high - split.low > 2 * (mixed.high - mixed.low)


def test_the_variance_is_that_of_a_ratio() -> None:
    """Against the jackknife over clusters, which estimates the same by another way."""
    rng = np.random.default_rng(3)
    given = [
        Trial(c, bool(rng.random() < p), float(rng.random()))
        for c, p in enumerate(rng.beta(1, 1, 40))
        for _ in range(rng.integers(20, 60))
    ]
    rate = clustered_rate(given, confidence=0.6827)
    without = []
    for left_out in range(40):
        rest = [trial for trial in given if trial.cluster != left_out]
        weights = np.array([trial.weight for trial in rest])
        without.append(np.average([trial.success for trial in rest], weights=weights))
    jackknife = np.sqrt(39 / 40 * np.sum((np.array(without) - np.mean(without)) ** 2))
    assert (rate.high - rate.low) / 2 == pytest.approx(jackknife, rel=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.05, 0.2])
def test_the_interval_covers(spread: float) -> None:
    """Ten uneven base tasks with 17 to 52 perturbations each, as a dimension of a suite has."""
    rng, covered, rounds = np.random.default_rng(0), 0, 200
    for _ in range(rounds):
        if spread:
            chances = rng.beta(0.6 * (1 / spread - 1), 0.4 * (1 / spread - 1), 10)
        else:
            chances = np.full(10, 0.6)
        sizes = rng.integers(17, 53, 10)
        rate = clustered_rate(
            Trial(c, bool(s)) for c in range(10) for s in rng.random(sizes[c]) < chances[c]
        )
        covered += rate.low <= 0.6 <= rate.high
    assert covered / rounds >= 0.92


@pytest.mark.parametrize("letter", ["s", "f"])
def test_nothing_collapses_at_the_ends(letter: str) -> None:
    rate = clustered_rate(trials(*[letter * 5] * 10))
    assert rate.rate == (letter == "s")
    assert rate.low <= rate.rate <= rate.high
    assert 0.05 < rate.high - rate.low < 0.2


def test_weights_without_a_sum_are_refused() -> None:
    with pytest.raises(ResultsError, match="no episode"):
        clustered_rate([])
    with pytest.raises(ResultsError, match="no episode"):
        clustered_rate([Trial(0, True, 0.0)])
    with pytest.raises(ResultsError, match="negative"):
        clustered_rate([Trial(0, True, 2.0), Trial(0, True, -1.0)])
