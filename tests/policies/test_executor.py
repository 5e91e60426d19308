"""The plan executor against a formula that knows all plans at once."""

import numpy as np
import pytest

from policies.executor import PlanExecutor
from policies.fusion import FUSIONS, parse_fusion
from tasks.errors import ConfigError, SpecMismatchError
from tasks.observation import FloatArray


def plans(count: int, horizon: int, seed: int = 0) -> list[FloatArray]:
    rng = np.random.default_rng(seed)
    return list(rng.uniform(-1, 1, (count, horizon, 7)))


def spoken(all_plans: list[FloatArray], every: int, step: int) -> list[FloatArray]:
    """What each plan says about a step, oldest first."""
    said = [(plan, step - number * every) for number, plan in enumerate(all_plans)]
    return [plan[row] for plan, row in said if 0 <= row < len(plan)]


def mean_by_hand(said: list[FloatArray]) -> FloatArray:
    return sum(said) / len(said)


def ema_by_hand(said: list[FloatArray]) -> FloatArray:
    """α·new + (1−α)·old, plan after plan as they come."""
    fused = said[0]
    for new in said[1:]:
        fused = 0.3 * new + 0.7 * fused
    return fused


def adaptive_by_hand(said: list[FloatArray]) -> FloatArray:
    """CogACT's weights, over the three latest plans."""
    latest, new = said[-3:], said[-1]
    weights = []
    for old in latest:
        cosine = sum(a * b for a, b in zip(old, new, strict=True))
        cosine /= sum(a * a for a in old) ** 0.5 * sum(b * b for b in new) ** 0.5
        weights.append(np.exp(2.0 * cosine))
    return sum(w * old for w, old in zip(weights, latest, strict=True)) / sum(weights)


BY_HAND = {
    "none": lambda said: said[-1],
    "newest": lambda said: said[-1],
    "mean": mean_by_hand,
    "ema:alpha=0.3": ema_by_hand,
    "adaptive:alpha=2,plans=3": adaptive_by_hand,
}


@pytest.mark.parametrize("fusion", list(BY_HAND))
@pytest.mark.parametrize(("horizon", "every"), [(8, 1), (8, 3), (8, 4), (8, 8), (1, 1), (64, 16)])
def test_overlapping_plans_are_fused_as_by_hand(fusion: str, horizon: int, every: int) -> None:
    given = plans(12, horizon)
    executor = PlanExecutor(horizon, every, parse_fusion(fusion))
    executed = np.concatenate([executor.add(plan) for plan in given])
    for step, action in enumerate(executed):
        said = spoken(given, every, step)
        np.testing.assert_allclose(action[:6], BY_HAND[fusion](said)[:6], atol=1e-14)
        assert action[6] == said[-1][6]


def test_newest_and_none_are_the_same_by_construction() -> None:
    for horizon, every in [(16, 1), (16, 5), (16, 16)]:
        given = plans(9, horizon)
        rules = map(parse_fusion, ("none", "newest"))
        none, newest = (PlanExecutor(horizon, every, rule) for rule in rules)
        for plan in given:
            np.testing.assert_array_equal(none.add(plan), newest.add(plan))


def act_by_hand(all_plans: list[FloatArray], every: int, step: int) -> FloatArray:
    """ACT's weighted mean of everything ever said about a step, gripper from the last to speak."""
    total, weight_sum, i, gripper = np.zeros(7), 0.0, 0, 0.0
    for number, plan in enumerate(all_plans):
        row = step - number * every
        if not 0 <= row < len(plan):
            continue
        weight = np.exp(-0.01 * i)
        total, weight_sum, i, gripper = (
            total + weight * plan[row],
            weight_sum + weight,
            i + 1,
            plan[row, 6],
        )
    result = total / weight_sum
    result[6] = gripper
    return result


@pytest.mark.parametrize(("horizon", "every"), [(8, 1), (8, 3), (8, 4), (8, 8), (1, 1), (64, 16)])
def test_act_is_the_weighted_mean_over_all_plans(horizon: int, every: int) -> None:
    given = plans(12, horizon)
    executor = PlanExecutor(horizon, every, parse_fusion("act"))
    executed = np.concatenate([executor.add(plan) for plan in given])
    wanted = np.stack([act_by_hand(given, every, step) for step in range(len(executed))])
    np.testing.assert_allclose(executed, wanted, atol=1e-14)


