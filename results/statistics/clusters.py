"""Intervals where episodes come in clusters, as the perturbations of one base task do.

Hundreds of perturbed tasks derive from ten base tasks. What holds for one of a base task tends to
hold for its others, so an interval that takes all of them for independent is too short.
"""

from collections.abc import Hashable, Iterable
from typing import NamedTuple

import scipy  # its parts are imported when they are used

from results.statistics.intervals import Interval, check_confidence, score_interval
from tasks.errors import ResultsError

METHOD = "Wilson by base task"
"""How tables call the interval."""


class ClusteredRate(NamedTuple):
    """A success rate with its interval, in [0, 1].

    Attributes:
        rate: Weighted successes over weights.
        low: Lower end of the interval.
        high: Upper end.
        successes: Episodes that succeeded.
        episodes: Episodes that count.
        clusters: How many clusters they come from.
    """

    rate: float
    low: float
    high: float
    successes: int
    episodes: int
    clusters: int


class Trial(NamedTuple):
    """An episode that counts.

    Attributes:
        cluster: What it shares with others.
        success: Whether it succeeded.
        weight: What its success counts for, 0 or more.
    """

    cluster: Hashable
    success: bool
    weight: float = 1.0


def clustered_rate(trials: Iterable[Trial], confidence: float = 0.95) -> ClusteredRate:
    """Return a success rate with its interval: Wilson's with t and an effective number of episodes.

    The rate p is a ratio of two sums, so its variance is estimated as that of a ratio over k
    clusters: k/(k − 1) · Σ_c (Σ_i w(s − p))² / (Σ w)² (Cochran, "Sampling Techniques", 6.3). It is
    never taken below that of independent episodes, p̃(1 − p̃) · Σ w² / (Σ w)², in which p̃ has half
    a success and half a failure more, so that it stays above 0 at 0 and 100 %. The effective number
    is p̃(1 − p̃) over the variance. Wilson's score interval then takes t with k − 1 degrees of
    freedom; of one cluster, which says nothing of others, it takes the normal quantile.

    Args:
        trials: The episodes.
        confidence: Coverage, in (0, 1).

    Raises:
        ResultsError: No episode has a weight, or a weight is negative.
    """
    check_confidence(confidence)
    trials = list(trials)
    if any(trial.weight < 0 for trial in trials):
        raise ResultsError("The weight of an episode is negative: give 0 or more.")
    total = sum(trial.weight for trial in trials)
    if total <= 0:
        raise ResultsError("There is no episode with a weight: there is no rate.")
    rate = sum(trial.weight for trial in trials if trial.success) / total
    alone = sum(trial.weight**2 for trial in trials) / total**2
    excess: dict[Hashable, float] = {}
    for trial in trials:
        excess.setdefault(trial.cluster, 0.0)
        excess[trial.cluster] += trial.weight * (trial.success - rate)
    count = len(excess)
    smoothed = (rate / alone + 0.5) / (1.0 / alone + 1.0)
    spread = smoothed * (1.0 - smoothed)
    variance = spread * alone
    if count > 1:
        between = count / (count - 1) * sum(value**2 for value in excess.values()) / total**2
        variance = max(variance, between)
        quantile = float(scipy.stats.t.ppf(0.5 + confidence / 2.0, count - 1))
    else:
        quantile = float(scipy.stats.norm.ppf(0.5 + confidence / 2.0))
    low, high = score_interval(rate, spread / variance, quantile)
    wins = sum(trial.success for trial in trials)
    low, high = min(low, rate), max(high, rate)  # at 0 and 1 they may be a rounding apart
    return ClusteredRate(rate, low, high, wins, len(trials), count)


def clustered_interval(trials: Iterable[Trial], confidence: float = 0.95) -> Interval:
    """Return the interval of ``clustered_rate`` alone."""
    clustered = clustered_rate(trials, confidence)
    return Interval(clustered.low, clustered.high)
