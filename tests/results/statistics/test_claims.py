"""Verdicts on claims, their power, and how many seeds decide."""

import numpy as np
import pytest
from scipy.stats import norm

from results.statistics.claims import (
    ClaimTest,
    detectable_effect,
    seeds_to_decide,
    verdicts,
)
from results.statistics.seeds import Effect, PooledSpread, pooled_effect, pooled_spread
from tasks.errors import ResultsError
from tests.results.statistics.test_seeds import drawn


def claim(estimate: float, error: float, smallest: float = 0.1, freedom: int = 40) -> ClaimTest:
    return ClaimTest(
        effect=Effect(estimate=estimate, error=error, freedom=freedom), smallest=smallest
    )


@pytest.mark.parametrize(
    ("estimate", "error", "smallest", "verdict"),
    [
        (0.30, 0.04, 0.1, "supported"),
        (0.30, 0.20, 0.1, "undecided"),
        (-0.20, 0.04, 0.1, "refuted"),
        (0.00, 0.02, 0.1, "refuted"),
        (0.06, 0.01, 0.1, "refuted"),  # there is an effect, and it is too small to matter
        (0.09, 0.01, 0.1, "undecided"),  # there is one, and it may or may not matter
        (-0.30, 0.04, -0.1, "supported"),
        (0.30, 0.04, -0.1, "refuted"),
    ],
)
def test_verdicts(estimate: float, error: float, smallest: float, verdict: str) -> None:
    ((given, _),) = verdicts([claim(estimate, error, smallest)])
    assert given == verdict


def test_claims_share_the_level() -> None:
    alone = claim(0.2, 0.08)
    assert verdicts([alone])[0][0] == "supported"
    together = verdicts([alone, *[claim(0.05, 0.2)] * 7])
    assert together[0] == ("undecided", pytest.approx(8 * verdicts([alone])[0][1]))


def test_an_arm_that_varies_too_much_decides_nothing() -> None:
    sure = claim(0.5, 0.02)
    wild = ClaimTest(effect=sure.effect, smallest=sure.smallest, needs_seeds=True)
    assert [verdict for verdict, _ in verdicts([sure, wild])] == ["supported", "undecided"]


def test_false_verdicts_are_rare() -> None:
    """No effect where one is claimed: no support; just the smallest effect: no refutation."""
    rng = np.random.default_rng(1)
    supported = refuted = 0
    for _ in range(300):
        arms = [drawn(rng, rate, 0.08, 5, 50) for rate in (0.4, 0.4, 0.5, *[0.4] * 3)]
        spread = pooled_spread(arms)
        none, some = (pooled_effect(arms[0], arm, spread) for arm in arms[1:3])
        tests = [ClaimTest(effect=effect, smallest=0.1) for effect in (none, some)]
        first, second = (verdict for verdict, _ in verdicts(tests))
        supported += first == "supported"
        refuted += second == "refuted"
    assert supported <= 15
    assert refuted <= 15


def test_more_seeds_decide() -> None:
    unsure = claim(0.2, 0.08, freedom=8)
    needed = seeds_to_decide(unsure, seeds=3, arms=40, claims=8)
    assert needed is not None
    assert 3 < needed < 20
    # With an error that is known, 3 (z + z)² SE² / d² seeds have the power.
    z = norm.ppf(1 - 0.05 / 8 / 2) + norm.ppf(0.8)
    assert needed == pytest.approx(3 * (z * 0.08 / 0.2) ** 2, rel=0.25)
    assert seeds_to_decide(claim(0.099, 0.08), seeds=3, arms=4, claims=8) is None


def test_the_detectable_effect_is_the_one_that_is_detected() -> None:
    spread = PooledSpread(factor=2.0, freedom=36)
    effect = detectable_effect(0.3, seeds=5, episodes=50, spread=spread, claims=8)
    assert effect is not None
    variance = 2.0 * (0.3 * 0.7 + (0.3 + effect) * (0.7 - effect)) / 250
    z = norm.ppf(1 - 0.05 / 8 / 2) + norm.ppf(0.8)
    assert effect == pytest.approx(z * variance**0.5, rel=0.08)
    assert detectable_effect(0.95, seeds=3, episodes=10, spread=spread, claims=8) is None


def test_a_claim_names_an_effect() -> None:
    for smallest in (0.0, 1.5):
        with pytest.raises(ResultsError, match="smallest effect"):
            claim(0.1, 0.1, smallest)
