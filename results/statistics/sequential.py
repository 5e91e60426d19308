"""A test of two runs on the same episodes that may be looked at after every pair.

Only pairs that end differently count: under the null hypothesis each of them is won by either run
with probability ½. The e-value is what a gambler has who starts with 1 and bets on B's share of the
wins under a uniform prior; whatever the moment at which one stops, the probability that it ever
reaches 1/α under the null hypothesis is at most α (Ville 1939). The confidence sequence for the
difference holds at all times alike, and leaves out 0 exactly if the e-value is at least 1/α.

Sources: Robbins 1970; Ramdas et al. 2023, "Game-theoretic statistics and safe anytime-valid
inference"; Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting".
"""

from functools import cache
from math import exp, log

import numpy as np
import scipy  # its parts are imported when they are used
from numpy.typing import NDArray

from results.statistics.intervals import Interval
from results.statistics.power import ALPHA
from results.statistics.significance import PairCounts
from tasks.errors import ResultsError

FloatArray = NDArray[np.float64]

_NODES = 160
"""Nodes of the integral over bets; more change no digit that is shown."""

_PRECISION = 1e-6
_EDGE = 1e-9
"""Differences of 1 and −1 themselves leave no bet."""


def log_e_value(only_a: int, only_b: int) -> float:
    """Return the logarithm of the e-value: log 2^(w+l)·B(w + 1, l + 1).

    Args:
        only_a: l, pairs that only A won.
        only_b: w, pairs that only B won.

    Raises:
        ResultsError: A number is negative.
    """
    if only_a < 0 or only_b < 0:
        raise ResultsError(f"{only_a} and {only_b} won pairs: give numbers from 0.")
    beta = scipy.special.betaln(only_b + 1, only_a + 1)
    return float((only_a + only_b) * log(2.0) + beta)


def anytime_p(largest_log_e: float) -> float:
    """Return the p-value that holds at any stopping time: min(1, 1/max E).

    Args:
        largest_log_e: The largest logarithm of the e-value so far.
    """
    return min(1.0, exp(-largest_log_e))


def log_wealth(counts: PairCounts, difference: float) -> float:
    """Return the logarithm of the wealth from bets against a difference of the rates.

    W(m) = ∫₀¹ (1 + λ(1 − m))^w (1 − λ(1 + m))^l (1 − λm)^t du with
    λ = −1/(1 − m) + u·(1/(1 + m) + 1/(1 − m)), for w pairs that only B won, l that only A won and
    t ties.

    Args:
        counts: The pairs so far.
        difference: m, B's rate less A's, in (−1, 1).
    """
    m = min(max(difference, -1.0 + _EDGE), 1.0 - _EDGE)
    u, share = _nodes()
    bets = -1.0 / (1.0 - m) + u * (1.0 / (1.0 + m) + 1.0 / (1.0 - m))
    ties = counts.both + counts.neither
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(share)
        for count, factor in (
            (counts.only_b, 1.0 + bets * (1.0 - m)),
            (counts.only_a, 1.0 - bets * (1.0 + m)),
            (ties, 1.0 - bets * m),
        ):
            if count:
                logs = logs + count * np.log(np.maximum(factor, 0.0))
    return float(scipy.special.logsumexp(logs))


@cache
def _nodes() -> tuple[FloatArray, FloatArray]:
    """Return the nodes of Gauss and Legendre on (0, 1) and the weight of each."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return (nodes + 1.0) / 2.0, weights / 2.0


def confidence_sequence(counts: PairCounts, alpha: float = ALPHA) -> Interval:
    """Return the interval of B's rate less A's that holds at every stopping time, all together.

    It holds the differences m with W(m) < 1/α; see ``log_wealth``. Without a pair it is (−1, 1).

    Args:
        counts: The pairs so far.
        alpha: One less the coverage, in (0, 1).
    """
    check_alpha(alpha)
    if not counts.episodes:
        return Interval(-1.0, 1.0)
    limit, middle = -log(alpha), counts.difference

    def end(outer: float) -> float:
        if log_wealth(counts, outer) < limit:
            return outer
        inner = middle
        while abs(outer - inner) > _PRECISION:
            between = (outer + inner) / 2.0
            if log_wealth(counts, between) < limit:
                inner = between
            else:
                outer = between
        return inner

    return Interval(end(-1.0), end(1.0))


def lies_within(counts: PairCounts, margin: float, alpha: float = ALPHA) -> bool:
    """Return whether the confidence sequence lies within ±``margin``."""
    limit = -log(alpha)
    return abs(counts.difference) < margin and all(
        log_wealth(counts, end) >= limit for end in (-margin, margin)
    )


def check_alpha(alpha: float) -> None:
    """Refuse a level that is none.

    Raises:
        ResultsError: It is not between 0 and 1.
    """
    if not 0.0 < alpha < 1.0:
        raise ResultsError(f"alpha is {alpha}: give a number between 0 and 1, such as 0.05.")
