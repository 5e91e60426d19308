"""Policies without knowledge: the floor of every comparison."""

from collections.abc import Sequence

import numpy as np

from policies.interface import PlanRequest, PolicySpec
from tasks.observation import ACTION_DIM, FloatArray

HORIZON = 64
"""Steps in a plan, as RDT's, so that a sweep over ``exec_horizon`` also runs on baselines."""

_EXEC_HORIZON = 8


class RandomPolicy:
    """Draws every action uniformly from [−1, 1]."""

    @property
    def spec(self) -> PolicySpec:
        """64 steps per plan, no cameras."""
        return PolicySpec(name="random", horizon=HORIZON, exec_horizon=_EXEC_HORIZON)

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Draw one (64, 7) plan per request from the request's own seed."""
        return [
            np.random.default_rng(request.seed).uniform(-1.0, 1.0, (HORIZON, ACTION_DIM))
            for request in requests
        ]


class NoopPolicy:
    """Keeps the arm where it is and the gripper open."""

    @property
    def spec(self) -> PolicySpec:
        """64 steps per plan, no cameras."""
        return PolicySpec(name="noop", horizon=HORIZON, exec_horizon=_EXEC_HORIZON)

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Give one (64, 7) plan of zeros with gripper −1 per request."""
        still = np.zeros((HORIZON, ACTION_DIM))
        still[:, -1] = -1.0
        return [still.copy() for _ in requests]


def build_random() -> RandomPolicy:
    """Draws every action at random: the floor of every table."""
    return RandomPolicy()


def build_noop() -> NoopPolicy:
    """Keeps the arm where it is, the gripper open."""
    return NoopPolicy()
