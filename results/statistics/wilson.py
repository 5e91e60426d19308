"""Between which rates the true one lies: Wilson's score interval."""

from typing import NamedTuple

from scipy.stats import binomtest

from results.errors import ResultsError


class Interval(NamedTuple):
    """A confidence interval, of a probability in [0, 1] or of a difference in [-1, 1]."""

    low: float
    high: float


def wilson_interval(k: int, n: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of a success rate.

    It keeps its coverage near 0 and 1, where the normal approximation collapses. Pooled over
    uneven tasks it is wider than it need be, never narrower.

    Args:
        k: Successes, in [0, n].
        n: Episodes that count, errors left out.
        confidence: Coverage, in (0, 1).

    Returns:
        The interval; (0, 1) when there is no episode.

    Raises:
        ResultsError: ``k``, ``n`` or ``confidence`` is out of its range.
    """
    if not 0 <= k <= n:
        raise ResultsError(f"{k} successes of {n} episodes: give 0 <= successes <= episodes.")
    check_confidence(confidence)
    if n == 0:
        return Interval(0.0, 1.0)
    interval = binomtest(k, n).proportion_ci(confidence_level=confidence, method="wilson")
    return Interval(float(interval.low), float(interval.high))


def check_confidence(confidence: float) -> None:
    """Refuse a confidence that is none, such as 95 for 0.95.

    Raises:
        ResultsError: It is not between 0 and 1.
    """
    if not 0.0 < confidence < 1.0:
        raise ResultsError(f"confidence is {confidence}: give a number between 0 and 1, as 0.95.")
