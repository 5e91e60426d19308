"""Layouts: the mapping of LIBERO's states and actions to RDT's unified vector, as data."""

import dataclasses
import hashlib
import json
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, FiniteFloat, model_validator
from pydantic.dataclasses import dataclass

from policies.rdt.actions.channels import (
    GRIPPERS,
    ROTATION_FORMS,
    ActionChannel,
    Config,
    StateChannel,
    check_together,
    gripper_decisions,
    gripper_values,
    pose_values,
    scaled,
    state_values,
    unscaled,
)
from policies.rdt.actions.kinematics import RESPONSE, Doubles, commands_to, hand_poses, poses_after
from policies.rdt.actions.slots import SIZE, Slots
from tasks.actions import goals_of
from tasks.errors import ConfigError
from tasks.observation import ACTION_DIM, GOAL_DIM, FloatArray, RobotState, robot_state_at
from tasks.rotations import quat_to_matrix

Vectors = npt.NDArray[np.float32]

MaskRule = Literal["union", "state", "action"]
"""Slots in the mask that RDT is given: of the state and an action, of the state, of an action.

One mask serves the state token, the action tokens and the result, so ``union`` makes sense: under
``state`` every slot that only an action fills comes out as zero.
"""

DEFAULT_LAYOUT = "eef-velocity"
"""Layout of official weights that do not say theirs."""

FRESH_LAYOUT = "eef-goal"
"""Layout of networks that are trained from fresh weights."""

_GRIPPER = ACTION_DIM - 1


@dataclass(frozen=True, kw_only=True, config=Config)
class Masks:
    """The slot masks of training and of evaluation, which should be the same."""

    training: MaskRule = "union"
    """Mask of training."""
    evaluation: MaskRule = "union"
    """Mask of evaluation."""


