"""Poses and rotations of the hand."""

from dataclasses import dataclass

import numpy as np

from tasks.observation import FloatArray

UP, DOWN = np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, -1.0])
"""Unit vectors, world frame."""


@dataclass(frozen=True)
class Pose:
    """Position (3,) and orientation (3, 3) of the grip site.

    The columns of the orientation are the closing axis, the side and the approach.
    """

    position: FloatArray
    rotation: FloatArray

    def at(self, position: FloatArray) -> "Pose":
        """Give the same orientation at another position."""
        return Pose(np.asarray(position, dtype=float), self.rotation)

    def shifted(self, offset: FloatArray) -> "Pose":
        """Give the pose moved by a (3,) offset in the world frame."""
        return Pose(self.position + offset, self.rotation)

    def drawn_back(self, distance: float) -> "Pose":
        """Give the pose moved against its approach."""
        return self.shifted(-distance * self.rotation[:, 2])

    def at_height(self, z: float) -> "Pose":
        """Give the pose at another height."""
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
    """Build a hand orientation from two (3,) directions.

    Args:
        closing: The closing axis, made orthogonal to the approach.
        approach: Direction of the fingers.
    """
    z = approach / np.linalg.norm(approach)
    x = closing - z * float(closing @ z)
    x = x / np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1)


def angle_between(first: FloatArray, second: FloatArray) -> float:
    """Give the angle of the turn from one orientation to another, rad."""
    return float(np.linalg.norm(rotation_vector(second @ first.T)))


def closest_rotation(closing: FloatArray, approach: FloatArray, home: FloatArray) -> FloatArray:
    """Give the one of two equivalent hand orientations that is closer to home."""
    options = [hand_rotation(sign * closing, approach) for sign in (1.0, -1.0)]
    return min(options, key=lambda rotation: angle_between(home, rotation))
