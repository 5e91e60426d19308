"""Poses of LIBERO's Panda under its controller: after commands, and of its joints.

The controller (robosuite's OSC_POSE) takes deltas from the present pose of the hand, in units of
0.05 m and 0.5 rad. Within a control step the hand covers only part of a delta: as a critically
damped oscillator of stiffness k = 150 and damping d = 2·√k that is given a new goal every
T = 0.05 s, it moves, once under way, by v·T with k·(delta − v·T/2) = d·v: 0.265 of the delta.
"""

import numpy as np
import numpy.typing as npt

from tasks.actions import POSITION_UNIT, ROTATION_UNIT
from tasks.observation import FloatArray, RobotState
from tasks.rotations import axisangle_to_matrix, matrix_to_axisangle, quat_to_matrix

Doubles = npt.NDArray[np.float64]

RESPONSE = 0.265
"""Share of a delta that the hand covers in one control step; see above."""

_HALF_PI = np.pi / 2
# robosuite's models/assets/robots/panda/robot.xml: the frame of each link in the one before, as a
# translation and a turn about x. Joints turn about their own z.
_LINKS: tuple[tuple[tuple[float, float, float], float], ...] = (
    ((0.0, 0.0, 0.333), 0.0),
    ((0.0, 0.0, 0.0), -_HALF_PI),
    ((0.0, -0.316, 0.0), _HALF_PI),
    ((0.0825, 0.0, 0.0), _HALF_PI),
    ((-0.0825, 0.384, 0.0), -_HALF_PI),
    ((0.0, 0.0, 0.0), _HALF_PI),
    ((0.088, 0.0, 0.0), _HALF_PI),
)
_HAND_TURN = 2 * np.arctan2(-0.383, 0.924)
# The flange at 0.1065 along the last joint's axis, the point between the fingers 0.097 further.
_GRIP = np.array([0.0, 0.0, 0.1065 + 0.097])


def commands_to(
    positions: Doubles, matrices: Doubles, state: RobotState, response: float
) -> Doubles:
    """Give the deltas under which the hand passes through poses, one per control step.

    Each delta starts from the pose that the deltas before lead to, so the part of one that is cut
    off by clipping is left to the next.

    Args:
        positions: (..., T, 3) metres, world frame.
        matrices: (..., T, 3, 3), world frame.
        state: The robot before the first step, (..., n) each.
        response: Share of a delta covered in one step.

    Returns:
        (..., T, 6) in [−1, 1].
    """
    position = np.asarray(state["ee_pos"], dtype=np.float64)
    matrix = quat_to_matrix(state["ee_quat"])
    reach, turn = POSITION_UNIT * response, ROTATION_UNIT * response
    deltas = np.empty((*positions.shape[:-1], 6))
    for step in range(positions.shape[-2]):
        translation = ((positions[..., step, :] - position) / reach).clip(-1.0, 1.0)
        axisangle = matrix_to_axisangle(matrices[..., step, :, :] @ matrix.swapaxes(-1, -2))
        rotation = (axisangle / turn).clip(-1.0, 1.0)
        position = position + translation * reach
        matrix = axisangle_to_matrix(rotation * turn) @ matrix
        deltas[..., step, :3], deltas[..., step, 3:] = translation, rotation
    return deltas


def poses_after(deltas: FloatArray, state: RobotState, response: float) -> tuple[Doubles, Doubles]:
    """Give the poses to which deltas lead; the inverse of ``commands_to``, arguments as there.

    Returns:
        Positions (..., T, 3) and matrices (..., T, 3, 3) after each step.
    """
    steps = np.asarray(deltas, dtype=np.float64) * response
    start = np.asarray(state["ee_pos"], dtype=np.float64)[..., None, :]
    positions = start + np.cumsum(steps[..., :3] * POSITION_UNIT, axis=-2)
    turns = axisangle_to_matrix(steps[..., 3:] * ROTATION_UNIT)
    matrix = quat_to_matrix(state["ee_quat"])
    matrices = np.empty_like(turns)
    for step in range(turns.shape[-3]):
        matrix = turns[..., step, :, :] @ matrix
        matrices[..., step, :, :] = matrix
    return positions, matrices


def hand_pose(joint_pos: FloatArray) -> tuple[Doubles, Doubles]:
    """Give the pose of the hand, ``ee_pos`` and ``ee_quat``, in the frame of the robot's base.

    Args:
        joint_pos: (..., 7) rad.

    Returns:
        Position (..., 3) of the point between the fingers and orientation (..., 3, 3) of the hand.
    """
    joints = np.asarray(joint_pos, dtype=np.float64)
    position = np.zeros((*joints.shape[:-1], 3))
    matrix = np.broadcast_to(np.eye(3), (*joints.shape[:-1], 3, 3))
    for index, (offset, turn) in enumerate(_LINKS):
        position = position + matrix @ np.array(offset)
        matrix = matrix @ axisangle_to_matrix(np.array([turn, 0.0, 0.0]))
        matrix = matrix @ _turns_about_z(joints[..., index])
    position = position + matrix @ _GRIP
    return position, matrix @ _turns_about_z(np.array(_HAND_TURN))


def hand_poses(joints: FloatArray, state: RobotState) -> tuple[Doubles, Doubles]:
    """Give the poses of the hand in the world frame for joints.

    The pose of the base follows from the joints and the hand's pose in ``state``.

    Args:
        joints: (..., T, 7) rad.
        state: The robot at some instant, (..., n) each.

    Returns:
        Positions (..., T, 3) and matrices (..., T, 3, 3).
    """
    in_base, turn_in_base = hand_pose(state["joint_pos"])
    base = quat_to_matrix(state["ee_quat"]) @ turn_in_base.swapaxes(-1, -2)
    origin = np.asarray(state["ee_pos"]) - (base @ in_base[..., None])[..., 0]
    positions, matrices = hand_pose(joints)
    world = (base[..., None, :, :] @ positions[..., None])[..., 0] + origin[..., None, :]
    return world, base[..., None, :, :] @ matrices


def _turns_about_z(angles: FloatArray) -> Doubles:
    z = np.asarray(angles, dtype=np.float64)
    zero = np.zeros_like(z)
    return axisangle_to_matrix(np.stack([zero, zero, z], axis=-1))
