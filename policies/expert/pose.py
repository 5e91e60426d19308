"""Poses and rotations of the hand."""

from dataclasses import dataclass

import numpy as np

from tasks.observation import FloatArray


@dataclass(frozen=True)
class Pose:
    """Where the grip site is and how it is turned.

    Attributes:
        position: (3,) metres, world frame.
        rotation: (3, 3) matrix; its columns are the closing axis, the side and the approach.
    """

    position: FloatArray
    rotation: FloatArray

    def at(self, position: FloatArray) -> "Pose":
        """Give the same orientation at another position, (3,) metres."""
        return Pose(np.asarray(position, dtype=float), self.rotation)

    def shifted(self, offset: FloatArray) -> "Pose":
        """Give the pose moved by (3,) metres in the world frame."""
        return Pose(self.position + offset, self.rotation)

    def at_height(self, z: float) -> "Pose":
        """Give the pose at another height, metres."""
        return Pose(np.array([self.position[0], self.position[1], z]), self.rotation)


def rotation_vector(rotation: FloatArray) -> FloatArray:
    """Give the axis-angle vector of a rotation matrix, (3,) rad, its length at most π."""
    skew = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    sine = np.linalg.norm(skew) / 2
    cosine = (np.trace(rotation) - 1) / 2
    angle = np.arctan2(sine, cosine)
    if sine > 1e-6:
        return np.asarray(skew / (2 * sine) * angle)
    if cosine > 0:
        return np.asarray(skew / 2)
    values, vectors = np.linalg.eigh((rotation + rotation.T) / 2)
    return np.asarray(vectors[:, int(np.argmax(values))] * angle)


def axis_rotation(axis: FloatArray, angle: float) -> FloatArray:
    """Give the matrix of a turn by ``angle`` rad about a (3,) axis (Rodrigues' formula)."""
    x, y, z = np.asarray(axis, dtype=float) / np.linalg.norm(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def hand_rotation(closing: FloatArray, approach: FloatArray) -> FloatArray:
    """Build a hand orientation from two directions.

    Args:
        closing: (3,) wished closing axis; made orthogonal to the approach.
        approach: (3,) direction the fingers point to.

    Returns:
        (3, 3) rotation matrix.
    """
    z = approach / np.linalg.norm(approach)
    x = closing - z * float(closing @ z)
    x = x / np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1)


def angle_between(first: FloatArray, second: FloatArray) -> float:
    """Give the angle of the turn from one (3, 3) orientation to another, rad."""
    return float(np.linalg.norm(rotation_vector(second @ first.T)))
