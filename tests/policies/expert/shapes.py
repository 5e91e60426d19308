"""The hand's usual orientation, and boxes to grasp and to avoid."""

import numpy as np

from policies.expert.geometry import OrientedBoxes
from policies.expert.pose import DOWN, UP, axis_rotation, hand_rotation

HOME = hand_rotation(np.array([0.0, 1, 0]), DOWN)


def box(center, half, yaw=0.0):
    """One box of half extents, turned about the vertical."""
    axes = axis_rotation(UP, yaw)[None]
    return OrientedBoxes(np.array([center], float), axes, np.array([half], float))
