"""What is suspected of plans, and what is not."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pytest

from policies.interface import PlanRequest
from policies.plan_checks import PlanInspector
from tasks.observation import FloatArray


def episodes(
    grips: FloatArray, count: int = 4, *, horizon: int = 10
) -> Iterator[tuple[int, FloatArray]]:
    """Plans of episodes in which the hand moves at random and the gripper does as told."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        for first in range(0, len(grips) - horizon + 1, horizon):
            plan = rng.normal(0, 0.3, (horizon, 7)).clip(-1, 1)
            plan[:, 6] = grips[first : first + horizon]
            yield first, plan


def said(plans: Iterator[tuple[int, FloatArray]], policy: object = None) -> list[str]:
    inspector = PlanInspector(policy)
    warnings: list[str] = []
    for step, plan in plans:
        request = PlanRequest(window=(), instruction="", seed=0, step=step)
        warnings += inspector.inspect(request, plan)
    return warnings


GRASPING = np.repeat([-1.0, 1.0, -1.0], [60, 80, 20])
"""Open, closed and open again, as LIBERO has it."""


@pytest.mark.parametrize(
    "grips",
    [
        GRASPING,
        np.repeat([-1.0, 1.0], [150, 10]),
        GRASPING * 0.8,
        np.convolve(GRASPING, np.ones(9) / 9, "same"),  # a network that hesitates
        np.tile([-1.0, 1.0], 80),
        np.repeat([-1.0, 0.0, 1.0], [20, 120, 20]),
    ],
)
def test_nothing_is_suspected_of_plans_in_liberos_convention(grips: FloatArray) -> None:
    assert said(episodes(grips, 8)) == []


def test_a_closed_hand_in_one_episode_is_not_suspicious() -> None:
    plans = [*episodes(np.ones(160), 2), *episodes(GRASPING, 6)]
    assert said(iter(plans)) == []


@pytest.mark.parametrize("grasp_at", [100, 149])
def test_long_plans_before_the_first_grasp_are_not_suspicious(grasp_at: int) -> None:
    """Four episodes side by side, plans of 64 steps, a drawer closed with an open hand first."""
    grips = np.repeat([-1.0, 1.0], [grasp_at, 400 - grasp_at])
    plans = (
        (step, next(episodes(grips[step : step + 64], 1, horizon=64))[1])
        for step in range(0, 240, 16)
        for _ in range(4)
    )
    assert said(plans) == []


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize(
    ("grips", "name"),
    [
        ((GRASPING + 1) / 2, "never left [0, 1]"),
        ((1 - GRASPING) / 2, "never left [0, 1]"),
        (np.zeros(160), "never left [0, 1]"),
        (np.repeat([0.08, 0.0], 80), "never left [0, 1]"),  # metres between the fingers
        (np.repeat([1.0, 0.0], [148, 12]), "never left [0, 1]"),  # closed only at the end
        (-GRASPING, "begins by closing"),
        (np.ones(160), "begins by closing"),
        (np.full(160, -1.0), "so that nothing is ever grasped"),
        (np.full(160, -0.5), "so that nothing is ever grasped"),
    ],
)
def test_a_gripper_in_another_convention_is_said_once(
    grips: FloatArray, name: str, noise: float
) -> None:
    jitter = np.random.default_rng(1).uniform(-noise, noise, len(grips))
    (warning,) = said(episodes(grips + jitter, 6))
    assert name in warning
    assert "Fix, if so: " in warning


def test_it_is_said_within_the_first_episode_where_the_numbers_tell() -> None:
    begun = list(episodes((GRASPING + 1) / 2, 1))
    assert said(iter(begun[:4])) == []
    assert len(said(iter(begun[:5]))) == 1


@pytest.mark.parametrize(
    ("scale", "name"),
    [(0.05, "hand hardly moves"), (40.0, "Column 0 of the actions is at −1 or 1")],
)
def test_actions_in_other_units_are_suspected(scale: float, name: str) -> None:
    def scaled() -> Iterator[tuple[int, FloatArray]]:
        for step, plan in episodes(GRASPING):
            plan[:, :6] = (plan[:, :6] * scale).clip(-1, 1)
            plan[:, 1:6] /= 2 if scale > 1 else 1
            yield step, plan

    (warning,) = said(scaled())
    assert name in warning


def test_goals_are_not_taken_for_commands() -> None:
    def goals() -> Iterator[tuple[int, FloatArray]]:
        for step, plan in episodes(GRASPING):
            yield step, np.concatenate([np.full((10, 9), 0.01), plan[:, 6:]], axis=1)

    assert said(goals()) == []


class Knowing:
    remedies: ClassVar = {"gripper-range": "--option.x"}


def test_a_policy_may_know_the_remedy() -> None:
    (warning,) = said(episodes((GRASPING + 1) / 2), Knowing())
    assert warning.endswith("Fix, if so: --option.x.")