@pytest.mark.parametrize("fusion", list(FUSIONS))
def test_the_first_steps_of_a_plan_are_executed(fusion: str) -> None:
    plan = plans(1, 64)[0]
    executed = PlanExecutor(64, 8, parse_fusion(fusion)).add(plan)
    np.testing.assert_array_equal(executed, plan[:8])


def test_none_follows_the_newest_plan() -> None:
    given = plans(5, 16)
    executor = PlanExecutor(16, 4)
    for plan in given:
        np.testing.assert_array_equal(executor.add(plan), plan[:4])


def test_a_plan_may_change_after_it_was_given() -> None:
    executor = PlanExecutor(4, 1, parse_fusion("act"))
    plan = np.ones((4, 7))
    executor.add(plan)
    plan[:] = 0.0
    np.testing.assert_allclose(executor.add(np.ones((4, 7))), 1.0)


@pytest.mark.parametrize("exec_horizon", [0, -1, 9])
def test_exec_horizon_out_of_range_is_refused(exec_horizon: int) -> None:
    with pytest.raises(ConfigError, match=rf"{exec_horizon}.*1 to 8.*Fix"):
        PlanExecutor(8, exec_horizon)


@pytest.mark.parametrize("shape", [(7, 7), (8, 6), (7,), (1, 8, 7)])
def test_a_plan_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SpecMismatchError, match=r"Needed: \(8, 7\)"):
        PlanExecutor(8, 4).add(np.zeros(shape))


def test_the_rest_is_what_the_latest_plan_says_from_now_on() -> None:
    executor = PlanExecutor(8, 3)
    assert executor.remaining is None
    first, second = plans(2, 8)
    executor.add(first)
    np.testing.assert_array_equal(executor.remaining, first[3:])
    executor.add(second)
    np.testing.assert_array_equal(executor.remaining, second[3:])
    whole = PlanExecutor(8, 8)
    whole.add(first)
    assert whole.remaining is None


def test_rows_are_as_wide_as_the_policy_says() -> None:
    executor = PlanExecutor(8, 2, parse_fusion("mean"), width=10)
    first, second = np.zeros((8, 10)), np.ones((8, 10))
    np.testing.assert_array_equal(executor.add(first), first[:2])
    fused = executor.add(second)
    np.testing.assert_array_equal(fused[:, :9], 0.5)
    np.testing.assert_array_equal(fused[:, 9], 1.0)
    with pytest.raises(SpecMismatchError, match=r"\(8, 10\)"):
        executor.add(np.zeros((8, 7)))


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (np.ones((8, 7), dtype=bool), "ndarray of bool"),
        ([[True] * 7] * 8, "list of bool"),
        (np.zeros((8, 7), dtype=complex), "complex128"),
        (np.full((8, 7), "0.5"), "<U3"),
        (np.zeros((8, 7), dtype=object), "of object"),
        (np.zeros((8, 7), dtype="datetime64[s]"), "datetime64"),
        ([[10**30] * 7] * 8, "of object"),
        ([[0.0] * 7, [0.0] * 6], "inhomogeneous"),
        (None, "NoneType of object"),
        ({"actions": 1}, "dict of object"),
    ],
)
def test_a_plan_that_is_not_made_of_numbers_is_refused(plan: object, why: str) -> None:
    with pytest.raises(SpecMismatchError, match=rf"cannot be read \(.*{why}.*Fix"):
        PlanExecutor(8, 4).add(plan)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("row", "dtype"), [(0, "float64"), (7, "float32"), (3, "float16")])
def test_what_is_not_finite_is_refused_also_in_rows_that_are_not_executed(
    value: float, row: int, dtype: str
) -> None:
    plan = np.zeros((8, 7), dtype=dtype)
    plan[row, 2] = value
    with pytest.raises(ConfigError, match=rf"{value} in row {row}, column 2\).*Fix"):
        PlanExecutor(8, 1, parse_fusion("act")).add(plan)


def test_plans_of_other_kinds_of_numbers_are_read() -> None:
    for plan in (np.ones((8, 7), np.int8), [[1] * 7] * 8, np.ones((8, 7), ">f4")):
        rows = PlanExecutor(8, 2).add(plan)  # type: ignore[arg-type]
        assert (rows.dtype, rows.tolist()) == (np.dtype(float), [[1.0] * 7] * 2)
