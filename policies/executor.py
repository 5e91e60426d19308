"""Executing plans: the steps of each, their delay, and the fusion of overlapping ones."""

from typing import Any, NamedTuple

import numpy as np

from policies.delay import NO_DELAY, Delay, holding_row
from policies.fusion import UNFUSED, Fusion
from tasks.actions import check_finite, read_numbers
from tasks.errors import ConfigError, SpecMismatchError
from tasks.observation import ACTION_DIM, FloatArray, RobotState


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


class Rows(NamedTuple):
    """What an executor gave out last, row by row.

    Attributes:
        plans: Number of the newest plan that had arrived, from 0; −1 before the first.
        holding: Whether the row keeps the hand still: in a pause, or as no plan covers its step.
        starved: Whether it does so because the plan before had no row left.
    """

    plans: tuple[int, ...] = ()
    holding: tuple[bool, ...] = ()
    starved: tuple[bool, ...] = ()


class _Plan(NamedTuple):
    """A plan with the step of its first row, and the step at which it has arrived."""

    first: int
    arrives: int
    rows: FloatArray


class PlanExecutor:
    """Turns the plans of one episode into the slices to execute. One object, one episode.

    The first ``exec_horizon`` steps of a plan are executed, then the next plan is due. If earlier
    plans cover those steps too, because ``exec_horizon`` is below the horizon, a fusion rule
    combines them.

    With a delay of d steps a plan enters at its row d, and a slice begins with d rows of the plans
    before it. Steps that no plan covers are held still; in mode ``pause`` so are d steps before
    each plan, which is then executed from row 0. Steps of a pause are not counted as steps of
    plans, so the plans before and after it overlap as if there were none.

    Args:
        horizon: Steps in a plan.
        exec_horizon: Steps executed per plan, 1 to ``horizon``.
        fusion: The fusion rule, applied to the plans that have arrived.
        width: Numbers in a row of a plan.
        delay: How late plans are.

    Raises:
        ConfigError: ``exec_horizon`` or the delay is out of range.
    """

    def __init__(
        self,
        horizon: int,
        exec_horizon: int,
        fusion: Fusion = UNFUSED,
        *,
        width: int = ACTION_DIM,
        delay: Delay = NO_DELAY,
    ) -> None:
        check_exec_horizon(exec_horizon, horizon)
        delay.check(exec_horizon, horizon)
        self.horizon = horizon
        self.exec_horizon = exec_horizon
        self.width = width
        self.fusion = fusion
        self.delay = delay
        self.latest = Rows()
        """What the last ``add`` returned, row by row."""
        self._plans: list[_Plan] = []  # oldest first
        self._count = 0
        self._now = 0
        self._executed: FloatArray | None = None  # the row before the present step

    @property
    def remaining(self) -> FloatArray | None:
        """The remaining steps of the latest plan, (n, width); None if there are none.

        The first ``committed`` of them are as they will be executed, fused if a rule fuses them.
        """
        if not self._plans:
            return None
        latest = self._plans[-1]
        rows = latest.rows[self._now - latest.first :]
        if not len(rows):
            return None
        count = self.committed
        if not count:
            return rows
        steps = range(self._now, self._now + count)
        committed = [self.fusion.fuse(np.stack(self._covering(step))) for step in steps]
        return np.concatenate([committed, rows[count:]])

    @property
    def committed(self) -> int:
        """How many of the remaining steps are executed before the next plan arrives."""
        if not self._plans or self.delay.mode == "pause":
            return 0
        latest = self._plans[-1]
        return min(self.delay.steps, latest.first + self.horizon - self._now)

    def add(self, plan: FloatArray, hand: RobotState | None = None) -> FloatArray:
        """Take the plan made at the current step and advance by ``exec_horizon`` steps.

        Args:
            plan: (horizon, width); its first row is for the current step.
            hand: The robot at the current step; needed where goals are held still from the start.

        Returns:
            The (n, width) rows to execute now; n is ``exec_horizon``, and in mode ``pause`` more.

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
        late = 0 if not self._count and self.delay.first == "free" else self.delay.steps
        pause, entry = (late, 0) if self.delay.mode == "pause" else (0, late)
        self._plans = [old for old in self._plans if old.first + self.horizon > begin]
        self._plans.append(_Plan(begin, begin + entry, plan))
        self._count += 1
        steps: list[int | None] = [None] * pause + list(range(begin, self._now))
        return self._take(steps, hand)

    def _take(self, steps: list[int | None], hand: RobotState | None) -> FloatArray:
        """Give the rows of steps, None standing for a step of a pause, and note them."""
        rows, numbers, holding, starved = [], [], [], []
        number = self.latest.plans[-1] if self.latest.plans else -1
        for step in steps:
            covering = [] if step is None else self._covering(step)
            if covering:
                row = self.fusion.fuse(np.stack(covering))
            else:
                row = holding_row(self.width, self._executed, hand)
            rows.append(row)
            self._executed = row
            arrived = step is not None and self._plans[-1].arrives <= step
            number = self._count - 1 if arrived else max(number, self._count - 2)
            numbers.append(number)
            holding.append(not covering)
            starved.append(not covering and step is not None and number >= 0)
        self.latest = Rows(tuple(numbers), tuple(holding), tuple(starved))
        return np.stack(rows)

    def _covering(self, step: int) -> list[FloatArray]:
        """Return the rows that plans have for a step, of those that have arrived, oldest first."""
        return [
            plan.rows[step - plan.first]
            for plan in self._plans
            if plan.arrives <= step < plan.first + self.horizon
        ]
