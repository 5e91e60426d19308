"""Intervals by the bootstrap stratified by task.

Some tasks are easy and some are hard, and how many of each a suite has is no accident: episodes
are therefore drawn anew within their task. The interval is narrower than one that takes all
episodes for draws from one urn. With outcomes that are 0 or 1 the distribution of such draws is
known: it is computed whole, by convolution, where others draw a few thousand samples from it. So
there is no seed, and the same counts always give the same interval.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from results.errors import ResultsError
from results.statistics.mcnemar import PairCounts
from results.statistics.wilson import Interval, check_confidence

Distribution = NDArray[np.float64]
"""Probabilities of neighbouring whole numbers, the first of which is known besides."""


def rate_bootstrap(tasks: Sequence[tuple[int, int]], confidence: float = 0.95) -> Interval:
    """Return the percentile interval of a success rate over tasks.

    It collapses where no task has both outcomes, and covers too little where episodes are few;
    ``estimates.rate_interval`` knows when not to use it.

    Args:
        tasks: Successes and episodes of each task.
        confidence: Coverage, in (0, 1).

    Returns:
        The interval of all successes over all episodes.

    Raises:
        ResultsError: There is no episode, or a number is out of its range.
    """
    check_confidence(confidence)
    if wrong := [(k, n) for k, n in tasks if not 0 <= k <= n]:
        raise ResultsError(f"{wrong[0][0]} successes of {wrong[0][1]} episodes cannot be.")
    episodes = sum(n for _, n in tasks)
    _refuse_none(episodes)
    drawn = _sum(binom.pmf(np.arange(n + 1), n, k / n) for k, n in tasks if n)
    low, high = _percentiles(drawn, confidence)
    return Interval(low / episodes, high / episodes)


def difference_bootstrap(tasks: Sequence[PairCounts], confidence: float = 0.95) -> Interval:
    """Return the percentile interval of the difference of two rates on the same episodes.

    An episode is drawn with both its outcomes. It collapses where no outcome differs;
    ``estimates.difference_interval`` knows when not to use it.

    Args:
        tasks: The counts of each task.
        confidence: Coverage, in (0, 1).

    Returns:
        The interval of B's rate less A's.

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
