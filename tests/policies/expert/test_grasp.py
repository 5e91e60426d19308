from types import SimpleNamespace

import numpy as np
import pytest

from policies.expert.geometry import OrientedBoxes
from policies.expert.grasp import closes_freely, find_grasp
from policies.expert.grasp_candidates import (
    TIP_LENGTH,
    Grasp,
    GraspPreferences,
)
from policies.expert.pose import Pose
from tests.policies.expert.shapes import HOME, box


def test_fingers_must_not_land_beside_the_knob_they_close_on():
    pot = OrientedBoxes.concatenate(
        [box([0, 0, 0], [0.03, 0.03, 0.05]), box([0, 0, 0.06], [0.006, 0.006, 0.01])]
    )

    def fingers(gap, hand):
        sides = [box([s * (gap / 2 + 0.005), 0, -0.02], [0.005, 0.01, 0.03]) for s in (1, -1)]
        return OrientedBoxes.concatenate(sides)

    scene = SimpleNamespace(gripper_boxes=fingers)
    low, high = (Pose(np.array([0, 0, z + 0.01]), HOME) for z in (0.0505, 0.058))
    assert not closes_freely(scene, Grasp(low, cost=0.0, width=0.012), pot)
    assert closes_freely(scene, Grasp(high, cost=0.0, width=0.012), pot)


class Rim:
    """A thin wall, 8 cm high, that something lower surrounds."""

    def __init__(self, room):
        self.wall = box([0, 0, 0], [0.03, 0.002, 0.04])
        self.around = box([0, 0, 0.04 - room - 0.1], [0.2, 0.2, 0.1])

    def object_boxes(self, name):
        return self.wall

    def position(self, name):
        return np.zeros(3)

    def surroundings(self, name):
        return self.around

    def gripper_boxes(self, gap, hand=True):
        sides = [gap / 2 + 0.01, -gap / 2 - 0.01]
        return OrientedBoxes.concatenate(
            [box([s, 0, -0.02], [0.01, 0.01, 0.02 + TIP_LENGTH]) for s in sides]
        )


@pytest.mark.slow
@pytest.mark.parametrize(("room", "depth"), [(0.06, 0.030), (0.0285, 0.024), (0.020, 0.012)])
def test_a_firm_grip_is_worth_a_tight_way_down_and_a_shallow_one_is_better_than_none(room, depth):
    free = SimpleNamespace(solve=lambda pose: SimpleNamespace(reached=True, margin=1.0))
    preferences = GraspPreferences(home=HOME, drop=None, base=np.zeros(3))
    grasp = find_grasp(Rim(room), free, "rim", preferences)
    assert grasp.depth == depth
    assert grasp.pose.position[2] == pytest.approx(0.04 - depth + TIP_LENGTH, abs=0.002)
