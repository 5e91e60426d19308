"""Late plans: which rows are executed, against tables written by hand."""

from decimal import Decimal

import numpy as np
import pytest

from policies.delay import Delay, holding_row, read_milliseconds, steps_of
from policies.executor import PlanExecutor
from policies.fusion import FUSIONS, parse_fusion
from tasks.errors import ConfigError
from tasks.observation import ACTION_DIM, GOAL_DIM, FloatArray, RobotState
from tasks.rotations import quat_to_matrix, rot6d_to_matrix

HAND = RobotState(
    joint_pos=np.zeros(7),
    ee_pos=np.array([0.1, -0.2, 1.1]),
    ee_quat=np.array([1.0, 0.0, 0.0, 0.0]),
    gripper_qpos=np.array([0.04, -0.04]),
)

# A row "k.r" is row r of plan k; "=" holds still. The slice of each plan is a line.
CASES = [
    # horizon, exec_horizon, delay, mode, first plan, slices
    (8, 4, 0, "async", "free", ["0.0 0.1 0.2 0.3", "1.0 1.1 1.2 1.3", "2.0 2.1 2.2 2.3"]),
    (8, 4, 0, "pause", "hold", ["0.0 0.1 0.2 0.3", "1.0 1.1 1.2 1.3"]),
    (8, 4, 1, "async", "free", ["0.0 0.1 0.2 0.3", "0.4 1.1 1.2 1.3", "1.4 2.1 2.2 2.3"]),
    (8, 4, 1, "async", "hold", ["= 0.1 0.2 0.3", "0.4 1.1 1.2 1.3"]),
    (8, 4, 3, "async", "free", ["0.0 0.1 0.2 0.3", "0.4 0.5 0.6 1.3", "1.4 1.5 1.6 2.3"]),
    # d = s: a plan is in use only from the next slice on.
    (8, 4, 4, "async", "free", ["0.0 0.1 0.2 0.3", "0.4 0.5 0.6 0.7", "1.4 1.5 1.6 1.7"]),
    (8, 4, 4, "async", "hold", ["= = = =", "0.4 0.5 0.6 0.7", "1.4 1.5 1.6 1.7"]),
    (4, 1, 1, "async", "free", ["0.0", "0.1", "1.1", "2.1"]),
    (4, 1, 1, "async", "hold", ["=", "0.1", "1.1", "2.1"]),
    # s > H - d: rows are missing at the end of each plan.
    (4, 4, 1, "async", "free", ["0.0 0.1 0.2 0.3", "= 1.1 1.2 1.3", "= 2.1 2.2 2.3"]),
    (4, 4, 3, "async", "free", ["0.0 0.1 0.2 0.3", "= = = 1.3", "= = = 2.3"]),
    (5, 4, 3, "async", "free", ["0.0 0.1 0.2 0.3", "0.4 = = 1.3", "1.4 = = 2.3"]),
    (5, 4, 3, "async", "hold", ["= = = 0.3", "0.4 = = 1.3"]),
    # The robot waits, then executes the plan from its first row.
    (8, 4, 2, "pause", "free", ["0.0 0.1 0.2 0.3", "= = 1.0 1.1 1.2 1.3"]),
    (8, 4, 2, "pause", "hold", ["= = 0.0 0.1 0.2 0.3", "= = 1.0 1.1 1.2 1.3"]),
    (1, 1, 3, "pause", "free", ["0.0", "= = = 1.0", "= = = 2.0"]),
]


def numbered_plan(number: int, horizon: int, width: int = ACTION_DIM) -> FloatArray:
    """A plan whose rows say which they are: the plan's number, the row's, and −1 or +1."""
    plan = np.zeros((horizon, width))
    plan[:, 0], plan[:, 1] = number, np.arange(horizon)
    plan[:, -1] = (-1.0) ** (number + np.arange(horizon))
    return plan


def written(rows: FloatArray, holding: tuple[bool, ...]) -> str:
    return " ".join(
        "=" if held else f"{int(row[0])}.{int(row[1])}"
        for row, held in zip(rows, holding, strict=True)
    )


@pytest.mark.parametrize("width", [ACTION_DIM, GOAL_DIM])
@pytest.mark.parametrize(("horizon", "every", "steps", "mode", "first", "slices"), CASES)
def test_executed_rows_are_those_of_the_table(
    horizon: int, every: int, steps: int, mode: str, first: str, slices: list[str], width: int
) -> None:
    delay = Delay(steps=steps, mode=mode, first=first)  # type: ignore[arg-type]
    executor = PlanExecutor(horizon, every, width=width, delay=delay)
    for number, wanted in enumerate(slices):
        rows = executor.add(numbered_plan(number, horizon, width), HAND)
        assert written(rows, executor.latest.holding) == wanted


@pytest.mark.parametrize("fusion", list(FUSIONS))
def test_no_delay_is_the_executor_without_one_bit_for_bit(fusion: str) -> None:
    rng = np.random.default_rng(0)
    plans = list(rng.uniform(-1, 1, (9, 16, 7)))
    for mode in ("async", "pause"):
        for first in ("free", "hold"):
            plain = PlanExecutor(16, 5, parse_fusion(fusion))
            delay = Delay(mode=mode, first=first)  # type: ignore[arg-type]
            late = PlanExecutor(16, 5, parse_fusion(fusion), delay=delay)
            for plan in plans:
                rest, late_rest = plain.remaining, late.remaining
                assert (rest is None) == (late_rest is None)
                if rest is not None and late_rest is not None:
                    np.testing.assert_array_equal(rest, late_rest)
                np.testing.assert_array_equal(plain.add(plan), late.add(plan))
            assert not any(late.latest.holding)


