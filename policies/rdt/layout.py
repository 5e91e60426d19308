"""Where a LIBERO state and action go in RDT's unified vector, as data."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from policies.rdt import vector
from policies.rdt.vector import Slots
from tasks.errors import unknown_name
from tasks.observation import ACTION_DIM, FloatArray
from tasks.rotations import quat_to_rot6d

Vectors = npt.NDArray[np.float32]

StateSource = Literal["joint_pos", "gripper_open", "ee_pos", "ee_rot6d"]
"""What a state is made of; see ``Layout.encode_state``."""

SOURCE_WIDTHS: dict[StateSource, int] = {
    "joint_pos": 7,
    "gripper_open": 1,
    "ee_pos": 3,
    "ee_rot6d": 6,
}

FINGER_TRAVEL = 0.04
"""Metres from closed to open, per finger of the Panda gripper."""

_GRIPPER = ACTION_DIM - 1


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A mapping from LIBERO to the unified vector and back. Nothing is normalised.

    Attributes:
        name: How contracts call it.
        state: Each source and the slots it fills.
        action_deltas: Slots of the three position and three axis-angle deltas, as LIBERO's
            controller takes them, in [−1, 1].
        action_gripper: Slot of the gripper command, stored as an opening (1−g)/2 in [0, 1].
    """

    name: str
    state: tuple[tuple[StateSource, Slots], ...]
    action_deltas: Slots
    action_gripper: int

    def __post_init__(self) -> None:
        for source, slots in self.state:
            if len(slots) != SOURCE_WIDTHS[source]:
                raise ValueError(
                    f"{source} needs {SOURCE_WIDTHS[source]} slots, given {len(slots)}"
                )
        if len(self.action_deltas) != _GRIPPER:
            raise ValueError(f"action_deltas needs {_GRIPPER} slots")
        for part in (self.state_slots, self.action_slots):
            if len(set(part)) != len(part) or not set(part) <= set(range(vector.SIZE)):
                raise ValueError(f"slots must differ and lie in 0..{vector.SIZE - 1}: {part}")

    @property
    def state_slots(self) -> Slots:
        """All slots a state fills."""
        return tuple(slot for _, slots in self.state for slot in slots)

    @property
    def action_slots(self) -> Slots:
        """All slots an action fills, the gripper's last."""
        return (*self.action_deltas, self.action_gripper)

    @cached_property
    def mask(self) -> Vectors:
        """(128,) of 0 and 1: slots of the state or of an action.

        One mask serves the state token, the action tokens and the result, so it must be the union:
        with the state's slots alone every action would come out as zero.
        """
        mask = np.zeros(vector.SIZE, dtype=np.float32)
        mask[list({*self.state_slots, *self.action_slots})] = 1.0
        return mask

    @cached_property
    def action_mask(self) -> Vectors:
        """(128,) of 0 and 1: slots of an action alone, to weight a loss or read an error."""
        mask = np.zeros(vector.SIZE, dtype=np.float32)
        mask[list(self.action_slots)] = 1.0
        return mask

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
        sources: dict[StateSource, npt.NDArray[Any]] = {
            "joint_pos": np.asarray(joint_pos),
            "gripper_open": gripper_opening(gripper_qpos)[..., None],
            "ee_pos": np.asarray(ee_pos),
            "ee_rot6d": quat_to_rot6d(ee_quat),
        }
        vectors = np.zeros((*sources["joint_pos"].shape[:-1], vector.SIZE), dtype=np.float32)
        for source, slots in self.state:
            vectors[..., list(slots)] = sources[source]
        return vectors

    def encode_actions(self, actions: FloatArray) -> Vectors:
        """Put LIBERO actions into unified vectors.

        Args:
            actions: (..., 7) in [−1, 1]; gripper −1 open, +1 close.

        Returns:
            (..., 128) float32.
        """
        given = np.asarray(actions)
        vectors = np.zeros((*given.shape[:-1], vector.SIZE), dtype=np.float32)
        vectors[..., list(self.action_deltas)] = given[..., :_GRIPPER]
        vectors[..., self.action_gripper] = (1.0 - given[..., _GRIPPER]) / 2
        return vectors

    def decode_actions(self, vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Read LIBERO actions from unified vectors.

        Args:
            vectors: (..., 128).

        Returns:
            (..., 7) float64: deltas clipped to [−1, 1], gripper −1 (opening above a half) or +1.
        """
        given = np.asarray(vectors, dtype=np.float64)
        actions = np.empty((*given.shape[:-1], ACTION_DIM))
        actions[..., :_GRIPPER] = given[..., list(self.action_deltas)].clip(-1.0, 1.0)
        actions[..., _GRIPPER] = np.where(given[..., self.action_gripper] > 0.5, -1.0, 1.0)
        return actions


def gripper_opening(gripper_qpos: FloatArray) -> npt.NDArray[np.float64]:
    """Give the opening of the Panda gripper.

    Args:
        gripper_qpos: (..., 2) metres, the two fingers with opposite signs.

    Returns:
        (...) float64 in [0, 1], 1 = open.
    """
    fingers = np.asarray(gripper_qpos, dtype=np.float64)
    opening: npt.NDArray[np.float64] = (fingers[..., 0] - fingers[..., 1]) / (2 * FINGER_TRAVEL)
    return opening.clip(0.0, 1.0)


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        # States as in RDT's robosuite pre-training sets. Delta actions go where pre-training kept
        # end-effector velocities: slots 30–38 mean absolute poses.
        Layout(
            name="eef-velocity",
            state=(
                ("joint_pos", vector.RIGHT_ARM_JOINT_POS[:7]),
                ("gripper_open", (vector.RIGHT_GRIPPER_OPEN,)),
                ("ee_pos", vector.RIGHT_EEF_POS),
                ("ee_rot6d", vector.RIGHT_EEF_ROT6D),
            ),
            action_deltas=vector.RIGHT_EEF_LINEAR_VEL + vector.RIGHT_EEF_ANGULAR_VEL,
            action_gripper=vector.RIGHT_GRIPPER_OPEN,
        ),
    )
}
"""Layouts by name."""

DEFAULT_LAYOUT = "eef-velocity"


def get_layout(name: str) -> Layout:
    """Look a layout up.

    Raises:
        ConfigError: The name is not known.
    """
    if name not in LAYOUTS:
        raise unknown_name("layout", name, LAYOUTS)
    return LAYOUTS[name]
