"""Between which differences the true one lies, on the same episodes: Tango's score interval."""

from math import sqrt

from scipy.optimize import bisect
from scipy.stats import norm

from results.errors import ResultsError
from results.statistics.mcnemar import PairCounts
from results.statistics.wilson import Interval, check_confidence


def tango_interval(pairs: PairCounts, confidence: float = 0.95) -> Interval:
    """Return the score interval of the difference of two rates on the same episodes.

    Tango (1998), "Equivalence test and confidence interval for the difference in proportions for
    the paired-sample design": all differences that the score test does not reject. For one
    difference, 0, that test is McNemar's without a correction, so both say the same. Like Wilson's
    it does not collapse where nothing differs, and takes all episodes for draws from one urn.

    Args:
        pairs: The counts.
        confidence: Coverage, in (0, 1).

    Returns:
        The interval of B's rate less A's; (-1, 1) when there is no episode.

    Raises:
        ResultsError: A number is out of its range.
    """
    check_confidence(confidence)
    if any(count < 0 for count in pairs):
        raise ResultsError("A number of episodes is negative: give counts from 0.")
    if not pairs.episodes:
        return Interval(-1.0, 1.0)
    z = float(norm.ppf(0.5 + confidence / 2.0))
    middle = pairs.difference
    # The score falls as the difference grows and is 0 at the one observed.
    low = bisect(lambda d: score(pairs, d) - z, -1.0, middle) if middle > -1.0 else -1.0
    high = bisect(lambda d: score(pairs, d) + z, middle, 1.0) if middle < 1.0 else 1.0
    return Interval(float(low), float(high))


def score(pairs: PairCounts, difference: float) -> float:
    """Return Tango's score statistic, standard normal if the difference is the true one.

    Args:
        pairs: The counts, of at least one episode.
        difference: B's rate less A's, in [-1, 1].

    Returns:
        The statistic; infinite where the difference is impossible.
    """
    n = pairs.episodes
    surplus = pairs.only_b - pairs.only_a - n * difference
    share = only_a_given(pairs, difference)
    spread = n * (2.0 * share + difference * (1.0 - difference))
    if spread <= 0.0:
        return 0.0 if surplus == 0.0 else float("inf") * surplus
    return surplus / sqrt(spread)


def only_a_given(pairs: PairCounts, difference: float) -> float:
    """Return the likeliest share of episodes that only A wins, were that the difference.

    Args:
        pairs: The counts, of at least one episode.
        difference: B's rate less A's, in [-1, 1].

    Returns:
        The share, in [0, 1]: the larger root of Tango's quadratic equation.
    """
    n = pairs.episodes
    b = (2 * n - pairs.only_b + pairs.only_a) * difference - pairs.flipped
    c = -pairs.only_a * difference * (1.0 - difference)
    return float((sqrt(max(b * b - 8.0 * n * c, 0.0)) - b) / (4.0 * n))
