"""Policies of somebody else."""

import numpy as np

from policies.interface import PlanRequest, PolicySpec


class Still:
    """The policy of the README."""

    spec = PolicySpec(name="still", horizon=10, history=1, cameras=("agentview",), exec_horizon=5)

    def plan(self, requests: list[PlanRequest]) -> list[np.ndarray]:
        """Stand still."""
        return [np.array([[0, 0, 0, 0, 0, 0, -1.0]] * 10) for _ in requests]


class Nudge(Still):
    """Moves along x."""

    def __init__(self, step: float) -> None:
        self.step = step

    def plan(self, requests: list[PlanRequest]) -> list[np.ndarray]:
        """Move by the same amount in every step."""
        return [np.array([[self.step, 0, 0, 0, 0, 0, -1.0]] * 10) for _ in requests]


class Planless:
    """Forgot the method."""

    spec = Still.spec


def build_nudge(*, checkpoint: str | None = None, step: float = 0.1) -> Nudge:
    """Take a checkpoint and an option."""
    if checkpoint is not None:
        step = float(checkpoint.rsplit("-", 1)[-1])
    return Nudge(step)
