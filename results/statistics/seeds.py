"""Intervals over training seeds: the seed is the unit, and its episodes are the same in all.

Two trainings that differ in nothing but their seed differ by more than the chance of their
episodes, so pooling episodes of several seeds gives intervals that are too short: with a standard
deviation of 5 points between seeds and 500 episodes each, 95 % intervals cover 37 %. Here the
spread between seeds counts wherever it exceeds the binomial one, with t for so few seeds, and no
interval is narrower than the binomial one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import scipy  # its parts are imported when they are used

from results.statistics.intervals import (
    Interval,
    check_confidence,
    score_interval,
    wilson_interval,
)
from tasks.errors import ResultsError


@dataclass(frozen=True)
class SeedRates:
    """Successes of one arm, seed by seed.

    Attributes:
        successes: Successes of each seed, (k).
        episodes: Episodes of each seed that count.

    Raises:
        ResultsError: There is no seed or no episode, or a count is out of its range.
    """

    successes: tuple[int, ...]
    episodes: int

    def __post_init__(self) -> None:
        if not self.successes or self.episodes < 1:
            raise ResultsError("No seed, or no episode: there is no rate over seeds.")
        if any(not 0 <= count <= self.episodes for count in self.successes):
            raise ResultsError(f"Successes {self.successes} of {self.episodes} episodes each.")

    @property
    def seeds(self) -> int:
        """Number of seeds, k."""
        return len(self.successes)

    @property
    def rate(self) -> float:
        """Successes over all episodes."""
        return sum(self.successes) / (self.seeds * self.episodes)

    @property
    def variance(self) -> float:
        """Variance of the seeds' rates, with k − 1; 0 for one seed."""
        rates = np.asarray(self.successes) / self.episodes
        return float(rates.var(ddof=1)) if self.seeds > 1 else 0.0

    @property
    def binomial_variance(self) -> float:
        """Variance of a seed's rate if its episodes alone decided, kept from 0 by ½ successes."""
        total = self.seeds * self.episodes
        rate = (sum(self.successes) + 0.5) / (total + 1)
        return rate * (1.0 - rate) / self.episodes

    @property
    def spread(self) -> float:
        """Standard deviation between seeds beyond the binomial one; 0 if there is none."""
        return sqrt(max(0.0, self.variance - self.rate * (1.0 - self.rate) / self.episodes))


def seeds_interval(rates: SeedRates, confidence: float = 0.95) -> Interval:
    """Return the interval of a success rate over seeds: Wilson's with t and an effective n.

    The effective number of episodes is that with which a binomial rate would vary as the seeds'
    mean does: n_eff = p(1−p) / max(s²/k, p(1−p)/kn), within [k, kn]. Wilson's score interval then
    takes t with k − 1 degrees of freedom for z. In simulations of 18 settings it covers 94 to
    100 %. One seed says nothing of others: its interval is Wilson's, of its own episodes.

    Args:
        rates: The arm.
        confidence: Coverage, in (0, 1).
    """
    check_confidence(confidence)
    total = rates.seeds * rates.episodes
    if rates.seeds == 1:
        return wilson_interval(rates.successes[0], rates.episodes, confidence)
    p = rates.rate
    variance = max(rates.variance / rates.seeds, p * (1.0 - p) / total)
    n = p * (1.0 - p) / variance if variance > 0 else float(total)
    n = min(max(n, float(rates.seeds)), float(total))
    t = float(scipy.stats.t.ppf(0.5 + confidence / 2.0, rates.seeds - 1))
    return score_interval(p, n, t)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A difference of two rates over seeds, in [−1, 1], with its uncertainty.

    Attributes:
        estimate: Rate of B less rate of A.
        error: Standard error, never below the binomial one.
        freedom: Degrees of freedom of the error.
    """

    estimate: float
    error: float
    freedom: float

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return the two-sided interval, within [−1, 1]."""
        check_confidence(confidence)
        half = float(scipy.stats.t.ppf(0.5 + confidence / 2.0, self.freedom)) * self.error
        return Interval(max(-1.0, self.estimate - half), min(1.0, self.estimate + half))

    def p_above(self, bound: float) -> float:
        """Return the one-sided p-value of "the difference is at most ``bound``"."""
        return float(scipy.stats.t.sf((self.estimate - bound) / self.error, self.freedom))

    def p_below(self, bound: float) -> float:
        """Return the one-sided p-value of "the difference is at least ``bound``"."""
        return float(scipy.stats.t.cdf((self.estimate - bound) / self.error, self.freedom))


