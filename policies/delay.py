"""Plans that arrive late: the delay between an observation and the plan made from it.

A delay of d control steps means that the plan from the observation of step t takes over at step
t + d. It enters at its row d, the row for that step; until then the robot executes what it had.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from math import ceil
from typing import Literal

import numpy as np
from pydantic import Field

from tasks.errors import ConfigError
from tasks.observation import ACTION_DIM, CONTROL_HZ, FloatArray, RobotState
from tasks.rotations import matrix_to_rot6d, quat_to_matrix
from tasks.settings import MOST_NUMBERS, settings

DelayMode = Literal["async", "pause"]
"""What happens while a plan is made; see ``Delay``."""

FirstPlan = Literal["free", "hold"]
"""Whether the first plan of an episode is late too; see ``Delay``."""

STEP_MS = 1000.0 / CONTROL_HZ
"""Milliseconds of a control step."""

_OPEN = -1.0
"""Command of the gripper before the first plan: hands begin open."""


@settings
class Delay:
    """How late plans are."""

    steps: int = Field(default=0, ge=0, le=MOST_NUMBERS)
    """Control steps from an observation to the plan made from it."""

    mode: DelayMode = "async"
    """async: the robot goes on with the plan before. pause: it holds still, then executes the new
    plan from its first row."""

    first: FirstPlan = "free"
    """free: the first plan of an episode is there at once. hold: the robot holds still until it
    is."""

    def check(self, exec_horizon: int, horizon: int) -> None:
        """Refuse a delay that a policy cannot have.

        Args:
            exec_horizon: Steps executed per plan.
            horizon: Steps in a plan.

        Raises:
            ConfigError: A second plan would be asked for before the first is there, or no row of a
                plan would be left when it is.
        """
        if self.mode == "pause":
            return
        if self.steps >= horizon:
            raise ConfigError(
                f"A delay of {self.steps} steps outlasts the policy's plans of {horizon}. Allowed: "
                f"0 to {horizon - 1}. Fix: give a smaller --delay, or --delay-mode pause."
            )
        if self.steps > exec_horizon:
            raise ConfigError(
                f"A delay of {self.steps} steps with exec_horizon {exec_horizon} would need a "
                f"second plan before the first is there. Allowed: 0 to {exec_horizon}. Fix: give a "
                "smaller --delay or a larger --exec-horizon."
            )

    def starves(self, exec_horizon: int, horizon: int) -> int:
        """Return how many steps per plan nothing is planned for, so that the robot holds still."""
        return max(0, exec_horizon + self.steps - horizon) if self.mode == "async" else 0

    @property
    def folder_name(self) -> str:
        """The delay as part of a folder's name; empty without one."""
        return f"d{self.steps}" if self.steps else ""


NO_DELAY = Delay()
"""Every plan is there at once."""


def steps_of(milliseconds: Decimal | float) -> int:
    """Return the control steps that a time takes, rounded up.

    A robot acts at whole control steps, so a plan that arrives between two is used at the second.
    """
    return ceil(Decimal(str(milliseconds)) / Decimal(str(STEP_MS)))


def read_milliseconds(text: str) -> tuple[int, ...]:
    """Read times such as ``100,250.5`` as control steps, each once, in their order.

    Raises:
        ConfigError: It is something else, or a time is above an hour.
    """
    steps: list[int] = []
    for part in text.split(","):
        if re.fullmatch(r" *[0-9]{1,7}(\.[0-9]{1,6})? *", part) is None:
            raise ConfigError(
                f"--delay-ms '{text}' cannot be read. Allowed: milliseconds from 0, such as 120 or "
                "50,100,200."
            )
        steps.append(steps_of(Decimal(part.strip())))
    return tuple(dict.fromkeys(steps))


def holding_row(
    width: int, latest: FloatArray | None = None, hand: RobotState | None = None
) -> FloatArray:
    """Return the row of a plan that keeps the hand where it is and the gripper as it was told.

    Args:
        width: Numbers in a row: those of an action, or of a goal.
        latest: (width,), the row executed before; None before the first.
        hand: The robot where no row was executed, for a goal.

    Returns:
        (width,): a zero delta, or the goal of the row before; for the first row the hand's pose.
    """
    if width == ACTION_DIM:
        row = np.zeros(width)
        row[-1] = _OPEN if latest is None else latest[-1]
        return row
    if latest is not None:
        return latest.copy()
    if hand is None:
        raise ValueError("holding a goal before the first plan needs the hand's pose")
    rotation = matrix_to_rot6d(quat_to_matrix(hand["ee_quat"]))
    return np.concatenate([hand["ee_pos"], rotation, [_OPEN]])


def possible(delays: Sequence[Delay], exec_horizon: int, horizon: int) -> list[Delay]:
    """Return those delays that a policy can have; see ``Delay.check``."""
    allowed = []
    for delay in delays:
        try:
            delay.check(exec_horizon, horizon)
        except ConfigError:
            continue
        allowed.append(delay)
    return allowed
