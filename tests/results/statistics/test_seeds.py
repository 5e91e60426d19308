"""Intervals over training seeds: coverage in simulations, and hand-computed cases."""

from math import sqrt

import numpy as np
import pytest
import scipy.stats

from results.statistics.intervals import wilson_interval
from results.statistics.seeds import (
    PooledSpread,
    SeedPairs,
    SeedRates,
    own_effect,
    paired_effect,
    pooled_effect,
    pooled_spread,
    seeds_interval,
)
from tasks.errors import ResultsError

RUNS = 1500


def drawn(rng: np.random.Generator, rate: float, spread: float, k: int, n: int) -> SeedRates:
    """Draw an arm whose seeds' true rates have a Beta distribution."""
    size = rate * (1 - rate) / spread**2 - 1
    rates = rng.beta(rate * size, (1 - rate) * size, k)
    return SeedRates(tuple(int(y) for y in rng.binomial(n, rates)), n)


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize(
    ("n", "rate", "spread"),
    [(20, 0.1, 0.10), (50, 0.3, 0.08), (50, 0.5, 0.02), (100, 0.9, 0.05), (500, 0.97, 0.015)],
)
def test_the_interval_of_a_rate_covers(k: int, n: int, rate: float, spread: float) -> None:
    rng = np.random.default_rng(k * n)
    intervals = [seeds_interval(drawn(rng, rate, spread, k, n)) for _ in range(RUNS)]
    covered = np.mean([low <= rate <= high for low, high in intervals])
    assert covered >= 0.93


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("rates", [(0.3, 0.3), (0.3, 0.7), (0.9, 0.6)])
def test_the_interval_of_a_difference_covers(k: int, rates: tuple[float, float]) -> None:
    rng = np.random.default_rng(k)
    hits = 0
    for _ in range(RUNS):
        arms = [drawn(rng, rate, 0.08, k, 50) for rate in (*rates, *[0.4] * 4)]
        low, high = pooled_effect(arms[0], arms[1], pooled_spread(arms)).interval()
        hits += low <= rates[1] - rates[0] <= high
    assert hits / RUNS >= 0.93


def drawn_pairs(rng: np.random.Generator, k: int, n: int, shift: float) -> SeedPairs:
    """Draw an arm at two horizons: each policy has its own rate, and its own gain around a mean."""
    base, gain = rng.beta(6, 6, k), rng.normal(shift, 0.05, k)
    luck = rng.random((k, n))
    a, b = luck < base[:, None], luck < (base + gain)[:, None]
    wins, losses = (b & ~a).sum(1), (a & ~b).sum(1)
    return SeedPairs(tuple(map(int, wins)), tuple(map(int, losses)), n)


@pytest.mark.parametrize("k", [3, 5])
def test_the_interval_of_a_pair_covers(k: int) -> None:
    rng = np.random.default_rng(k)
    hits = 0
    for _ in range(RUNS):
        arms = [drawn_pairs(rng, k, 50, shift) for shift in (0.15, 0.05, 0.1, 0.2)]
        low, high = paired_effect(arms[0], pooled_spread(arms)).interval()
        hits += low <= 0.15 <= high
    assert hits / RUNS >= 0.93


def test_pooling_decides_where_own_seeds_cannot() -> None:
    rng = np.random.default_rng(0)
    pooled = own = 0
    for _ in range(200):
        arms = [drawn(rng, rate, 0.08, 3, 50) for rate in (0.3, 0.7, *[0.3] * 7)]
        level = 0.05 / 8  # Holm's first step over eight claims
        spread = pooled_spread(arms)
        pooled += 2 * pooled_effect(arms[0], arms[1], spread).p_above(0) < level
        alone = own_effect(arms[0], arms[1])
        assert alone is not None
        own += 2 * alone.p_above(0) < level
    assert pooled > 170
    assert own < 80


def test_no_interval_is_narrower_than_the_binomial_one() -> None:
    equal = SeedRates((30, 30, 30), 50)
    low, high = seeds_interval(equal)
    pooled = wilson_interval(90, 150)
    assert high - low > pooled.high - pooled.low
    spread = pooled_spread([equal, equal])
    assert spread == PooledSpread(factor=1.0, freedom=4)
    p = 90.5 / 151
    expected = sqrt(2 * p * (1 - p) / 150)
    assert pooled_effect(equal, equal, spread).error == pytest.approx(expected)
    same = SeedPairs((0, 0, 0), (0, 0, 0), 50)
    assert paired_effect(same, pooled_spread([same])).interval().high > 0.01


def test_a_pair_by_hand() -> None:
    pairs = SeedPairs((10, 12, 8), (0, 2, 1), 20)
    assert pairs.difference == pytest.approx(27 / 60)
    assert pairs.variance == pytest.approx(np.var([0.5, 0.5, 0.35], ddof=1))
    binomial = (33.5 / 61 - (27 / 60) ** 2) / 20
    effect = paired_effect(pairs, PooledSpread(factor=1.5, freedom=6))
    assert effect.error == pytest.approx(sqrt(1.5 * binomial / 3))
    with pytest.raises(ResultsError, match="No seed"):
        SeedPairs((), (), 20)


def test_an_effect_by_hand() -> None:
    a, b = SeedRates((10, 20, 15), 50), SeedRates((40, 35, 45), 50)
    assert a.rate == pytest.approx(0.3)
    assert a.variance == pytest.approx(0.01)
    assert a.spread == pytest.approx(sqrt(0.01 - 0.3 * 0.7 / 50))
    qa, qb = 45.5 / 151, 120.5 / 151
    binomial = (qa * (1 - qa) / 50, qb * (1 - qb) / 50)
    factor = (2 * 0.01 + 2 * 0.01) / (2 * sum(binomial))
    spread = pooled_spread([a, b])
    assert spread.factor == pytest.approx(factor)
    effect = pooled_effect(a, b, spread)
    assert effect.estimate == pytest.approx(0.5)
    assert effect.error == pytest.approx(sqrt(factor * sum(binomial) / 3))
    half = scipy.stats.t.ppf(0.975, 4) * effect.error
    assert effect.interval() == pytest.approx((0.5 - half, 0.5 + half))
    welch = scipy.stats.ttest_ind([0.8, 0.7, 0.9], [0.2, 0.4, 0.3], equal_var=False)
    own = own_effect(a, b)
    assert own is not None
    assert 2 * own.p_above(0) == pytest.approx(welch.pvalue)


def test_a_wild_arm_is_told_from_the_others() -> None:
    calm = [SeedRates((24, 25, 26), 50) for _ in range(5)]
    wild = SeedRates((5, 25, 45), 50)
    spread = pooled_spread([*calm, SeedRates((20, 25, 30), 50)])
    assert spread.is_exceeded_by(wild)
    assert not spread.is_exceeded_by(calm[0])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ResultsError, match="No seed"):
        SeedRates((), 50)
    with pytest.raises(ResultsError, match="of 50 episodes each"):
        SeedRates((51,), 50)
    with pytest.raises(ResultsError, match="two seeds"):
        pooled_spread([SeedRates((3,), 5)])
    assert seeds_interval(SeedRates((7,), 20)) == wilson_interval(7, 20)
