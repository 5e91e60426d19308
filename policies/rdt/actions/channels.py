"""Parts of states and actions, and the slots of the unified vector that each fills."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field, FiniteFloat, model_validator
from pydantic.dataclasses import dataclass

from policies.rdt.actions.kinematics import Doubles
from policies.rdt.actions.slots import SIZE
from tasks.observation import FloatArray, RobotState
from tasks.rotations import (
    axisangle_to_matrix,
    matrix_to_axisangle,
    matrix_to_quat,
    matrix_to_rot6d,
    quat_to_axisangle,
    quat_to_matrix,
    quat_to_rot6d,
    rot6d_to_matrix,
)

Slot = Annotated[int, Field(strict=True, ge=0, lt=SIZE)]
Numbers = FiniteFloat | tuple[FiniteFloat, ...]

StateSource = Literal[
    "joint_pos",
    "gripper_open",
    "finger",
    "fingers",
    "ee_pos",
    "ee_rot6d",
    "ee_axis_angle",
    "ee_quat",
]
"""Parts of a state. ``gripper_open`` is the opening in [0, 1], 1 = open; ``finger`` and ``fingers``
are one and both finger positions in metres; quaternions are xyzw with w ≥ 0."""

ActionSource = Literal[
    "delta_pos",
    "delta_rot",
    "future_pos",
    "future_rot6d",
    "future_axis_angle",
    "future_quat",
    "future_joint_pos",
    "goal_pos",
    "goal_rot6d",
    "gripper_opening",
    "gripper_command",
    "gripper_closing",
]
"""Parts of an action. ``delta_pos`` and ``delta_rot`` are LIBERO's own numbers in [−1, 1];
``future_…`` is the pose of the hand, world frame, or the joints one control step later; ``goal_…``
is the pose to which the controller pulls the hand; the gripper's command is stored as an opening
(1−g)/2, as LIBERO's g (−1 open, +1 close), or as (g+1)/2."""

WIDTHS: dict[StateSource | ActionSource, int] = {
    "joint_pos": 7,
    "gripper_open": 1,
    "finger": 1,
    "fingers": 2,
    "ee_pos": 3,
    "ee_rot6d": 6,
    "ee_axis_angle": 3,
    "ee_quat": 4,
    "delta_pos": 3,
    "delta_rot": 3,
    "future_pos": 3,
    "future_rot6d": 6,
    "future_axis_angle": 3,
    "future_quat": 4,
    "future_joint_pos": 7,
    "goal_pos": 3,
    "goal_rot6d": 6,
    "gripper_opening": 1,
    "gripper_command": 1,
    "gripper_closing": 1,
}
"""Slots that each source fills."""

FINGER_TRAVEL = 0.04
"""Metres from closed to open, per finger of the Panda gripper."""

ROTATION_FORMS: dict[str, tuple[Callable[[Doubles], Doubles], Callable[[Doubles], Doubles]]] = {
    "future_rot6d": (matrix_to_rot6d, rot6d_to_matrix),
    "future_axis_angle": (matrix_to_axisangle, axisangle_to_matrix),
    "future_quat": (matrix_to_quat, quat_to_matrix),
}
"""Conversions from rotation matrices and back, by source."""

GRIPPERS: dict[str, tuple[float, float]] = {
    "gripper_opening": (1.0, 0.0),
    "gripper_command": (-1.0, 1.0),
    "gripper_closing": (0.0, 1.0),
}
"""Values of each gripper source for LIBERO's −1 (open) and +1 (close)."""

