"""Rates, effects and verdicts of a study, from what its runs measured."""

from collections.abc import Mapping
from dataclasses import dataclass

from results.statistics.claims import ClaimTest, Verdict, seeds_to_decide, verdicts
from results.statistics.intervals import Interval
from results.statistics.seeds import (
    Effect,
    PooledSpread,
    SeedPairs,
    SeedRates,
    own_effect,
    paired_effect,
    pooled_effect,
    pooled_spread,
    seeds_interval,
)
from results.studies.measurements import Measurement
from results.studies.records import ClaimRecord, SideRecord, StudyRecord

Measurements = Mapping[tuple[str, int], Measurement]


@dataclass(frozen=True, kw_only=True)
class RateRow:
    """An arm's success rate at an execution horizon.

    Attributes:
        arm: Its name.
        exec_horizon: Control steps executed per plan.
        rates: Successes of each finished seed; None if there is none.
        interval: Of the rate over seeds; None without a finished seed.
        unfinished: Seeds that are not finished.
        predicates: How often each predicate of the goal was reached.
    """

    arm: str
    exec_horizon: int
    rates: SeedRates | None
    interval: Interval | None
    unfinished: tuple[int, ...]
    predicates: dict[str, SeedRates]


@dataclass(frozen=True, kw_only=True)
class EffectRow:
    """An arm's difference from the base at an execution horizon.

    Attributes:
        arm: Its name.
        exec_horizon: Control steps executed per plan.
        effect: With the spread between seeds pooled over all arms.
        own: Of the two arms' own seeds alone; None where one has a single seed.
        varies: Whether the arm's seeds differ more than pooling allows.
    """

    arm: str
    exec_horizon: int
    effect: Effect
    own: Effect | None
    varies: bool


@dataclass(frozen=True, kw_only=True)
class ClaimRow:
    """A claim and what became of it.

    Attributes:
        claim: The claim.
        verdict: Supported, refuted or undecided.
        effect: B's rate less A's; None where a side has too few finished seeds.
        p_value: The smaller of the claim's p-values after Holm's correction; None as ``effect``.
        seeds: Seeds of the smaller side.
        episodes: Episodes of each seed.
        needed: Seeds with which it would be decided, if the estimate is true; None where it is
            decided, unknown, or beyond ``results.statistics.claims.MOST_SEEDS``.
        paired: Whether both sides are the same checkpoints.
        why: Why there is no verdict; empty otherwise.
    """

    claim: ClaimRecord
    verdict: Verdict
    effect: Effect | None = None
    p_value: float | None = None
    seeds: int = 0
    episodes: int = 0
    needed: int | None = None
    paired: bool = False
    why: str = ""


def rate_rows(study: StudyRecord, measured: Measurements) -> list[RateRow]:
    """Return the rates of all arms at all of their horizons."""
    rows = []
    for arm in study.arms:
        for horizon in arm.exec_horizons:
            measurement = measured[arm.name, horizon]
            rates = measurement.rates()
            rows.append(
                RateRow(
                    arm=arm.name,
                    exec_horizon=horizon,
                    rates=rates,
                    interval=None if rates is None else seeds_interval(rates),
                    unfinished=measurement.unfinished,
                    predicates=measurement.predicates(),
                )
            )
    return rows


def effect_rows(study: StudyRecord, measured: Measurements) -> list[EffectRow]:
    """Return the differences of all arms from the base, where both are finished."""
    base = study.arms[0]
    rows = []
    for horizon in base.exec_horizons:
        spread, reference = _spread(measured, horizon), measured[base.name, horizon].rates()
        if spread is None or reference is None:
            continue
        for arm in study.arms[1:]:
            measurement = measured.get((arm.name, horizon))
            rates = None if measurement is None else measurement.rates()
            if rates is not None:
                rows.append(
                    EffectRow(
                        arm=arm.name,
                        exec_horizon=horizon,
                        effect=pooled_effect(reference, rates, spread),
                        own=own_effect(reference, rates),
                        varies=spread.is_exceeded_by(rates),
                    )
                )
    return rows


