"""Verdicts on claims about effects: supported, refuted or undecided, after Holm's correction.

A claim says that B's success rate exceeds A's by at least a smallest effect that would matter. It
is supported where the data show a difference in its direction and the estimate reaches the smallest
effect, and refuted where they show that the difference is smaller than that. Everything else is
undecided, which is no evidence for either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign, sqrt
from typing import Literal

import scipy  # its parts are imported when they are used

from results.statistics.power import ALPHA, POWER
from results.statistics.seeds import Effect, PooledSpread
from results.statistics.significance import holm
from tasks.errors import ResultsError

Verdict = Literal["supported", "refuted", "undecided"]

MOST_SEEDS = 100
"""Beyond so many seeds, nobody is told to train more."""


@dataclass(frozen=True, kw_only=True)
class ClaimTest:
    """A claim with what was measured.

    Attributes:
        effect: The difference.
        smallest: The smallest effect that matters, in [−1, 1] without 0; its sign is the claim's
            direction.
        needs_seeds: Whether an arm varies too much for the pooled error, so nothing is decided.
    """

    effect: Effect
    smallest: float
    needs_seeds: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < abs(self.smallest) <= 1.0:
            raise ResultsError(
                f"smallest effect {self.smallest}: give one in [-1, 1] that is not 0."
            )

    @property
    def directed(self) -> Effect:
        """The effect in the claim's direction: positive where it is as claimed."""
        sign = copysign(1.0, self.smallest)
        return Effect(
            estimate=sign * self.effect.estimate,
            error=self.effect.error,
            freedom=self.effect.freedom,
        )

    @property
    def p_values(self) -> tuple[float, float]:
        """One-sided p-values: of no effect, and of one that is at least the smallest."""
        directed = self.directed
        return directed.p_above(0.0), directed.p_below(abs(self.smallest))


def verdicts(claims: Sequence[ClaimTest], alpha: float = ALPHA) -> list[tuple[Verdict, float]]:
    """Return the verdict on each claim, and the smaller of its p-values after correction.

    Each claim is tested in two ways, against no effect and against the smallest one; all tests of
    all claims are one family of Holm's.
    """
    adjusted = holm([p for claim in claims for p in claim.p_values])
    pairs = zip(adjusted[::2], adjusted[1::2], strict=True)
    return [
        (_verdict(claim, none <= alpha, smaller <= alpha), min(none, smaller))
        for claim, (none, smaller) in zip(claims, pairs, strict=True)
    ]


def _verdict(claim: ClaimTest, is_some: bool, is_smaller: bool) -> Verdict:
    """Return the verdict where an effect is shown, or one below the smallest is."""
    if claim.needs_seeds:
        return "undecided"
    if is_smaller:
        return "refuted"
    reaches = claim.directed.estimate >= abs(claim.smallest)
    return "supported" if is_some and reaches else "undecided"


def seeds_to_decide(
    claim: ClaimTest, seeds: int, arms: int, claims: int, alpha: float = ALPHA
) -> int | None:
    """Return the seeds per arm with which the claim would be decided if the estimate is true.

    Args:
        claim: What was measured.
        seeds: Seeds per arm that it rests on.
        arms: Arms over which the error is pooled.
        claims: Claims that share the level, in Holm's first step.
        alpha: Level of the whole study.

    Returns:
        The smallest number with power ``POWER``; None where ``MOST_SEEDS`` do not do, as where the
        estimate lies in the middle between nothing and the smallest effect.
    """
    estimate, smallest = claim.directed.estimate, abs(claim.smallest)
    for k in range(max(seeds, 2), MOST_SEEDS + 1):
        error = claim.effect.error * sqrt(seeds / k)
        freedom = arms * (k - 1)
        supported = power_of_seeds(estimate, error, freedom, alpha / claims)
        refuted = power_of_seeds(smallest - estimate, error, freedom, alpha / claims)
        reaches = supported if estimate >= smallest else 0.0
        if max(reaches, refuted) >= POWER:
            return k
    return None


def power_of_seeds(effect: float, error: float, freedom: float, alpha: float) -> float:
    """Return the probability that a claim's test is significant, in one direction.

    Args:
        effect: Distance from the bound that is tested.
        error: Standard error.
        freedom: Degrees of freedom.
        alpha: Level of the two-sided test.
    """
    critical = float(scipy.stats.t.ppf(1.0 - alpha / 2.0, freedom))
    return float(scipy.stats.nct.sf(critical, freedom, effect / error))


def detectable_effect(
    rate: float,
    *,
    seeds: int,
    episodes: int,
    spread: PooledSpread,
    claims: int,
    alpha: float = ALPHA,
) -> float | None:
    """Return the smallest rise over a base rate that a study would show, after Holm's first step.

    Args:
        rate: Success rate of the base, in [0, 1).
        seeds: Seeds per arm.
        episodes: Episodes per seed.
        spread: How seeds vary: assumed before a study, pooled after a pilot.
        claims: Claims that share the level.
        alpha: Level of the whole study.

    Returns:
        A difference in (0, 1 − rate]; None where not even a perfect arm would be told apart.
    """

    def lacking(effect: float) -> float:
        other = rate + effect
        variance = (rate * (1 - rate) + other * (1 - other)) / (seeds * episodes)
        least = 1.0 / (seeds * episodes) ** 2  # rates of 0 and 1 vary too
        error = sqrt(spread.factor * max(variance, least))
        return POWER - power_of_seeds(effect, error, spread.freedom, alpha / claims)

    if lacking(1.0 - rate) > 0:
        return None
    return float(scipy.optimize.brentq(lacking, 1e-6, 1.0 - rate, xtol=1e-4))
