"""RDT's unified vector: 128 numbers with a fixed meaning each, shared by states and actions.

A single arm fills the right arm's slots. Positions are in metres, angles in radians.
"""

from typing import Literal

Slots = tuple[int, ...]

Method = Literal["none", "meanstd", "minmax", "quantile"]
"""Statistics for normalising slots: mean and one standard deviation become 0 and 1; the smallest
and the largest value, or the 1 % and 99 % quantiles, become −1 and 1. Nothing is clipped."""

SIZE = 128
"""Length V of the vector."""

RIGHT_GRIPPER_OPEN, LEFT_GRIPPER_OPEN = 10, 60
"""Opening in [0, 1], 1 = open."""

RIGHT_EEF_POS, LEFT_EEF_POS = tuple(range(30, 33)), tuple(range(80, 83))

RIGHT_EEF_ROT6D, LEFT_EEF_ROT6D = tuple(range(33, 39)), tuple(range(83, 89))
"""First column of the rotation matrix, then the second."""
