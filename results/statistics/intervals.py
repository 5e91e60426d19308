"""Confidence intervals of a success rate and of a difference of two, and which one fits.

The bootstrap by task is the narrower one and covers 94 to 96 % once there is enough to draw from.
It collapses where all outcomes are the same, and is too narrow near that and with few episodes per
task: with 5 of each of 3 tasks it covers 87 %. The score intervals (Wilson's, Tango's) hold in all
of these cases, and are wider than need be where tasks are uneven. With the limits below, choosing
between them covered 93 to 99 % in simulations of even and uneven, easy and hard tasks.

Some tasks are easy and some are hard, and a suite has a fixed number of each, so the bootstrap
draws episodes anew within their task. With outcomes that are 0 or 1 the distribution of such draws
is known: it is computed whole, by convolution, instead of sampled. There is no seed, and the same
counts always give the same interval.
"""

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Literal, NamedTuple

import numpy as np
import scipy  # its parts are imported when they are used
from numpy.typing import NDArray

from results.statistics.significance import PairCounts
from tasks.errors import ResultsError


class Interval(NamedTuple):
    """A confidence interval, of a probability in [0, 1] or of a difference in [-1, 1]."""

    low: float
    high: float


def wilson_interval(k: int, n: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of a success rate.

    It keeps its coverage near 0 and 1, where the normal approximation collapses. Pooled over
    uneven tasks it is wider than need be, never narrower. Without an episode it is (0, 1).

    Args:
        k: Successes, in [0, n].
        n: Episodes that count, errors left out.
        confidence: Coverage, in (0, 1).

    Raises:
        ResultsError: ``k``, ``n`` or ``confidence`` is out of its range.
    """
    if not 0 <= k <= n:
        raise ResultsError(f"{k} successes of {n} episodes: give 0 <= successes <= episodes.")
    check_confidence(confidence)
    if n == 0:
        return Interval(0.0, 1.0)
    interval = scipy.stats.binomtest(k, n).proportion_ci(
        confidence_level=confidence, method="wilson"
    )
    return Interval(float(interval.low), float(interval.high))


def score_interval(rate: float, episodes: float, quantile: float) -> Interval:
    """Return Wilson's score interval of a rate, of any number of episodes and with any quantile.

    Args:
        rate: In [0, 1].
        episodes: Above 0; need not be whole, as an effective number is not.
        quantile: Of the normal distribution, or of t where the variance is estimated.
    """
    p, n, z = rate, episodes, quantile
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def check_confidence(confidence: float) -> None:
    """Refuse a confidence that is none, such as 95 for 0.95.

    Raises:
        ResultsError: It is not between 0 and 1.
    """
    if not 0.0 < confidence < 1.0:
        raise ResultsError(f"confidence is {confidence}: give a number between 0 and 1, as 0.95.")


Distribution = NDArray[np.float64]
"""Probabilities of consecutive whole numbers; the caller knows the first number."""


def rate_bootstrap(tasks: Sequence[tuple[int, int]], confidence: float = 0.95) -> Interval:
    """Return the percentile interval of all successes over all episodes.

    It collapses where no task has both outcomes, and covers too little where episodes are few;
    ``rate_interval`` knows when not to use it.

    Args:
        tasks: Successes and episodes of each task.
        confidence: Coverage, in (0, 1).

    Raises:
        ResultsError: There is no episode, or a number is out of its range.
    """
    check_confidence(confidence)
    if wrong := [(k, n) for k, n in tasks if not 0 <= k <= n]:
        raise ResultsError(f"{wrong[0][0]} successes of {wrong[0][1]} episodes cannot be.")
    episodes = sum(n for _, n in tasks)
    _refuse_none(episodes)
    drawn = _sum(scipy.stats.binom.pmf(np.arange(n + 1), n, k / n) for k, n in tasks if n)
    low, high = _percentiles(drawn, confidence)
    return Interval(low / episodes, high / episodes)


def difference_bootstrap(tasks: Sequence[PairCounts], confidence: float = 0.95) -> Interval:
    """Return the percentile interval of B's rate less A's on the same episodes.

    An episode is drawn with both its outcomes. The interval collapses where no outcome differs;
    ``difference_interval`` knows when not to use it.

    Args:
        tasks: The counts of each task.
        confidence: Coverage, in (0, 1).

    Raises:
        ResultsError: There is no episode, or a number is out of its range.
    """
    check_confidence(confidence)
    if any(count < 0 for pairs in tasks for count in pairs):
        raise ResultsError("A number of episodes is negative: give counts from 0.")
    episodes = sum(pairs.episodes for pairs in tasks)
    _refuse_none(episodes)
    drawn = _sum(_differences(pairs) for pairs in tasks if pairs.episodes)
    low, high = _percentiles(drawn, confidence)
    return Interval((low - episodes) / episodes, (high - episodes) / episodes)


def _differences(pairs: PairCounts) -> Distribution:
    """Return the distribution of wins of B less wins of A in one task, from -n to n."""
    n = pairs.episodes
    once = np.array([pairs.only_a, n - pairs.flipped, pairs.only_b], dtype=np.float64) / n
    return _sum(once for _ in range(n))


def _sum(parts: Iterable[Distribution]) -> Distribution:
    """Return the distribution of the sum of independent numbers."""
    total = np.ones(1)
    for part in parts:
        total = np.convolve(total, part)
    return total


def _percentiles(distribution: Distribution, confidence: float) -> tuple[int, int]:
    below = np.cumsum(distribution)
    tail = (1.0 - confidence) / 2.0
    # Rounding may leave the sum a little below 1; beyond the last number there is nothing.
    below[-1] = 1.0
    return int(np.searchsorted(below, tail)), int(np.searchsorted(below, 1.0 - tail))


def _refuse_none(episodes: int) -> None:
    if not episodes:
        raise ResultsError("There is no episode to draw from: give tasks with episodes.")


def tango_interval(pairs: PairCounts, confidence: float = 0.95) -> Interval:
    """Return the score interval of B's rate less A's on the same episodes.

    Tango (1998), "Equivalence test and confidence interval for the difference in proportions for
    the paired-sample design": all differences that the score test does not reject. For the
    difference 0 that test is McNemar's without a correction, so both agree. Like Wilson's, the
    interval does not collapse where nothing differs, and takes all episodes for draws from one
    urn. Without an episode it is (-1, 1).

    Raises:
        ResultsError: A number is out of its range.
    """
    check_confidence(confidence)
    if any(count < 0 for count in pairs):
        raise ResultsError("A number of episodes is negative: give counts from 0.")
    if not pairs.episodes:
        return Interval(-1.0, 1.0)
    z = float(scipy.stats.norm.ppf(0.5 + confidence / 2.0))
    middle = pairs.difference
    # The score falls as the difference grows and is 0 at the one observed.
    bisect = scipy.optimize.bisect
    low = bisect(lambda d: score(pairs, d) - z, -1.0, middle) if middle > -1.0 else -1.0
    high = bisect(lambda d: score(pairs, d) + z, middle, 1.0) if middle < 1.0 else 1.0
    return Interval(float(low), float(high))


def score(pairs: PairCounts, difference: float) -> float:
    """Return Tango's score statistic: standard normal if the difference is the true one.

    Args:
        pairs: The counts, of at least one episode.
        difference: B's rate less A's, in [-1, 1]; the statistic is infinite if it is impossible.
    """
    n = pairs.episodes
    surplus = pairs.only_b - pairs.only_a - n * difference
    share = only_a_given(pairs, difference)
    spread = n * (2.0 * share + difference * (1.0 - difference))
    if spread <= 0.0:
        return 0.0 if surplus == 0.0 else float("inf") * surplus
    return surplus / sqrt(spread)


def only_a_given(pairs: PairCounts, difference: float) -> float:
    """Return the likeliest share of episodes that only A wins under a given difference, in [0, 1].

    It is the larger root of Tango's quadratic equation.

    Args:
        pairs: The counts, of at least one episode.
        difference: B's rate less A's, in [-1, 1].
    """
    n = pairs.episodes
    b = (2 * n - pairs.only_b + pairs.only_a) * difference - pairs.flipped
    c = -pairs.only_a * difference * (1.0 - difference)
    return float((sqrt(max(b * b - 8.0 * n * c, 0.0)) - b) / (4.0 * n))


Method = Literal["bootstrap by task", "Wilson", "Tango"]

MIN_EPISODES = 10
"""Episodes that each task needs for the bootstrap."""

MIN_OUTCOMES = 5
"""Successes, and failures, that a suite needs for it; for a difference, flips either way."""


class Estimate(NamedTuple):
    """A confidence interval and how it was made."""

    low: float
    high: float
    method: Method


def rate_interval(tasks: Sequence[tuple[int, int]]) -> Estimate:
    """Return the 95 % interval of a success rate over tasks.

    It is the bootstrap stratified by task, and Wilson's for one task, for fewer than
    ``MIN_EPISODES`` of a task, and at or near 0 and 100 %.

    Args:
        tasks: Successes and episodes of each task.
    """
    tasks = [(k, n) for k, n in tasks if n]
    wins, episodes = sum(k for k, _ in tasks), sum(n for _, n in tasks)
    enough = min(wins, episodes - wins) >= MIN_OUTCOMES
    if len(tasks) > 1 and enough and min(n for _, n in tasks) >= MIN_EPISODES:
        return Estimate(*rate_bootstrap(tasks), "bootstrap by task")
    return Estimate(*wilson_interval(wins, episodes), "Wilson")


def difference_interval(tasks: Sequence[PairCounts]) -> Estimate:
    """Return the 95 % interval of B's rate less A's on the same episodes.

    It is the bootstrap stratified by task, and Tango's for one task, for fewer than
    ``MIN_EPISODES`` of a task, and where few outcomes differ either way.

    Args:
        tasks: The counts of each task.
    """
    tasks = [pairs for pairs in tasks if pairs.episodes]
    total = PairCounts(*(sum(counts) for counts in zip(*tasks, strict=True)) if tasks else (0,) * 4)
    enough = min(total.only_a, total.only_b) >= MIN_OUTCOMES
    if len(tasks) > 1 and enough and min(pairs.episodes for pairs in tasks) >= MIN_EPISODES:
        return Estimate(*difference_bootstrap(tasks), "bootstrap by task")
    return Estimate(*tango_interval(total), "Tango")
