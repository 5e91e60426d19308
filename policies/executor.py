"""Executing plans: the steps of each, and the fusion of overlapping ones."""

from typing import Any

import numpy as np

from policies.fusion import UNFUSED, Fusion
from tasks.actions import check_finite, read_numbers
from tasks.errors import ConfigError, SpecMismatchError
from tasks.observation import ACTION_DIM, FloatArray


def read_plan(plan: Any) -> FloatArray:
    """Return a policy's plan as a new float64 array of any shape.

    Raises:
        SpecMismatchError: It is not made of numbers.
    """
    try:
        return read_numbers(plan)
    except ValueError as error:
        raise SpecMismatchError(
            f"The policy gave a plan that cannot be read ({error}). Needed: an array of "
            "floating-point numbers, (horizon, width). Fix: return what the policy's spec promises."
        ) from error


def check_exec_horizon(exec_horizon: int, horizon: int) -> None:
    """Refuse an execution horizon outside 1 to ``horizon``, with ``ConfigError``."""
    if not 1 <= exec_horizon <= horizon:
        raise ConfigError(
            f"exec_horizon is {exec_horizon}. Allowed: 1 to {horizon}, the steps in this "
            f"policy's plans. Fix: give --exec-horizon within that range."
        )


class PlanExecutor:
    """Turns the plans of one episode into the slices to execute. One object, one episode.

    The first ``exec_horizon`` steps of a plan are executed, then the next plan is due. If earlier
    plans cover those steps too, because ``exec_horizon`` is below the horizon, a fusion rule
    combines them.

    Args:
        horizon: Steps in a plan.
        exec_horizon: Steps executed per plan, 1 to ``horizon``.
        fusion: The fusion rule.
        width: Numbers in a row of a plan.

    Raises:
        ConfigError: ``exec_horizon`` is out of range.
    """

    def __init__(
        self,
        horizon: int,
        exec_horizon: int,
        fusion: Fusion = UNFUSED,
        *,
        width: int = ACTION_DIM,
    ) -> None:
        check_exec_horizon(exec_horizon, horizon)
        self.horizon = horizon
        self.exec_horizon = exec_horizon
        self.width = width
        self.fusion = fusion
        self._plans: list[tuple[int, FloatArray]] = []  # first step and actions, oldest first
        self._now = 0

    @property
    def remaining(self) -> FloatArray | None:
        """The remaining steps of the latest plan, (n, width); None if there are none."""
        if not self._plans:
            return None
        first, plan = self._plans[-1]
        rows = plan[self._now - first :]
        return rows if len(rows) else None

    def add(self, plan: FloatArray) -> FloatArray:
        """Take the plan made at the current step and advance by ``exec_horizon`` steps.

        Args:
            plan: (horizon, width); its first row is for the current step.

        Returns:
            The (exec_horizon, width) rows to execute now.

        Raises:
            SpecMismatchError: The plan has another shape, or is not made of numbers.
            ConfigError: It holds NaN or infinity, in any row.
        """
        plan = read_plan(plan)
        if plan.shape != (self.horizon, self.width):
            raise SpecMismatchError(
                f"The policy gave a plan of shape {plan.shape}. Needed: "
                f"({self.horizon}, {self.width}). Fix: return what the policy's spec promises."
            )
        check_finite(plan, "The policy's actions")
        begin, self._now = self._now, self._now + self.exec_horizon
        self._plans = [(first, old) for first, old in self._plans if first + self.horizon > begin]
        self._plans.append((begin, plan))
        return np.stack([self.fusion.fuse(self._rows_at(step)) for step in range(begin, self._now)])

    def _rows_at(self, step: int) -> FloatArray:
        """Return the plans' rows for a step, (k, width), oldest plan first."""
        return np.stack(
            [plan[step - first] for first, plan in self._plans if step - first < self.horizon]
        )