@dataclass(frozen=True, kw_only=True, config=Config)
class Layout:
    """A mapping from LIBERO to the unified vector and back."""

    name: str = Field(min_length=1, pattern=r"^[\w.@-]+$")
    """Name in contracts."""
    description: str = ""
    """Purpose of the layout."""
    origin: str = ""
    """Source of the layout."""
    state: tuple[StateChannel, ...]
    """Parts of a state."""
    action: tuple[ActionChannel, ...]
    """Parts of an action: deltas, a goal, a future pose or future joints; and the gripper."""
    masks: Masks = dataclasses.field(default_factory=Masks)
    """Slot masks."""
    response: FiniteFloat = Field(default=RESPONSE, gt=0, le=1)
    """Share of a delta that the hand covers in one control step; turns future poses and joints
    into deltas. Layouts of deltas do not use it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_together(self.state, self.action)
        return self

    @property
    def state_slots(self) -> Slots:
        """All slots a state fills."""
        return tuple(slot for channel in self.state for slot in channel.slots)

    @property
    def action_slots(self) -> Slots:
        """All slots an action fills."""
        return tuple(slot for channel in self.action for slot in channel.slots)

    @property
    def needs_state(self) -> bool:
        """Whether decoding needs the state of the robot."""
        return any(channel.source.startswith("future_") for channel in self.action)

    @property
    def reads_joints(self) -> bool:
        """Whether states or actions need the robot's joints."""
        states = {channel.source for channel in self.state}
        actions = {channel.source for channel in self.action}
        return "joint_pos" in states or "future_joint_pos" in actions

    @property
    def holds_goals(self) -> bool:
        """Whether an action is a goal: the pose to which the controller pulls the hand."""
        return any(channel.source == "goal_pos" for channel in self.action)

    @property
    def width(self) -> int:
        """Numbers in a row of a decoded plan: ``ACTION_DIM``, or ``GOAL_DIM`` for goals."""
        return GOAL_DIM if self.holds_goals else ACTION_DIM

    @cached_property
    def mask(self) -> Vectors:
        """(128,) of 0 and 1: the slot mask of evaluation."""
        return self._mask(self.masks.evaluation)

    @cached_property
    def training_mask(self) -> Vectors:
        """(128,) of 0 and 1: the slot mask of training."""
        return self._mask(self.masks.training)

    @cached_property
    def action_mask(self) -> Vectors:
        """(128,) of 0 and 1: slots of an action, to weight a loss or an error."""
        return self._mask("action")

    @cached_property
    def arm_mask(self) -> Vectors:
        """(128,) of 0 and 1: slots of an action without those of the gripper."""
        mask = _zeros(())
        for channel in self.action:
            if channel.source not in GRIPPERS:
                mask[list(channel.slots)] = 1.0
        return mask

    @cached_property
    def hash(self) -> str:
        """Twelve hexadecimal digits of everything but the name and the texts."""
        texts = ("name", "description", "origin")
        rules = {key: value for key, value in self.as_dict().items() if key not in texts}
        if not self.needs_state:
            del rules["response"]
        canonical = json.dumps(rules, sort_keys=True).encode()
        return hashlib.sha256(canonical).hexdigest()[:12]

    def as_dict(self) -> dict[str, Any]:
        """Return the layout as plain data, which ``layout_file.parse_layout`` reads."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        for channel in plain["action"]:
            if channel["threshold"] is None:
                del channel["threshold"]
        return plain

    def encode_state(self, state: RobotState) -> Vectors:
        """Put states into unified vectors, (..., 128) float32, zero in slots of no channel."""
        vectors = _zeros(np.shape(state["ee_pos"])[:-1])
        for channel in self.state:
            vectors[..., list(channel.slots)] = scaled(state_values(channel.source, state), channel)
        return vectors

    def encode_actions(self, actions: FloatArray, state: RobotState | None = None) -> Vectors:
        """Put LIBERO actions into unified vectors.

        Args:
            actions: (..., 7), or (..., T, 7) where a state is needed, in [−1, 1]; gripper −1 open,
                +1 close. For layouts of goals also goals, (..., 10).
            state: The robot before the first action, (..., n) each. Layouts of future poses need
                it to predict the poses; layouts of goals need it for actions.

        Returns:
            (..., 128) or (..., T, 128) float32.

        Raises:
            ConfigError: A state is needed and missing, or the layout holds joints, which deltas of
                the hand do not determine.
        """
        actions = np.asarray(actions)
        if self.holds_goals:
            is_goal = actions.shape[-1] == GOAL_DIM
            return self._encode_goals(actions if is_goal else self._predict_goals(actions, state))
        if not self.needs_state:
            parts = {"delta_pos": actions[..., :3], "delta_rot": actions[..., 3:_GRIPPER]}
            return self._encode(parts, actions[..., _GRIPPER])
        self.check_encodes_actions()
        state = self._required(state)
        poses = poses_after(actions[..., :_GRIPPER], state, self.response)
        return self._encode(pose_values(*poses), actions[..., _GRIPPER])

    def check_encodes_actions(self) -> None:
        """Refuse a layout that cannot hold LIBERO's actions without more knowledge.

        Raises:
            ConfigError: It holds joints, which deltas of the hand do not determine.
        """
        if "future_joint_pos" in (channel.source for channel in self.action):
            raise ConfigError(
                f"Layout '{self.name}' cannot hold LIBERO's actions: several positions of the "
                "joints put the hand where a delta asks. "
                "Fix: use the joints of a demonstration (Layout.targets), or another layout."
            )

    def targets(self, actions: FloatArray, state: RobotState, *, tail: int = 0) -> Vectors:
        """Give the training targets of a demonstration.

        Args:
            actions: (T, 7) in [−1, 1].
            state: The robot before each action, (T, n) each.
            tail: Rows to add, in which the robot stands still with the gripper as it last was.

        Returns:
            (T + tail, 128) float32: the deltas, their goals, or the poses or joints measured one
            control step later; each with the gripper's command.
        """
        still: FloatArray = np.zeros((tail, ACTION_DIM))
        still[:, _GRIPPER] = actions[-1, _GRIPPER]
        padded = np.concatenate([actions, still])
        last = len(actions) - 1
        if self.holds_goals:
            now = robot_state_at(state, np.minimum(np.arange(len(padded)), last).tolist())
            return self._encode_goals(
                goals_of(padded, np.asarray(now["ee_pos"]), quat_to_matrix(now["ee_quat"]))
            )
        if not self.needs_state:
            return self.encode_actions(padded)
        after = robot_state_at(state, np.minimum(np.arange(1, len(padded) + 1), last).tolist())
        parts: dict[str, FloatArray] = {"future_joint_pos": np.asarray(after["joint_pos"])}
        parts |= pose_values(np.asarray(after["ee_pos"]), quat_to_matrix(after["ee_quat"]))
        return self._encode(parts, padded[:, _GRIPPER])

    def decode_actions(
        self, vectors: npt.NDArray[np.floating[Any]], state: RobotState | None = None
    ) -> npt.NDArray[np.float64]:
        """Read LIBERO actions from unified vectors.

        Args:
            vectors: (..., 128), or (..., T, 128) where a state is needed.
            state: The robot before the first action, (..., n) each; layouts of future poses and
                joints need it. Of joints only the pose of the hand is executed, as LIBERO's
                controller takes nothing else; the elbow is the controller's own.

        Returns:
            (..., width) float64: deltas clipped to [−1, 1], or goals; gripper −1 or +1. Rows with a
            NaN or infinity are all NaN, which clipping and the threshold would hide.

        Raises:
            ConfigError: A state is needed and missing.
        """
        numbers = np.asarray(vectors, dtype=np.float64)
        broken = np.asarray(~np.isfinite(numbers[..., list(self.action_slots)]).all(axis=-1))
        numbers = np.where(broken[..., None], np.nan, numbers)
        parts: dict[str, Doubles] = {}
        actions = np.empty((*numbers.shape[:-1], ACTION_DIM))
        for channel in self.action:
            values = numbers[..., list(channel.slots)]
            if channel.source in GRIPPERS:
                commands = gripper_decisions(values[..., 0], channel)
                actions[..., _GRIPPER] = np.where(broken, np.nan, commands)
            else:
                parts[channel.source] = unscaled(values, channel)
        if self.holds_goals:
            commands = actions[..., _GRIPPER:]
            return np.concatenate([parts["goal_pos"], parts["goal_rot6d"], commands], axis=-1)
        if not self.needs_state:
            actions[..., :3] = parts["delta_pos"].clip(-1.0, 1.0)
            actions[..., 3:_GRIPPER] = parts["delta_rot"].clip(-1.0, 1.0)
            return actions
        state = self._required(state)
        if "future_joint_pos" in parts:
            poses = hand_poses(parts["future_joint_pos"], state)
        else:
            form = next(name for name in parts if name in ROTATION_FORMS)
            poses = parts["future_pos"], ROTATION_FORMS[form][1](parts[form])
        actions[..., :_GRIPPER] = commands_to(*poses, state, self.response)
        return actions

    def _mask(self, rule: MaskRule) -> Vectors:
        slots = () if rule == "action" else self.state_slots
        slots += () if rule == "state" else self.action_slots
        mask = _zeros(())
        mask[list(slots)] = 1.0
        return mask

    def _required(self, state: RobotState | None) -> RobotState:
        if state is None:
            raise ConfigError(
                f"Layout '{self.name}' says where the robot should be, so where it is must be "
                "known. Fix: give the current state."
            )
        return state

    def _predict_goals(self, actions: FloatArray, state: RobotState | None) -> FloatArray:
        """Give the goals of actions, each from the pose to which the actions before it lead."""
        state = self._required(state)
        positions, matrices = poses_after(actions[..., :_GRIPPER], state, self.response)
        position = np.asarray(state["ee_pos"])[..., None, :]
        matrix = quat_to_matrix(np.asarray(state["ee_quat"]))[..., None, :, :]
        before = np.concatenate([position, positions[..., :-1, :]], axis=-2)
        return goals_of(
            actions, before, np.concatenate([matrix, matrices[..., :-1, :, :]], axis=-3)
        )

    def _encode_goals(self, goals: FloatArray) -> Vectors:
        parts = {"goal_pos": goals[..., :3], "goal_rot6d": goals[..., 3:9]}
        return self._encode(parts, goals[..., -1])

    def _encode(self, parts: dict[str, FloatArray], gripper_commands: FloatArray) -> Vectors:
        vectors = _zeros(gripper_commands.shape)
        for channel in self.action:
            if channel.source in GRIPPERS:
                values = gripper_values(channel.source, gripper_commands)[..., None]
            else:
                values = parts[channel.source]
            vectors[..., list(channel.slots)] = scaled(values, channel)
        return vectors


def _zeros(shape: tuple[int, ...]) -> Vectors:
    return np.zeros((*shape, SIZE), dtype=np.float32)
