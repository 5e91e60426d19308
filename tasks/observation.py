"""Observations and actions: the types that tasks and policies share."""

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

CAMERAS = ("agentview", "wrist")
"""Camera names, in the order every image list in this project follows."""

ACTION_DIM = 7
"""Three position deltas, three axis-angle deltas, one gripper command (−1 open, +1 close)."""

GOAL_DIM = 10
"""A goal of the hand in place of an action: its position in the world (3, metres), its orientation
(6, the first two columns of the matrix) and a gripper command (1)."""

CONTROL_HZ = 20.0
"""Control steps per simulated second."""

_NOISE = 3
"""Levels of 255."""

FloatArray = npt.NDArray[np.floating[Any]]
Image = npt.NDArray[np.uint8]


class RobotState(TypedDict):
    """What is known of the robot, for any number of instants.

    Keys:
        joint_pos: (..., 7) rad.
        ee_pos: (..., 3) metres, world frame.
        ee_quat: (..., 4) xyzw, world frame; its sign does not matter.
        gripper_qpos: (..., 2) metres, the two fingers, about (0.04, −0.04) when open.
    """

    joint_pos: FloatArray
    ee_pos: FloatArray
    ee_quat: FloatArray
    gripper_qpos: FloatArray


class Observation(TypedDict, total=False):
    """One control step as the robot sees it.

    Images are missing where nobody asked for them (see ``tasks.simulation.simulator``).

    Keys:
        agentview: (H, W, 3) uint8, upright, the fixed camera.
        wrist: (H, W, 3) uint8, upright, the camera in the hand.
        joint_pos: (7,) float64, rad.
        ee_pos: (3,) float64, metres, world frame.
        ee_quat: (4,) float64, xyzw, world frame.
        gripper_qpos: (2,) float64, metres, the two fingers (0.04, −0.04 when open).
        instruction: the task in words, as the protocol words it.
    """

    agentview: Image
    wrist: Image
    joint_pos: FloatArray
    ee_pos: FloatArray
    ee_quat: FloatArray
    gripper_qpos: FloatArray
    instruction: str


def stack_robot_states(observations: Sequence[Observation]) -> RobotState:
    """Return the robot's states in n observations, (n, ...) each."""
    return RobotState(
        joint_pos=np.stack([each["joint_pos"] for each in observations]),
        ee_pos=np.stack([each["ee_pos"] for each in observations]),
        ee_quat=np.stack([each["ee_quat"] for each in observations]),
        gripper_qpos=np.stack([each["gripper_qpos"] for each in observations]),
    )


def robot_state_at(state: RobotState, rows: int | Sequence[int]) -> RobotState:
    """Return the robot at one or some of the instants along the first axis."""
    return RobotState(
        joint_pos=state["joint_pos"][rows],
        ee_pos=state["ee_pos"][rows],
        ee_quat=state["ee_quat"][rows],
        gripper_qpos=state["gripper_qpos"][rows],
    )


def is_blank(picture: Image) -> bool:
    """Whether an image (H, W, 3) shows nothing: one colour, but for the noise of compression."""
    spread = picture.max(axis=(0, 1)).astype(int) - picture.min(axis=(0, 1))
    return bool((spread <= _NOISE).all())
