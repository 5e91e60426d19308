"""Whether runs differ, and how many episodes show it.

Runs of the same episodes are tested with McNemar's test, Holm's correction and letters. A
difference counts as shown where a two-sided test at level ``ALPHA`` finds it in ``POWER`` of all
repetitions. Two runs of different episodes are compared as two independent rates; runs of the same
episodes as pairs, by McNemar's exact test, which needs fewer the more the runs agree.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from math import ceil, sqrt
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np
import scipy  # its parts are imported when they are used

from tasks.errors import ResultsError


class PairCounts(NamedTuple):
    """Episodes that two runs, A and B, share, by who succeeded."""

    both: int
    """Both succeeded."""

    only_a: int
    """A succeeded and B failed."""

    only_b: int
    """B succeeded and A failed."""

    neither: int
    """Both failed."""

    @property
    def episodes(self) -> int:
        """How many episodes they share."""
        return sum(self)

    @property
    def flipped(self) -> int:
        """In how many the outcome differs."""
        return self.only_a + self.only_b

    @property
    def difference(self) -> float:
        """Rate of B less that of A, in [-1, 1]; 0 without an episode."""
        return (self.only_b - self.only_a) / self.episodes if self.episodes else 0.0


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the p-value of McNemar's exact test.

    Between equally good runs, each is as likely to win an episode that only one of them wins.
    Episodes that both win or both lose do not count, so the tasks' difficulty does not matter.

    Args:
        only_a: Episodes that only the one run won.
        only_b: Episodes that only the other won.

    Returns:
        The two-sided p-value; 1 if no outcome differs.

    Raises:
        ResultsError: A number is negative.
    """
    if only_a < 0 or only_b < 0:
        raise ResultsError(f"{only_a} and {only_b} flipped episodes: give numbers from 0.")
    flipped = only_a + only_b
    return float(scipy.stats.binomtest(only_b, flipped).pvalue) if flipped else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that the chance of any false alarm stays below the level.

    Holm (1979): the i-th smallest of m, counted from 0, is multiplied by m - i, and none may be
    smaller than one before it. It is uniformly more powerful than Bonferroni and, like it, holds
    for dependent tests, such as tests that share a run.

    Args:
        p_values: Of one family of tests, each in [0, 1].

    Returns:
        The adjusted values, in the given order.

    Raises:
        ResultsError: A p-value is out of its range.
    """
    if wrong := [p for p in p_values if not 0.0 <= p <= 1.0]:
        raise ResultsError(f"{wrong[0]} is no p-value: give numbers between 0 and 1.")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for i, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - i) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def compact_letters(count: int, different: Collection[tuple[int, int]]) -> list[str]:
    """Give each run letters, so that two runs share one exactly if they do not differ.

    Insert and absorb, of Piepho (2004), "An algorithm for a letter-based representation of
    all-pairwise comparisons": begin with one letter for all; for each pair that differs, split
    every letter that both have into one without the first and one without the second; drop letters
    whose runs all have another letter in common. What remains are all largest groups without a
    difference, whatever the order of the pairs.

    Args:
        count: Number of runs, in the order in which letters are to come (best first).
        different: Pairs of runs that differ, each run by its number from 0.

    Returns:
        The letters of each run, such as ``["a", "ab", "b"]``; after z come a2, b2, ….
    """
    groups = [frozenset(range(count))]
    for pair in different:
        split: list[frozenset[int]] = []
        for group in groups:
            split += [group - {run} for run in pair] if group.issuperset(pair) else [group]
        unique = list(dict.fromkeys(split))
        groups = [group for group in unique if not any(group < other for other in unique)]
    groups = sorted((group for group in groups if group), key=sorted)
    return [
        "".join(_letter(number) for number, group in enumerate(groups) if run in group)
        for run in range(count)
    ]


def _letter(number: int) -> str:
    again, index = divmod(number, len(ascii_lowercase))
    return ascii_lowercase[index] + (str(again + 1) if again else "")


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

    Args:
        rate_a: One rate, in [0, 1].
        rate_b: The other.

    Returns:
        Episodes of each run.

    Raises:
        ResultsError: A rate is out of its range, or both are the same.
    """
    if not (0.0 <= rate_a <= 1.0 and 0.0 <= rate_b <= 1.0) or rate_a == rate_b:
        raise ResultsError(f"Rates {rate_a} and {rate_b}: give two different ones in [0, 1].")
    return max(_FEWEST, ceil(_independent(rate_a, rate_b)))


def detectable_difference(rate: float, episodes: int) -> float | None:
    """Return the smallest difference that a run shows against another of as many episodes.

    Args:
        rate: Its success rate, in [0, 1].
        episodes: Its episodes.

    Returns:
        The difference, upwards if even a perfect run would be near enough, otherwise downwards;
        None if there are too few episodes for any.

    Raises:
        ResultsError: The rate or the number is out of its range.
    """
    if not 0.0 <= rate <= 1.0 or episodes < 0:
        raise ResultsError(f"Rate {rate} of {episodes} episodes: give one in [0, 1] and from 0.")
    if episodes < _FEWEST:
        return None
    for end in (1.0, 0.0):
        if rate != end and _independent(rate, end) <= episodes:
            span = abs(end - rate)
            sign = 1.0 if end > rate else -1.0
            found = scipy.optimize.brentq(
                lambda d, sign=sign: _independent(rate, rate + sign * d) - episodes,
                span * 1e-6,
                span,
            )
            return float(found)
    return None


def power_paired(episodes: int, flipped: float, difference: float) -> float:
    """Return how often McNemar's exact test finds a difference on the same episodes.

    Args:
        episodes: Episodes that both runs have.
        flipped: Probability that an episode's outcome differs, in [|difference|, 1].
        difference: Difference of the rates, in [-1, 1].

    Returns:
        The probability of a p-value of at most ``ALPHA``.

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
        The number of episodes; None if it is beyond a million.

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
    """Return the smallest difference that runs of the same episodes show.

    Args:
        episodes: Episodes that both have.
        flipped: Probability that an episode's outcome differs, as observed; a difference beyond it
            is taken to go with as many flipped episodes, all the same way.

    Returns:
        The difference; None if there are too few episodes for any.

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
