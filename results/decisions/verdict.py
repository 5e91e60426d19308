"""What a sequential comparison says: pairs in their order, until every contrast is decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, isfinite
from typing import Literal, NamedTuple

from results.decisions.order import ShuffledOrder
from results.records import EpisodeKey, Outcome
from results.statistics.intervals import Interval
from results.statistics.power import ALPHA
from results.statistics.sequential import (
    anytime_p,
    check_alpha,
    confidence_sequence,
    lies_within,
    log_e_value,
)
from results.statistics.significance import PairCounts, holm
from tasks.errors import ResultsError

Verdict = Literal["A is better", "B is better", "no difference that matters", "undecided"]

ArmOutcomes = Mapping[EpisodeKey, Outcome]
"""What became of the episodes that an arm has run."""


@dataclass(frozen=True, kw_only=True)
class StoppingRule:
    """When a comparison stops.

    Attributes:
        alpha: Bound of the probability of any wrong difference, over all contrasts.
        margin: Difference of the rates that does not matter, in (0, 1]; None to look for any.
        most_pairs: Episodes of each arm at most; None for all.
    """

    alpha: float = ALPHA
    margin: float | None = None
    most_pairs: int | None = None

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        if self.margin is not None and not 0.0 < self.margin <= 1.0:
            raise ResultsError(f"margin is {self.margin}: give one above 0 and up to 1.")
        if self.most_pairs is not None and self.most_pairs < 1:
            raise ResultsError(f"{self.most_pairs} pairs at most: give 1 or more.")


@dataclass(frozen=True, kw_only=True)
class SequentialContrast:
    """Two arms, as far as their pairs have been looked at.

    Attributes:
        a: Position of the one arm.
        b: Position of the other.
        counts: The pairs that count, by who succeeded.
        errors: Pairs left out because an episode of either arm broke.
        log_e: Logarithm of the e-value after the last pair.
        p: Anytime-valid p-value.
        adjusted: The same after Holm's correction for all contrasts.
        interval: Anytime-valid interval of B's rate less A's, of all contrasts together.
        verdict: What is decided.
    """

    a: int
    b: int
    counts: PairCounts
    errors: int
    log_e: float
    p: float
    adjusted: float
    interval: Interval
    verdict: Verdict

    @property
    def e_value(self) -> float:
        """The e-value; infinite beyond what a float holds."""
        return exp(self.log_e) if self.log_e < 700 else float("inf")

    def as_dict(self) -> dict[str, object]:
        """Return the contrast as plain data."""
        return {
            "a": self.a,
            "b": self.b,
            "pairs": self.counts.episodes,
            **self.counts._asdict(),
            "errors": self.errors,
            "e_value": self.e_value if isfinite(self.e_value) else None,
            "log_e_value": self.log_e,
            "p_anytime": self.p,
            "p_holm": self.adjusted,
            "difference": self.counts.difference,
            "low": self.interval.low,
            "high": self.interval.high,
            "verdict": self.verdict,
        }


class Judgement(NamedTuple):
    """What the outcomes say.

    Attributes:
        contrasts: Every two arms.
        looked_at: Episodes of the order that were looked at.
        needed: Arms that the next episode is needed of; none if the comparison is over.
    """

    contrasts: tuple[SequentialContrast, ...]
    looked_at: int
    needed: tuple[int, ...]

    @property
    def decided(self) -> bool:
        """Whether every contrast is decided."""
        return all(contrast.verdict != "undecided" for contrast in self.contrasts)


class _Contrast:
    """Two arms while pairs are looked at."""

    def __init__(self, a: int, b: int) -> None:
        self.a, self.b = a, b
        self.counts = [0, 0, 0, 0]  # in the order of PairCounts
        self.errors = 0
        self.log_e = self.largest = 0.0
        self.verdict: Verdict = "undecided"

    @property
    def pairs(self) -> PairCounts:
        return PairCounts(*self.counts)

    def look(self, a: Outcome, b: Outcome) -> None:
        if "error" in (a, b):
            self.errors += 1
            return
        self.counts[2 * (a != "success") + (b != "success")] += 1
        pairs = self.pairs
        self.log_e = log_e_value(pairs.only_a, pairs.only_b)
        self.largest = max(self.largest, self.log_e)


def judge(
    arms: Sequence[ArmOutcomes], order: ShuffledOrder, rule: StoppingRule = StoppingRule()
) -> Judgement:
    """Look at pairs in their order, until all is decided or an episode is missing.

    It does not matter in which order episodes were run, nor what else was run: the judgement
    depends on the outcomes in the order alone. Several contrasts are Holm-corrected; the margin
    and the intervals are Bonferroni-corrected. An arm all of whose contrasts are decided is needed
    no more.

    Args:
        arms: Outcomes of two or more arms.
        order: The order; see ``ShuffledOrder``.
        rule: When to stop.

    Raises:
        ResultsError: There are fewer than two arms.
    """
    if len(arms) < 2:
        raise ResultsError(f"{len(arms)} arm given: give two or more.")
    contrasts = [_Contrast(a, b) for a, b in combinations(range(len(arms)), 2)]
    level = rule.alpha / len(contrasts)
    most = len(order) if rule.most_pairs is None else min(rule.most_pairs, len(order))
    looked_at, needed = 0, _undecided_arms(contrasts)
    for key in order[:most]:
        if not needed or any(key not in arms[arm] for arm in needed):
            break
        for contrast in contrasts:
            if contrast.verdict == "undecided":
                contrast.look(arms[contrast.a][key], arms[contrast.b][key])
        looked_at += 1
        _decide(contrasts, rule, level)
        needed = _undecided_arms(contrasts)
    if looked_at == most:
        needed = ()
    adjusted = holm([anytime_p(contrast.largest) for contrast in contrasts])
    return Judgement(
        tuple(
            SequentialContrast(
                a=contrast.a,
                b=contrast.b,
                counts=contrast.pairs,
                errors=contrast.errors,
                log_e=contrast.log_e,
                p=anytime_p(contrast.largest),
                adjusted=p,
                interval=confidence_sequence(contrast.pairs, level),
                verdict=contrast.verdict,
            )
            for contrast, p in zip(contrasts, adjusted, strict=True)
        ),
        looked_at,
        needed,
    )


def _decide(contrasts: Sequence[_Contrast], rule: StoppingRule, level: float) -> None:
    """Note which contrasts are decided by now; a verdict is never taken back."""
    adjusted = holm([anytime_p(contrast.largest) for contrast in contrasts])
    for contrast, p in zip(contrasts, adjusted, strict=True):
        if contrast.verdict != "undecided":
            continue
        pairs = contrast.pairs
        if p <= rule.alpha:
            contrast.verdict = "B is better" if pairs.only_b > pairs.only_a else "A is better"
        elif rule.margin is not None and lies_within(pairs, rule.margin, level):
            contrast.verdict = "no difference that matters"


def _undecided_arms(contrasts: Sequence[_Contrast]) -> tuple[int, ...]:
    left = [contrast for contrast in contrasts if contrast.verdict == "undecided"]
    return tuple(sorted({arm for contrast in left for arm in (contrast.a, contrast.b)}))
