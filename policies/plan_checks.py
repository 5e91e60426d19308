"""Signs in a policy's first plans that its conventions differ from LIBERO's.

With a gripper coded from 0 to 1 or reversed, or actions never scaled back, every episode
runs to its end and fails. A few plans show such conventions by their numbers. A suspicion may be
wrong, as of a policy that only pushes with a closed hand, so nothing is refused.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from policies.interface import OptionalMembers, PlanRequest
from tasks.observation import ACTION_DIM, FloatArray

Suspicion = Literal["gripper-range", "gripper-high", "gripper-still", "tiny", "saturated"]

_NEAR = 0.25
"""Tolerance about 0 or 1 for a gripper's command."""
_FEW_STEPS = 50
"""Control steps planned before a suspicion about the numbers."""
_STARTS = 3
"""Episodes that must have begun before a suspicion about their first actions."""
_LATE, _LATE_PLANS = 150, 3
"""Control steps into an episode at which something should have been grasped, and how many plans
from then on must show that the gripper is still."""
_TINY, _FULL = 0.06, 0.99
"""Largest translation of actions that were left in metres (an action of 1 is 0.05 m), and least of
an action that counts as clipped."""
_SOME, _MOSTLY = 0.05, 0.9
"""Shares of the steps."""

_REMEDIES: Mapping[str, str] = {
    "gripper-range": "have the policy give −1 to open and +1 to close",
    "gripper-high": "have the policy give −1 to open and +1 to close",
    "gripper-still": "see whether the policy was trained to move the gripper, and that it gives "
    "−1 to open and +1 to close",
    "tiny": "scale the policy's output back to LIBERO's commands, in which 1 is 0.05 m",
    "saturated": "scale the policy's output back to LIBERO's commands, from −1 to 1",
}


class PlanInspector:
    """Inspects the plans of a run, of all episodes together, and gives each warning once.

    Args:
        policy: The policy, which may have remedies of its own: ``OptionalMembers.remedies``.
    """

    def __init__(self, policy: object) -> None:
        self._remedies = {**_REMEDIES, **(OptionalMembers.of(policy).remedies or {})}
        self._warned: set[Suspicion] = set()
        self._steps = self._late_plans = self._latest = 0
        self._starts: list[float] = []
        self._grip_low, self._grip_high = np.inf, -np.inf
        self._grips_near_zero = 0
        self._reach = 0.0
        self._clipped = np.zeros(ACTION_DIM - 1)

    def inspect(self, request: PlanRequest, plan: FloatArray) -> list[str]:
        """Inspect a plan of the policy, (horizon, width), and return new warnings."""
        if plan.ndim != 2 or not len(plan) or not np.isfinite(plan).all():
            return []  # it will be refused
        grips = plan[:, -1]
        if request.step == 0:
            self._starts.append(float(grips[0]))
        self._steps += len(plan)
        self._late_plans += request.step >= _LATE
        self._latest = max(self._latest, request.step)
        self._grip_low = min(self._grip_low, float(grips.min()))
        self._grip_high = max(self._grip_high, float(grips.max()))
        self._grips_near_zero += int((np.abs(grips) < _NEAR).sum())
        if plan.shape[1] == ACTION_DIM:  # goals are places, not commands
            self._reach = max(self._reach, float(np.abs(plan[:, :3]).max()))
            self._clipped += (np.abs(plan[:, :-1]) > _FULL).sum(axis=0)
        suspicions = self._suspect_gripper()
        if plan.shape[1] == ACTION_DIM:
            suspicions |= self._suspect_arm()
        new = {name: text for name, text in suspicions.items() if name not in self._warned}
        self._warned |= set(new)
        return [f"{text} Fix, if so: {self._remedies[name]}." for name, text in new.items()]

    def _suspect_gripper(self) -> dict[Suspicion, str]:
        if "gripper-range" in self._warned:
            return {}  # one cause is enough to follow
        low, high = self._grip_low, self._grip_high
        spans = f"{low:.2f} to {high:.2f}"
        unit = low > -_NEAR and high < 1 + _NEAR
        zeros = self._grips_near_zero / self._steps
        if self._steps >= _FEW_STEPS and unit and zeros > _SOME:
            return {
                "gripper-range": f"The gripper's column never left [0, 1] in {self._steps} planned "
                f"steps ({spans}), as where 0 and 1 mean open and closed or the reverse; LIBERO's "
                "commands are −1 open and +1 close."
            }
        starts = self._starts
        if len(starts) >= _STARTS and min(starts) > 1 - 2 * _NEAR:
            return {
                "gripper-high": f"Each of {len(starts)} episodes begins by closing the gripper "
                f"({min(starts):.2f} to {max(starts):.2f}), as where the upper end means open; in "
                "LIBERO's demonstrations hands begin open, but for some that only push."
            }
        still = high - low < _NEAR and "gripper-high" not in self._warned
        if self._late_plans >= _LATE_PLANS and len(starts) >= _STARTS and still:
            return {
                "gripper-still": f"The gripper's column stays at {spans} in all plans of "
                f"{len(starts)} episodes, up to control step {self._latest}, so that nothing is "
                "ever grasped."
            }
        return {}

    def _suspect_arm(self) -> dict[Suspicion, str]:
        if self._steps < 2 * _FEW_STEPS:
            return {}
        if self._reach < _TINY:
            return {
                "tiny": f"No translation in {self._steps} planned steps is above {self._reach:.2g} "
                "of 1, so that the hand hardly moves, as where actions are metres or still "
                "normalised."
            }
        share = self._clipped / self._steps
        worst = int(share.argmax())
        if share[worst] > _MOSTLY:
            return {
                "saturated": f"Column {worst} of the actions is at −1 or 1 in {share[worst]:.0%} "
                f"of {self._steps} planned steps, as where actions are in other units or still "
                "normalised."
            }
        return {}