def claim_rows(study: StudyRecord, measured: Measurements) -> list[ClaimRow]:
    """Return the verdicts on all claims; those that cannot be tested yet do not count for Holm."""
    tested: list[tuple[ClaimRecord, ClaimTest, int, int]] = []
    rows: dict[str, ClaimRow] = {}
    for claim in study.claims:
        test, seeds, episodes, why = _test(claim, measured)
        if test is None:
            rows[claim.name] = ClaimRow(claim=claim, verdict="undecided", why=why)
        else:
            tested.append((claim, test, seeds, episodes))
            rows[claim.name] = ClaimRow(claim=claim, verdict="undecided")
    decided = verdicts([test for _, test, _, _ in tested])
    for (claim, test, seeds, episodes), (verdict, p) in zip(tested, decided, strict=True):
        paired = claim.a.arm == claim.b.arm
        needed = None
        if verdict == "undecided":
            pool = _arms(measured, claim.b.exec_horizon)
            needed = seeds_to_decide(test, seeds, pool, len(study.claims))
        rows[claim.name] = ClaimRow(
            claim=claim,
            verdict=verdict,
            effect=test.effect,
            p_value=p,
            seeds=seeds,
            episodes=episodes,
            needed=needed,
            paired=paired,
            why="an arm's seeds differ more than pooling allows" if test.needs_seeds else "",
        )
    return [rows[claim.name] for claim in study.claims]


def _test(claim: ClaimRecord, measured: Measurements) -> tuple[ClaimTest | None, int, int, str]:
    """Return the test of a claim, its seeds and episodes, or why there is none."""
    if claim.a.arm == claim.b.arm:
        return _paired_test(claim, measured)
    a, b = (measured[side.arm, side.exec_horizon] for side in (claim.a, claim.b))
    rates = a.rates(), b.rates()
    if rates[0] is None or rates[1] is None:
        lacking: SideRecord = claim.a if rates[0] is None else claim.b
        return None, 0, 0, f"no seed of {lacking} is finished"
    spreads = [_spread(measured, side.exec_horizon) for side in (claim.a, claim.b)]
    known = [spread for spread in spreads if spread is not None]
    if not known:
        return None, 0, 0, "no arm has two finished seeds"
    spread = PooledSpread(
        factor=max(each.factor for each in known), freedom=min(each.freedom for each in known)
    )
    test = ClaimTest(
        effect=pooled_effect(*rates, spread),  # type: ignore[arg-type]
        smallest=claim.smallest,
        needs_seeds=any(spread.is_exceeded_by(each) for each in rates if each is not None),
    )
    return test, min(rates[0].seeds, rates[1].seeds), rates[0].episodes, ""


def _paired_test(
    claim: ClaimRecord, measured: Measurements
) -> tuple[ClaimTest | None, int, int, str]:
    """Test a claim within checkpoints; the spread is pooled over all arms with both horizons."""
    horizons = claim.a.exec_horizon, claim.b.exec_horizon
    pairs = _pairs(measured, claim.a.arm, *horizons)
    if pairs is None:
        return None, 0, 0, f"no seed of {claim.a.arm} is finished at both horizons"
    arms = dict.fromkeys(arm for arm, _ in measured)
    pool = [each for arm in arms if (each := _pairs(measured, arm, *horizons)) is not None]
    if not any(each.seeds > 1 for each in pool):
        return None, 0, 0, "no arm has two finished seeds at both horizons"
    spread = pooled_spread(pool)
    test = ClaimTest(
        effect=paired_effect(pairs, spread),
        smallest=claim.smallest,
        needs_seeds=spread.is_exceeded_by(pairs),
    )
    return test, pairs.seeds, pairs.episodes, ""


def _pairs(measured: Measurements, arm: str, a: int, b: int) -> SeedPairs | None:
    """Return an arm's outcomes at two horizons on the episodes that all of its runs share."""
    sides = measured.get((arm, a)), measured.get((arm, b))
    if sides[0] is None or sides[1] is None:
        return None
    seeds = [seed for seed in sides[0].seeds if seed in sides[1].episodes]
    if not seeds:
        return None
    keys = sorted(set(sides[0].keys) & set(sides[1].keys))
    if not keys:
        return None
    wins, losses = [], []
    for seed in seeds:
        outcomes = [
            tuple(side.episodes[seed][key].outcome == "success" for side in sides if side)
            for key in keys
        ]
        wins.append(outcomes.count((False, True)))
        losses.append(outcomes.count((True, False)))
    return SeedPairs(tuple(wins), tuple(losses), len(keys))


def _spread(measured: Measurements, horizon: int) -> PooledSpread | None:
    rates = [each.rates() for (_, h), each in measured.items() if h == horizon]
    known = [each for each in rates if each is not None]
    return pooled_spread(known) if any(each.seeds > 1 for each in known) else None


def _arms(measured: Measurements, horizon: int) -> int:
    return sum(h == horizon and bool(each.episodes) for (_, h), each in measured.items())
