"""Where a LIBERO state and action go in RDT's unified vector, as data."""

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
from tasks.observation import ACTION_DIM, GOAL_DIM, FloatArray, RobotState
from tasks.rotations import quat_to_matrix

Vectors = npt.NDArray[np.float32]

MaskRule = Literal["union", "state", "action"]
"""Which slots RDT is told to heed: those of the state or of an action, of the state, of an action.

One mask serves the state token, the action tokens and the result, so ``union`` is what makes sense:
under ``state`` every slot of an action alone comes out as zero.
"""

DEFAULT_LAYOUT = "eef-velocity"
"""Of official weights that do not say theirs."""

FRESH_LAYOUT = "eef-goal"
"""Of networks that are trained from fresh weights."""

_GRIPPER = ACTION_DIM - 1


@dataclass(frozen=True, kw_only=True, config=Config)
class Masks:
    """The mask that RDT is given, by phase; the two should be the same."""

    training: MaskRule = "union"
    """While training."""
    evaluation: MaskRule = "union"
    """While acting."""


@dataclass(frozen=True, kw_only=True, config=Config)
class Layout:
    """A mapping from LIBERO to the unified vector and back."""

    name: str = Field(min_length=1, pattern=r"^[\w.@-]+$")
    """How contracts call it."""
    description: str = ""
    """What it is for, in words."""
    origin: str = ""
    """Where it comes from."""
    state: tuple[StateChannel, ...]
    """What a state is made of."""
    action: tuple[ActionChannel, ...]
    """What an action is made of: deltas, a future pose or future joints; and the gripper."""
    masks: Masks = dataclasses.field(default_factory=Masks)
    """Which slots RDT is told to heed."""
    response: FiniteFloat = Field(default=RESPONSE, gt=0, le=1)
    """Share of a delta that the hand covers in one control step; it turns future poses and joints
    into deltas, and means nothing to layouts of deltas."""

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
        """Whether decoding needs to know where the robot is."""
        return any(channel.source.startswith("future_") for channel in self.action)

    @property
    def holds_goals(self) -> bool:
        """Whether an action is where the hand is pulled to, in the world."""
        return any(channel.source == "goal_pos" for channel in self.action)

    @property
    def width(self) -> int:
        """Numbers in a row of a plan that is read: ``ACTION_DIM``, or ``GOAL_DIM`` for goals."""
        return GOAL_DIM if self.holds_goals else ACTION_DIM

    @cached_property
    def mask(self) -> Vectors:
        """(128,) of 0 and 1, what RDT is given while acting."""
        return self._mask(self.masks.evaluation)

    @cached_property
    def training_mask(self) -> Vectors:
        """(128,) of 0 and 1, what RDT is given while training."""
        return self._mask(self.masks.training)

    @cached_property
    def action_mask(self) -> Vectors:
        """(128,) of 0 and 1: slots of an action alone, to weight a loss or read an error."""
        return self._mask("action")

    @cached_property
    def hash(self) -> str:
        """Twelve hexadecimal digits of what the layout does; name and words do not enter."""
        words = ("name", "description", "origin")
        rules = {key: value for key, value in self.as_dict().items() if key not in words}
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

    def encode_state(
        self,
        *,
        joint_pos: FloatArray,
        ee_pos: FloatArray,
        ee_quat: FloatArray,
        gripper_qpos: FloatArray,
    ) -> Vectors:
        """Put states into unified vectors.

        Args:
            joint_pos: (..., 7) rad.
            ee_pos: (..., 3) metres, world frame.
            ee_quat: (..., 4) xyzw, world frame; its sign does not matter.
            gripper_qpos: (..., 2) metres, about (0.04, −0.04) when open.

        Returns:
            (..., 128) float32, zero where nothing is said.
        """
        state = RobotState(
            joint_pos=joint_pos, ee_pos=ee_pos, ee_quat=ee_quat, gripper_qpos=gripper_qpos
        )
        vectors = _blank(np.shape(joint_pos)[:-1])
        for channel in self.state:
            vectors[..., list(channel.slots)] = scaled(state_values(channel.source, state), channel)
        return vectors

    def encode_actions(self, actions: FloatArray, state: RobotState | None = None) -> Vectors:
        """Put LIBERO actions into unified vectors.

        Args:
            actions: (..., 7), or (..., T, 7) where a state is needed, in [−1, 1]; gripper −1 open,
                +1 close. For layouts of goals also goals, (..., 10).
            state: The robot before the first action, (..., n) each, for layouts of future poses:
                they hold where the actions lead from there; and of goals, for actions.

        Returns:
            (..., 128) or (..., T, 128) float32.

        Raises:
            ConfigError: A state is needed and missing, or the layout holds joints, which deltas of
                the hand do not determine.
        """
        given = np.asarray(actions)
        parts: dict[str, FloatArray] = {}
        if self.holds_goals:
            return self._put_goals(
                given if given.shape[-1] == GOAL_DIM else self._ahead(given, state)
            )
        if self.needs_state:
            self.check_encodes_actions()
            known = self._known(state)
            parts |= pose_values(*poses_after(given[..., :_GRIPPER], known, self.response))
        else:
            parts |= {"delta_pos": given[..., :3], "delta_rot": given[..., 3:_GRIPPER]}
        return self._put(parts, given[..., _GRIPPER])

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
        """Give what a policy should predict along a demonstration.

        Args:
            actions: (T, 7) in [−1, 1].
            state: The robot before each action, (T, n) each.
            tail: Rows to add, in which the robot stands still with the gripper as it last was.

        Returns:
            (T + tail, 128) float32: the actions, where they pull the hand, or for layouts of future
            poses and joints what the robot measured one control step later, with the gripper's
            command.
        """
        still: FloatArray = np.zeros((tail, ACTION_DIM))
        still[:, _GRIPPER] = actions[-1, _GRIPPER]
        given = np.concatenate([actions, still])
        if self.holds_goals:
            here = np.minimum(np.arange(len(given)), len(actions) - 1)
            turned = quat_to_matrix(np.asarray(state["ee_quat"])[here])
            return self._put_goals(goals_of(given, np.asarray(state["ee_pos"])[here], turned))
        if not self.needs_state:
            return self.encode_actions(given)
        rows = np.minimum(np.arange(1, len(given) + 1), len(actions) - 1)
        parts: dict[str, FloatArray] = {"future_joint_pos": np.asarray(state["joint_pos"])[rows]}
        matrices = quat_to_matrix(np.asarray(state["ee_quat"])[rows])
        parts |= pose_values(np.asarray(state["ee_pos"])[rows], matrices)
        return self._put(parts, given[:, _GRIPPER])

    def decode_actions(
        self, vectors: npt.NDArray[np.floating[Any]], state: RobotState | None = None
    ) -> npt.NDArray[np.float64]:
        """Read LIBERO actions from unified vectors.

        Args:
            vectors: (..., 128), or (..., T, 128) where a state is needed.
            state: The robot before the first action, (..., n) each; layouts of future poses and
                joints need it. Joints are executed by where they put the hand: LIBERO's controller
                takes nothing else, so the elbow is the controller's own.

        Returns:
            (..., width) float64: deltas clipped to [−1, 1], or goals; gripper −1 or +1. Rows that
            hold NaN or infinity are all NaN, which neither clipping nor a threshold would show.

        Raises:
            ConfigError: A state is needed and missing.
        """
        given = np.asarray(vectors, dtype=np.float64)
        broken = np.asarray(~np.isfinite(given[..., list(self.action_slots)]).all(axis=-1))
        given = np.where(broken[..., None], np.nan, given)
        parts: dict[str, Doubles] = {}
        actions = np.empty((*given.shape[:-1], ACTION_DIM))
        for channel in self.action:
            held = given[..., list(channel.slots)]
            if channel.source in GRIPPERS:
                grips = gripper_decisions(held[..., 0], channel)
                actions[..., _GRIPPER] = np.where(broken, np.nan, grips)
            else:
                parts[channel.source] = unscaled(held, channel)
        if self.holds_goals:
            grips = actions[..., _GRIPPER:]
            return np.concatenate([parts["goal_pos"], parts["goal_rot6d"], grips], axis=-1)
        if not self.needs_state:
            actions[..., :3] = parts["delta_pos"].clip(-1.0, 1.0)
            actions[..., 3:_GRIPPER] = parts["delta_rot"].clip(-1.0, 1.0)
            return actions
        known = self._known(state)
        if "future_joint_pos" in parts:
            poses = hand_poses(parts["future_joint_pos"], known)
        else:
            form = next(name for name in parts if name in ROTATION_FORMS)
            poses = parts["future_pos"], ROTATION_FORMS[form][1](parts[form])
        actions[..., :_GRIPPER] = commands_to(*poses, known, self.response)
        return actions

    def _mask(self, rule: MaskRule) -> Vectors:
        told = set(self.state_slots if rule != "action" else ())
        told |= set(self.action_slots if rule != "state" else ())
        mask = np.zeros(SIZE, dtype=np.float32)
        mask[list(told)] = 1.0
        return mask

    def _known(self, state: RobotState | None) -> RobotState:
        if state is None:
            raise ConfigError(
                f"Layout '{self.name}' says where the robot should be, so where it is must be "
                "known. Fix: give the current state."
            )
        return state

    def _ahead(self, actions: FloatArray, state: RobotState | None) -> FloatArray:
        """Say where actions will pull the hand, from where it is expected to be by then."""
        known = self._known(state)
        positions, matrices = poses_after(actions[..., :_GRIPPER], known, self.response)
        start = np.asarray(known["ee_pos"])[..., None, :]
        turned = quat_to_matrix(np.asarray(known["ee_quat"]))[..., None, :, :]
        before = np.concatenate([start, positions[..., :-1, :]], axis=-2)
        return goals_of(
            actions, before, np.concatenate([turned, matrices[..., :-1, :, :]], axis=-3)
        )

    def _put_goals(self, goals: FloatArray) -> Vectors:
        parts = {"goal_pos": goals[..., :3], "goal_rot6d": goals[..., 3:9]}
        return self._put(parts, goals[..., -1])

    def _put(self, parts: dict[str, FloatArray], grips: FloatArray) -> Vectors:
        vectors = _blank(grips.shape)
        for channel in self.action:
            if channel.source in GRIPPERS:
                values = gripper_values(channel.source, grips)[..., None]
            else:
                values = parts[channel.source]
            vectors[..., list(channel.slots)] = scaled(values, channel)
        return vectors


def _blank(shape: tuple[int, ...]) -> Vectors:
    return np.zeros((*shape, SIZE), dtype=np.float32)
