"""A served RDT: how it plans for batches of any size, and what it says of itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from policies.interface import PlanRequest
from policies.rdt.checkpoint.contract import ANY_SIZE
from policies.rdt.policy import RDTPolicy
from tasks.actions import POSITION_UNIT, ROTATION_UNIT, action_to, check_finite
from tasks.errors import ConfigError
from tasks.observation import ACTION_DIM, CONTROL_HZ, FloatArray, Observation
from tasks.rotations import axisangle_to_matrix, quat_to_matrix

STATES = {
    8: ("pos", "axisangle", "fingers"),
    9: ("pos", "quat", "fingers"),
    15: ("pos", "axisangle", "fingers", "joints"),
    16: ("pos", "quat", "fingers", "joints"),
}
"""What states consist of, by their length."""


class RDTService:
    """Plans with one network in batches of several sizes.

    Every size has a policy of its own around the same weights. On a CPU, where rows that nobody
    needs cost as much as others, there is one for each size; elsewhere, where a size may be
    compiled, those of 1, 2, 4, 8 and so on. A plan that is made alone is bit for bit that of an
    evaluation without batches; in another batch its last bits may differ.

    Args:
        policy: The policy.
        max_batch: The largest batch.

    Raises:
        ConfigError: It samples from previous plans, which no client sends.
    """

    def __init__(self, policy: RDTPolicy, *, max_batch: int) -> None:
        if policy.sampling.guidance != "none":
            raise ConfigError(
                f"--option.guidance {policy.sampling.guidance} needs the rest of the previous "
                "plan, which clients do not send. Fix: leave it out."
            )
        self.contract, self.layout = policy.contract, policy.layout
        self._check_instructions = policy.check_instructions
        sizes = [1]
        while sizes[-1] < max_batch:
            more = sizes[-1] + 1 if policy.device.type == "cpu" else 2 * sizes[-1]
            sizes.append(min(more, max_batch))
        self._policies = {size: policy.with_batch_size(size) for size in sizes}

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Plan for up to ``max_batch`` requests; see ``RDTPolicy.plan``."""
        size = next(size for size in self._policies if size >= len(requests))
        plans = self._policies[size].plan(requests)
        for plan in plans:
            check_finite(plan, "The policy's actions")
        return plans

    def check_instruction(self, instruction: str) -> None:
        """Refuse what the policy cannot be told, with ``ConfigError``."""
        self._check_instructions([instruction])

    @property
    def states(self) -> dict[str, str]:
        """The states that it reads, such as ``pos+axisangle+fingers``, by their length."""
        return {
            str(size): "+".join(parts)
            for size, parts in STATES.items()
            if "joints" in parts or not self.layout.reads_joints
        }

    @property
    def metadata(self) -> dict[str, Any]:
        """Plain data about the policy, for clients."""
        contract = self.contract
        goals = "turned into deltas along the plan, from the state that was sent"
        return {
            "policy": "rdt",
            "contract": {
                "layout": self.layout.name,
                "cameras": list(contract.shown_cameras),
                "history": contract.history,
                "horizon": contract.horizon,
                "render_size": contract.render_size,
                "demos": (contract.demos or {}).get("label"),
            },
            "horizon": contract.horizon,
            "control_hz": CONTROL_HZ,
            "images": {
                "size": contract.render_size or "any",
                "orientation": "rotate180",
                "others": "fitted with black borders",
            },
            "state": self.states,
            "actions": "position and axis-angle deltas in [-1, 1], gripper -1 open and +1 close",
            "goals": goals if self.layout.holds_goals else "none",
        }

    @property
    def image_size(self) -> int:
        """Height and width that images are fitted to; 0 for any."""
        return 0 if self.contract.render_size == ANY_SIZE else self.contract.render_size


def open_loop_actions(plan: FloatArray, now: Observation, response: float) -> FloatArray:
    """Turn a plan into actions for a client that executes it without asking again.

    A goal becomes the delta that the controller would be given if the hand had covered, of every
    delta before, the share that it usually covers in a control step.

    Args:
        plan: (horizon, 7) actions, which stay as they are, or (horizon, 10) goals of the hand.
        now: The state that the plan begins from.
        response: Share of a delta covered in one step.

    Returns:
        (horizon, 7) in [−1, 1].
    """
    if plan.shape[1] == ACTION_DIM:
        return plan
    position, matrix = np.array(now["ee_pos"], np.float64), quat_to_matrix(now["ee_quat"])
    actions = np.empty((len(plan), ACTION_DIM))
    for step, goal in enumerate(plan):
        actions[step] = action_to(goal, position, matrix)
        position = position + response * POSITION_UNIT * actions[step, :3]
        turn = axisangle_to_matrix(response * ROTATION_UNIT * actions[step, 3:6])
        matrix = turn @ matrix
    return actions