def test_fusion_takes_only_plans_that_have_arrived() -> None:
    executor = PlanExecutor(8, 3, parse_fusion("mean"), delay=Delay(steps=2))
    plans = [numbered_plan(number, 8) for number in range(3)]
    executor.add(plans[0])
    second = executor.add(plans[1])
    # Steps 3 and 4 are before plan 1 arrives at step 5, which both plans cover.
    np.testing.assert_array_equal(second[:, 0], [0, 0, 0.5])
    third = executor.add(plans[2])
    # Steps 6 and 7 have plans 0 and 1; at step 8 plan 0 is over and plan 2 has arrived.
    np.testing.assert_array_equal(third[:, 0], [0.5, 0.5, 1.5])
    # The gripper's command is the newest plan's, of those that have arrived.
    np.testing.assert_array_equal(third[:, -1], [plans[1][3, -1], plans[1][4, -1], plans[2][2, -1]])


def test_committed_rows_are_those_executed_before_the_next_plan_arrives() -> None:
    for rule in ("none", "act", "mean"):
        executor = PlanExecutor(16, 4, parse_fusion(rule), delay=Delay(steps=3))
        assert (executor.committed, executor.remaining) == (0, None)
        rng = np.random.default_rng(1)
        for plan in rng.uniform(-1, 1, (6, 16, 7)):
            rest, count = executor.remaining, executor.committed
            rows = executor.add(plan)
            if rest is not None:
                assert count == 3
                assert len(rest) == 12
                np.testing.assert_array_equal(rows[:count], rest[:count])


def test_committed_rows_end_with_the_plan_and_none_are_in_a_pause() -> None:
    starved = PlanExecutor(5, 4, delay=Delay(steps=3))
    starved.add(numbered_plan(0, 5))
    assert (starved.committed, len(starved.remaining)) == (1, 1)  # type: ignore[arg-type]
    nothing = PlanExecutor(4, 4, delay=Delay(steps=2))
    nothing.add(numbered_plan(0, 4))
    assert (nothing.committed, nothing.remaining) == (0, None)
    paused = PlanExecutor(8, 4, delay=Delay(steps=2, mode="pause"))
    paused.add(numbered_plan(0, 8))
    assert paused.committed == 0


def test_a_held_hand_stays_and_the_gripper_keeps_its_command() -> None:
    executor = PlanExecutor(4, 4, delay=Delay(steps=2))
    plan = numbered_plan(0, 4)
    executor.add(plan)
    held = executor.add(plan)[:2]
    np.testing.assert_array_equal(held[:, :-1], 0.0)
    np.testing.assert_array_equal(held[:, -1], plan[-1, -1])
    goals = PlanExecutor(4, 4, width=GOAL_DIM, delay=Delay(steps=2))
    plan = numbered_plan(3, 4, GOAL_DIM)
    goals.add(plan)
    np.testing.assert_array_equal(goals.add(plan)[:2], [plan[-1], plan[-1]])


def test_a_hand_held_from_the_start_keeps_its_pose_and_is_open() -> None:
    first = holding_row(GOAL_DIM, None, HAND)
    np.testing.assert_array_equal(first[:3], HAND["ee_pos"])
    np.testing.assert_allclose(rot6d_to_matrix(first[3:9]), quat_to_matrix(HAND["ee_quat"]))
    assert first[-1] == -1.0
    np.testing.assert_array_equal(holding_row(ACTION_DIM), [0, 0, 0, 0, 0, 0, -1])
    with pytest.raises(ValueError, match="pose"):
        holding_row(GOAL_DIM)


def test_starved_steps_are_those_a_plan_should_have_had() -> None:
    def starved(delay: Delay) -> list[tuple[bool, ...]]:
        executor = PlanExecutor(5, 4, delay=delay)
        slices = []
        for number in range(2):
            executor.add(numbered_plan(number, 5), HAND)
            slices.append(executor.latest.starved)
        return slices

    assert starved(Delay(steps=3))[1] == (False, True, True, False)
    assert starved(Delay(steps=3, first="hold"))[0] == (False,) * 4
    assert not any(map(any, starved(Delay(steps=3, mode="pause"))))
    assert Delay(steps=3).starves(4, 5) == 2
    assert Delay(steps=1).starves(4, 5) == 0
    assert Delay(steps=3, mode="pause").starves(4, 5) == 0


@pytest.mark.parametrize(
    ("steps", "horizon", "every", "message"),
    [
        (5, 8, 4, r"delay of 5 steps with exec_horizon 4.*Allowed: 0 to 4.*Fix"),
        (8, 8, 8, r"outlasts.*Allowed: 0 to 7.*Fix.*pause"),
        (100, 8, 4, r"outlasts"),
        (1, 1, 1, r"outlasts"),
    ],
)
def test_delays_that_cannot_be_are_refused(
    steps: int, horizon: int, every: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        PlanExecutor(horizon, every, delay=Delay(steps=steps))
    PlanExecutor(horizon, every, delay=Delay(steps=steps, mode="pause"))


@pytest.mark.parametrize(
    ("milliseconds", "steps"),
    [(0, 0), (0.1, 1), (49.9, 1), (50, 1), (50.1, 2), (100, 2), (150, 3), (350, 7), (351, 8)],
)
def test_milliseconds_are_rounded_up_to_steps(milliseconds: float, steps: int) -> None:
    assert steps_of(milliseconds) == steps_of(Decimal(str(milliseconds))) == steps


def test_lists_of_milliseconds_are_read() -> None:
    assert read_milliseconds("0,50, 75.5 ,100") == (0, 1, 2)
    for text in ("", "-50", "1e3", "50,", "fast", "nan", "99999999"):
        with pytest.raises(ConfigError, match=r"--delay-ms .* cannot be read. Allowed"):
            read_milliseconds(text)