@dataclass(frozen=True, kw_only=True)
class PooledSpread:
    """How much more seeds vary than their episodes alone would make them, over all arms.

    Attributes:
        factor: Over-dispersion φ, at least 1: pooled variance of seeds over the binomial one.
        freedom: Degrees of freedom, the sum of k − 1.
    """

    factor: float
    freedom: int

    def is_exceeded_by(self, rates: "SeedRates | SeedPairs") -> bool:
        """Whether an arm's standard deviation is more than twice the pooled one.

        Pooling would give such an arm too short an interval, so it needs more seeds of its own.
        """
        return rates.variance > 4.0 * self.factor * rates.binomial_variance


def pooled_spread(arms: Sequence["SeedRates | SeedPairs"]) -> PooledSpread:
    """Pool the spread between seeds over arms, of rates or of differences within checkpoints.

    Raises:
        ResultsError: No arm has two seeds.
    """
    freedom = sum(arm.seeds - 1 for arm in arms)
    if not freedom:
        raise ResultsError("No arm has two seeds, so nothing is known of how seeds differ.")
    varied = sum((arm.seeds - 1) * arm.variance for arm in arms)
    binomial = sum((arm.seeds - 1) * arm.binomial_variance for arm in arms)
    return PooledSpread(factor=max(1.0, varied / binomial), freedom=freedom)


def pooled_effect(a: SeedRates, b: SeedRates, spread: PooledSpread) -> Effect:
    """Return the difference of two arms, B less A, with the spread pooled over all arms.

    SE² = φ (p_a q_a / n_a k_a + p_b q_b / n_b k_b). With three seeds a t of two arms' own seeds
    finds a difference of 40 points in 13 % of all studies of eight claims, the pooled one in 93 %.
    """
    variance = a.binomial_variance / a.seeds + b.binomial_variance / b.seeds
    return Effect(
        estimate=b.rate - a.rate, error=sqrt(spread.factor * variance), freedom=spread.freedom
    )


def own_effect(a: SeedRates, b: SeedRates) -> Effect | None:
    """Return the difference of two arms, B less A, of their own seeds alone (Welch's t).

    The error is at least the binomial one. None where an arm has one seed.
    """
    if min(a.seeds, b.seeds) < 2:
        return None
    parts = [max(arm.variance, arm.binomial_variance) / arm.seeds for arm in (a, b)]
    freedom = sum(parts) ** 2 / sum(
        part**2 / (arm.seeds - 1) for part, arm in zip(parts, (a, b), strict=True)
    )
    return Effect(estimate=b.rate - a.rate, error=sqrt(sum(parts)), freedom=freedom)


@dataclass(frozen=True)
class SeedPairs:
    """Two settings of the same trained policies on the same episodes, seed by seed.

    Attributes:
        wins: Episodes of each seed in which B alone succeeds, (k).
        losses: Episodes of each seed in which A alone succeeds, (k).
        episodes: Episodes of each seed.

    Raises:
        ResultsError: There is no seed or no episode.
    """

    wins: tuple[int, ...]
    losses: tuple[int, ...]
    episodes: int

    def __post_init__(self) -> None:
        if not self.wins or len(self.wins) != len(self.losses) or self.episodes < 1:
            raise ResultsError("No seed, or no episode: there is no difference over seeds.")

    @property
    def seeds(self) -> int:
        """Number of seeds, k."""
        return len(self.wins)

    @property
    def difference(self) -> float:
        """Rate of B less rate of A."""
        return (sum(self.wins) - sum(self.losses)) / (self.seeds * self.episodes)

    @property
    def variance(self) -> float:
        """Variance of the seeds' differences, with k − 1; 0 for one seed."""
        each = (np.asarray(self.wins) - np.asarray(self.losses)) / self.episodes
        return float(each.var(ddof=1)) if self.seeds > 1 else 0.0

    @property
    def binomial_variance(self) -> float:
        """Variance of a seed's difference if its episodes alone decided.

        (f − d²)/n with f the share of episodes that end differently, kept from 0 by half an
        episode: no difference in few episodes is no proof that there is none.
        """
        total = self.seeds * self.episodes
        flipped = (sum(self.wins) + sum(self.losses) + 0.5) / (total + 1)
        return max(flipped - self.difference**2, 0.25 / total) / self.episodes


def paired_effect(pairs: SeedPairs, spread: PooledSpread) -> Effect:
    """Return the difference of two settings of the same policies, B less A.

    Args:
        pairs: What was measured.
        spread: How seeds' differences vary, pooled over all arms with both settings.
    """
    variance = spread.factor * pairs.binomial_variance / pairs.seeds
    return Effect(estimate=pairs.difference, error=sqrt(variance), freedom=spread.freedom)
