"""Verdicts from outcomes in an order: when they fall, and what they do not depend on."""

import math
import random
from collections import Counter

import pytest

from results.decisions.order import ShuffledOrder
from results.decisions.verdict import StoppingRule, judge
from results.records import EpisodeKey, Outcome
from results.statistics.sequential import log_e_value
from tasks.errors import ResultsError

KEYS = [EpisodeKey("libero_goal", task, state, 7) for task in range(10) for state in range(50)]
ORDER = ShuffledOrder(KEYS, seed=3)


def arm(rate: float, seed: int, keys: list[EpisodeKey] = KEYS) -> dict[EpisodeKey, Outcome]:
    rng = random.Random(seed)
    return {key: "success" if rng.random() < rate else "failure" for key in keys}


def test_the_order_is_of_all_tasks_and_of_the_seed_alone() -> None:
    assert sorted(ORDER) == sorted(KEYS)
    assert list(ShuffledOrder(reversed(KEYS), seed=3)) == list(ORDER)
    assert list(ShuffledOrder(KEYS, seed=4)) != list(ORDER)
    # Never task by task: every stretch of 50 has most of the ten tasks.
    for start in range(0, 500, 50):
        tasks = Counter(key.task for key in ORDER[start : start + 50])
        assert len(tasks) >= 8
        assert max(tasks.values()) <= 15
    some = [key for key in KEYS if key.init_state < 20]
    assert list(ShuffledOrder(some, seed=3)) == [key for key in ORDER if key in set(some)]


def test_it_stops_at_the_first_pair_that_decides() -> None:
    a, b = arm(0.3, 1), arm(0.8, 2)
    judgement = judge([a, b], ORDER)
    (contrast,) = judgement.contrasts
    assert (contrast.verdict, judgement.needed, judgement.decided) == ("B is better", (), True)
    assert 8 <= judgement.looked_at < 100
    only_a = only_b = 0
    for key in ORDER:
        only_b += (b[key] == "success") > (a[key] == "success")
        only_a += (b[key] == "success") < (a[key] == "success")
        if log_e_value(only_a, only_b) >= math.log(20):
            break
    assert ORDER[judgement.looked_at - 1] == key
    assert (contrast.counts.only_b, contrast.counts.only_a) == (only_b, only_a)
    assert contrast.p == pytest.approx(math.exp(-log_e_value(only_a, only_b)))
    assert contrast.interval.low > 0
    assert judge([b, a], ORDER).contrasts[0].verdict == "A is better"


def test_outcomes_beyond_the_stop_and_the_order_of_running_do_not_matter() -> None:
    a, b = arm(0.3, 1), arm(0.8, 2)
    whole = judge([a, b], ORDER)
    enough = set(ORDER[: whole.looked_at])
    some_a = {key: a[key] for key in reversed(KEYS) if key in enough}
    some_b = {key: b[key] for key in KEYS if key in enough}
    assert judge([some_a, some_b], ORDER) == whole
    late = {**b, **{key: "failure" for key in KEYS if key not in enough}}
    assert judge([a, late], ORDER) == whole


def test_a_missing_episode_stops_the_looking_not_the_comparison() -> None:
    a, b = arm(0.5, 1), arm(0.52, 2)
    gap = ORDER[10]
    del b[gap]
    judgement = judge([a, b], ORDER)
    assert (judgement.looked_at, judgement.needed) == (10, (0, 1))
    assert judge([a, {}], ORDER).looked_at == 0


def test_broken_episodes_are_left_out_as_pairs() -> None:
    a, b = arm(0.5, 1), arm(0.5, 1)
    for key in ORDER[:30:3]:
        b[key] = "error"
    for key in ORDER[1:30:3]:
        a[key] = "error"
    (contrast,) = judge([a, b], ORDER, StoppingRule(most_pairs=30)).contrasts
    assert (contrast.errors, contrast.counts.episodes) == (20, 10)
    assert contrast.counts.flipped == 0


def test_equal_arms_run_to_the_end_or_to_the_margin() -> None:
    a, b = arm(0.95, 1), arm(0.95, 1)
    judgement = judge([a, b], ORDER)
    assert (judgement.looked_at, judgement.needed) == (500, ())
    assert judgement.contrasts[0].verdict == "undecided"
    assert not judgement.decided
    early = judge([a, b], ORDER, StoppingRule(margin=0.1))
    assert early.contrasts[0].verdict == "no difference that matters"
    assert early.looked_at < 150
    assert early.contrasts[0].interval.high <= 0.1
    assert judge([a, b], ORDER, StoppingRule(most_pairs=40)).looked_at == 40


def test_several_arms_are_corrected_and_those_that_are_decided_drop_out() -> None:
    arms = [arm(0.9, 1), arm(0.9, 2), arm(0.1, 3)]
    judgement = judge(arms, ORDER)
    verdicts = {(c.a, c.b): c for c in judgement.contrasts}
    assert verdicts[0, 2].verdict == verdicts[1, 2].verdict == "A is better"
    assert verdicts[0, 1].verdict == "undecided"
    # The worst arm is needed for a few pairs only.
    assert verdicts[0, 2].counts.episodes < 60 < verdicts[0, 1].counts.episodes
    last = max(verdicts[0, 2].counts.episodes, verdicts[1, 2].counts.episodes)
    short = {key: arms[2][key] for key in ORDER[:last]}
    assert judge([*arms[:2], short], ORDER) == judgement
    # Correction takes more pairs than the contrast alone.
    alone = judge([arms[0], arms[2]], ORDER).looked_at
    assert min(verdicts[0, 2].counts.episodes, verdicts[1, 2].counts.episodes) >= alone
    assert verdicts[0, 2].adjusted >= verdicts[0, 2].p


def test_any_wrong_difference_among_several_equal_arms_is_rare() -> None:
    order = ShuffledOrder(KEYS[:80], seed=0)
    wrong = 0
    for trial in range(60):
        arms = [arm(0.6, 10 * trial + k, KEYS[:80]) for k in range(3)]
        contrasts = judge(arms, order).contrasts
        wrong += any(contrast.verdict != "undecided" for contrast in contrasts)
    assert wrong <= 6  # 5 % of 60 and two standard errors


def test_rules_that_make_no_sense_are_refused() -> None:
    for rule in ({"alpha": 0.0}, {"margin": 0.0}, {"margin": 5.0}, {"most_pairs": 0}):
        with pytest.raises(ResultsError, match="give"):
            StoppingRule(**rule)  # type: ignore[arg-type]
    with pytest.raises(ResultsError, match="two or more"):
        judge([{}], ORDER)