Config = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, config=Config)
class StateChannel:
    """One part of a state and its slots: slot = (source − offset) / scale."""

    source: StateSource
    """The part."""
    slots: tuple[Slot, ...]
    """Slots, in the order of the source's numbers."""
    offset: Numbers = 0.0
    """Subtracted first; one number, or one per slot."""
    scale: Numbers = 1.0
    """Then divided by; one number, or one per slot."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_channel(self.source, self.slots, self.offset, self.scale)
        return self


@dataclass(frozen=True, kw_only=True, config=Config)
class ActionChannel:
    """One part of an action and its slots: slot = (source − offset) / scale."""

    source: ActionSource
    """The part."""
    slots: tuple[Slot, ...]
    """Slots, in the order of the source's numbers."""
    offset: Numbers = 0.0
    """Subtracted first; one number, or one per slot."""
    scale: Numbers = 1.0
    """Then divided by; one number, or one per slot."""
    threshold: FiniteFloat | None = None
    """Of a gripper's slot: on the open side of it the gripper opens, elsewhere it closes."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_channel(self.source, self.slots, self.offset, self.scale)
        if self.source not in GRIPPERS:
            if self.threshold is not None:
                raise ValueError(f"{self.source} takes no threshold, a gripper does")
            return self
        ends = scaled(np.array(GRIPPERS[self.source]), self)
        if self.threshold is None or not ends.min() < self.threshold < ends.max():
            raise ValueError(
                f"{self.source} needs a threshold between its slot's values for open and closed, "
                f"{ends[0]:g} and {ends[1]:g}"
            )
        return self


Channel = StateChannel | ActionChannel


def check_together(state: Sequence[StateChannel], action: Sequence[ActionChannel]) -> None:
    """Refuse channels that do not make one state and one action.

    Raises:
        ValueError: A source or slot comes twice, or the sources are not those of one action.
    """
    for what, channels in (("state", state), ("action", action)):
        sources: list[str] = [channel.source for channel in channels]
        slots = [str(slot) for channel in channels for slot in channel.slots]
        for kind, items in (("source", sources), ("slot", slots)):
            twice = [item for item in dict.fromkeys(items) if items.count(item) > 1]
            if twice:
                raise ValueError(f"the {what} has {kind} {', '.join(twice)} twice; allowed: once")
    action_sources = [channel.source for channel in action]
    arm_sources: set[str] = {source for source in action_sources if source not in GRIPPERS}
    poses = ({"future_pos", form} for form in ROTATION_FORMS)
    goals = {"goal_pos", "goal_rot6d"}
    allowed = [{"delta_pos", "delta_rot"}, {"future_joint_pos"}, goals, *poses]
    if arm_sources not in allowed or len(action_sources) != len(arm_sources) + 1:
        raise ValueError(
            "an action needs one gripper source, and either delta_pos with delta_rot, goal_pos "
            "with goal_rot6d, future_pos with one future rotation, or future_joint_pos; "
            f"given {', '.join(action_sources) or 'nothing'}"
        )


def scaled(values: FloatArray, channel: Channel) -> FloatArray:
    """Turn values of a channel's source into those of its slots."""
    if channel.offset == 0.0 and channel.scale == 1.0:
        return values
    result: Doubles = (values - np.asarray(channel.offset)) / np.asarray(channel.scale)
    return result


def unscaled(slots: Doubles, channel: Channel) -> Doubles:
    """Turn values of a channel's slots into those of its source."""
    if channel.offset == 0.0 and channel.scale == 1.0:
        return slots
    result: Doubles = slots * np.asarray(channel.scale) + np.asarray(channel.offset)
    return result


_STATES: dict[StateSource, Callable[[RobotState], npt.NDArray[Any]]] = {
    "joint_pos": lambda state: np.asarray(state["joint_pos"]),
    "gripper_open": lambda state: gripper_opening(state["gripper_qpos"])[..., None],
    "finger": lambda state: np.asarray(state["gripper_qpos"])[..., :1],
    "fingers": lambda state: np.asarray(state["gripper_qpos"]),
    "ee_pos": lambda state: np.asarray(state["ee_pos"]),
    "ee_rot6d": lambda state: quat_to_rot6d(state["ee_quat"]),
    "ee_axis_angle": lambda state: quat_to_axisangle(state["ee_quat"]),
    "ee_quat": lambda state: matrix_to_quat(quat_to_matrix(state["ee_quat"])),
}


def state_values(source: StateSource, state: RobotState) -> npt.NDArray[Any]:
    """Give a part of states, (..., width)."""
    return _STATES[source](state)


def pose_values(positions: FloatArray, matrices: Doubles) -> dict[str, FloatArray]:
    """Give poses by source: positions (..., 3), and rotations in every form."""
    forms = {name: from_matrix(matrices) for name, (from_matrix, _) in ROTATION_FORMS.items()}
    return {"future_pos": positions, **forms}


def gripper_values(source: str, commands: FloatArray) -> FloatArray:
    """Turn gripper commands in [−1, 1] into values of a gripper source, of the same shape."""
    if source == "gripper_opening":
        return (1.0 - commands) / 2
    return commands if source == "gripper_command" else (commands + 1.0) / 2


def gripper_decisions(slots: Doubles, channel: ActionChannel) -> Doubles:
    """Decide gripper commands: −1 on the open side of the channel's threshold, +1 elsewhere."""
    opened, closed = scaled(np.array(GRIPPERS[channel.source]), channel)
    assert channel.threshold is not None, "checked when the channel was made"
    is_open = slots > channel.threshold if opened > closed else slots < channel.threshold
    return np.where(is_open, -1.0, 1.0)


def gripper_opening(gripper_qpos: FloatArray) -> Doubles:
    """Give the opening of the gripper, (...) in [0, 1], 1 = open.

    Args:
        gripper_qpos: (..., 2) metres, the two fingers with opposite signs.
    """
    fingers = np.asarray(gripper_qpos, dtype=np.float64)
    opening: Doubles = (fingers[..., 0] - fingers[..., 1]) / (2 * FINGER_TRAVEL)
    return opening.clip(0.0, 1.0)


def _check_channel(
    source: StateSource | ActionSource, slots: tuple[int, ...], offset: Numbers, scale: Numbers
) -> None:
    width = WIDTHS[source]
    if len(slots) != width:
        raise ValueError(f"{source} needs {width} slots, given {len(slots)}")
    for name, numbers in (("offset", offset), ("scale", scale)):
        if isinstance(numbers, tuple) and len(numbers) != width:
            raise ValueError(f"{source} needs one {name} or {width} of them, given {len(numbers)}")
    if not np.all(scale):
        raise ValueError(f"the scale of {source} must not be 0")
