"""RDT's unified vector: 128 numbers with a fixed meaning each, shared by states and actions.

Single arms use the right arm's slots. Positions are in metres, angles in radians.
"""

from typing import Literal

Slots = tuple[int, ...]

Method = Literal["none", "meanstd", "minmax", "quantile"]
"""How slots are normalised: mean and one standard deviation become 0 and 1; the smallest and the
largest value, or the 1 % and 99 % quantiles, become −1 and 1. Nothing is clipped."""

SIZE = 128
"""Length V of the vector."""


def _span(first: int, last: int) -> Slots:
    return tuple(range(first, last + 1))


RIGHT_ARM_JOINT_POS = _span(0, 9)
RIGHT_GRIPPER_JOINT_POS = _span(10, 14)
RIGHT_GRIPPER_OPEN = 10
"""Opening in [0, 1], 1 = open."""
RIGHT_ARM_JOINT_VEL = _span(15, 24)
RIGHT_GRIPPER_JOINT_VEL = _span(25, 29)
RIGHT_GRIPPER_OPEN_VEL = 25
RIGHT_EEF_POS = _span(30, 32)
RIGHT_EEF_ROT6D = _span(33, 38)
"""First column of the rotation matrix, then the second."""
RIGHT_EEF_LINEAR_VEL = _span(39, 41)
RIGHT_EEF_ANGULAR_VEL = _span(42, 44)

LEFT_ARM_JOINT_POS = _span(50, 59)
LEFT_GRIPPER_JOINT_POS = _span(60, 64)
LEFT_GRIPPER_OPEN = 60
LEFT_ARM_JOINT_VEL = _span(65, 74)
LEFT_GRIPPER_JOINT_VEL = _span(75, 79)
LEFT_EEF_POS = _span(80, 82)
LEFT_EEF_ROT6D = _span(83, 88)
LEFT_EEF_LINEAR_VEL = _span(89, 91)
LEFT_EEF_ANGULAR_VEL = _span(92, 94)

BASE_LINEAR_VEL = _span(100, 101)
BASE_YAW_RATE = 102
