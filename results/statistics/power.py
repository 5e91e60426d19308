"""How many episodes show a difference, and which difference a number of episodes shows.

A difference counts as shown where a two-sided test at level ``ALPHA`` finds it in ``POWER`` of all
repetitions. Runs of different episodes are compared as independent rates; runs of the same episodes
as pairs, by McNemar's exact test, which needs fewer the more the runs agree.
"""

from functools import lru_cache
from math import ceil, sqrt

import numpy as np
import scipy  # its parts are imported when they are used

from tasks.errors import ResultsError

ALPHA = 0.05
"""Level of the test."""

POWER = 0.8
"""Share of repetitions in which the test finds the difference."""

_LARGEST = 1_000_000
_FEWEST = 4
"""With fewer episodes of each run, no outcome at all is significant (Fisher's exact test)."""


def episodes_needed(rate_a: float, rate_b: float) -> int:
    """Return the episodes that each of two independent runs needs to show their difference.

    The usual sample size for two proportions, with the pooled variance where they are equal
    (Fleiss, "Statistical Methods for Rates and Proportions", without continuity correction).

    Raises:
        ResultsError: A rate is not in [0, 1], or both are the same.
    """
    if not (0.0 <= rate_a <= 1.0 and 0.0 <= rate_b <= 1.0) or rate_a == rate_b:
        raise ResultsError(f"Rates {rate_a} and {rate_b}: give two different ones in [0, 1].")
    return max(_FEWEST, ceil(_independent(rate_a, rate_b)))


def detectable_difference(rate: float, episodes: int) -> float | None:
    """Return the smallest difference that a run shows against another of as many episodes.

    Returns:
        The difference upwards, or downwards where even a perfect run could not be told apart; None
        if there are too few episodes for either.

    Raises:
        ResultsError: The rate is not in [0, 1], or the number is negative.
    """
    if not 0.0 <= rate <= 1.0 or episodes < 0:
        raise ResultsError(f"Rate {rate} of {episodes} episodes: give one in [0, 1] and from 0.")
    if episodes < _FEWEST:
        return None
    for end in (1.0, 0.0):
        if rate != end and _independent(rate, end) <= episodes:
            span = abs(end - rate)
            sign = 1.0 if end > rate else -1.0
            difference = scipy.optimize.brentq(
                lambda d, sign=sign: _independent(rate, rate + sign * d) - episodes,
                span * 1e-6,
                span,
            )
            return float(difference)
    return None


def power_paired(episodes: int, flipped: float, difference: float) -> float:
    """Return the probability that McNemar's exact test gives a p-value of at most ``ALPHA``.

    Args:
        episodes: Episodes that both runs have.
        flipped: Probability that an episode's outcome differs, in [|difference|, 1].
        difference: Difference of the rates, in [-1, 1].

    Raises:
        ResultsError: A number is out of its range.
    """
    difference = abs(difference)
    if episodes < 0 or not difference <= flipped <= 1.0:
        raise ResultsError(
            f"A difference of {difference} with {flipped} flipped of {episodes} episodes cannot "
            "be: give difference <= flipped <= 1."
        )
    if flipped == 0.0:
        return 0.0
    # Numbers of flipped episodes beyond these have a chance of 1e-12.
    binom = scipy.stats.binom
    first, last = binom.ppf((1e-12, 1 - 1e-12), episodes, flipped)
    counts = np.arange(max(int(first), 0), int(last) + 1)
    rarest = binom.ppf(ALPHA / 2, counts, 0.5)
    # The largest tail that is still rejected: p is twice the tail.
    rarest = np.where(2.0 * binom.cdf(rarest, counts, 0.5) > ALPHA, rarest - 1, rarest)
    share = (flipped + difference) / (2.0 * flipped)
    rejected = binom.cdf(rarest, counts, share) + binom.sf(counts - rarest - 1, counts, share)
    return float(np.sum(binom.pmf(counts, episodes, flipped) * np.where(rarest < 0, 0.0, rejected)))


@lru_cache(maxsize=1024)
def episodes_needed_paired(difference: float, flipped: float) -> int | None:
    """Return the episodes that two runs must share to show their difference.

    Args:
        difference: Difference of the rates, in [-1, 1] and not 0.
        flipped: Probability that an episode's outcome differs, in [|difference|, 1].

    Returns:
        The number; None beyond a million.

    Raises:
        ResultsError: A number is out of its range.
    """
    if difference == 0.0:
        raise ResultsError("No number of episodes shows a difference of 0: give another.")
    high = 8
    while power_paired(high, flipped, difference) < POWER:
        high *= 2
        if high > _LARGEST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if power_paired(middle, flipped, difference) < POWER:
            low = middle
        else:
            high = middle
    return high


@lru_cache(maxsize=1024)
def detectable_difference_paired(episodes: int, flipped: float) -> float | None:
    """Return the smallest difference that runs of the same episodes show; None if they show none.

    Args:
        episodes: Episodes that both have.
        flipped: Probability that an episode's outcome differs, as observed. For a larger
            difference, it is that difference: all flipped episodes are won by the same run.

    Raises:
        ResultsError: A number is out of its range.
    """

    def lacking(difference: float) -> float:
        return power_paired(episodes, max(flipped, difference), difference) - POWER

    if lacking(1.0) < 0.0:
        return None
    return float(scipy.optimize.brentq(lacking, 0.0, 1.0, xtol=1e-6))


def _independent(rate_a: float, rate_b: float) -> float:
    """Return the sample size of each arm, not rounded."""
    middle = (rate_a + rate_b) / 2.0
    noise = float(scipy.stats.norm.ppf(1.0 - ALPHA / 2.0)) * sqrt(2.0 * middle * (1.0 - middle))
    spread = sqrt(rate_a * (1.0 - rate_a) + rate_b * (1.0 - rate_b))
    return ((noise + float(scipy.stats.norm.ppf(POWER)) * spread) / (rate_a - rate_b)) ** 2
