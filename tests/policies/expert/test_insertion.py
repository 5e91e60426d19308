from types import SimpleNamespace

import numpy as np
import pytest

from policies.expert.geometry import OrientedBoxes, any_overlap
from policies.expert.insertion import LENGTH, find_insertion, is_covered
from policies.expert.placement import Destination
from policies.interface import PlanningError
from tests.policies.expert.shapes import HOME, box

CHAMBER = np.array([0.0, 0.5, 0.1])
EXTENT = np.array([0.08, 0.08, 0.08])
PLACE = Destination(CHAMBER, EXTENT[:2], CHAMBER[2] - 0.09, CHAMBER[2] + 0.08, "in", "chamber")


def wall(offset, half):
    return box(CHAMBER + np.array(offset), half)


TABLE = box([0, 0, -0.5], [2, 2, 0.5])
WALLS = {
    "floor": wall([0, 0, -0.095], [0.1, 0.1, 0.005]),
    "roof": wall([0, 0, 0.095], [0.1, 0.1, 0.005]),
    "left": wall([-0.095, 0, 0], [0.005, 0.1, 0.1]),
    "right": wall([0.095, 0, 0], [0.005, 0.1, 0.1]),
    "back": wall([0, 0.095, 0], [0.1, 0.005, 0.1]),
    "front": wall([0, -0.095, 0], [0.1, 0.005, 0.1]),
}


class Cupboard:
    """A slim block on a table, and a chamber beside it."""

    def __init__(self, *missing):
        walls = [wall for name, wall in WALLS.items() if name not in missing]
        self.blocks = OrientedBoxes.concatenate([TABLE, *walls])
        self.block = box([0.0, 0.0, 0.06], [0.02, 0.02, 0.06])

    def surroundings(self, name):
        return self.blocks

    def object_boxes(self, name):
        return self.block

    def position(self, name):
        return np.array([0.0, 0.0, 0.06])

    def rotation(self, name):
        return np.eye(3)

    def region(self, name):
        return CHAMBER, EXTENT

    def region_axes(self, name):
        return np.eye(3)

    def fits(self, predicate, region, position):
        return bool((np.abs(position - CHAMBER) < EXTENT).all())

    def gripper_boxes(self, gap):
        fingers = [box([sign * (gap / 2 + 0.01), 0, -0.02], [0.01, 0.01, 0.03]) for sign in (1, -1)]
        return OrientedBoxes.concatenate([box([0, 0, -0.1], [0.1, 0.03, 0.05]), *fingers])


def kinematics(reached=True):
    answer = SimpleNamespace(reached=reached, margin=1.0, joints=np.zeros(7))
    return SimpleNamespace(solve=lambda pose, start=None: answer)


def test_only_what_is_covered_is_under_a_roof():
    assert is_covered(Cupboard("front"), "block", PLACE)
    assert not is_covered(Cupboard("front", "roof"), "block", PLACE)


@pytest.mark.slow
def test_an_object_goes_in_by_the_open_side_and_the_hand_stays_free():
    scene = Cupboard("front")
    plan = find_insertion(scene, kinematics(), "block", PLACE, HOME)
    assert np.allclose(plan.direction, [0, 1, 0])
    assert scene.fits("in", "chamber", plan.object_pose.position)
    turn = plan.object_pose.rotation
    hand = turn @ (plan.pose.position - scene.position("block")) + plan.object_pose.position
    approach = turn @ plan.pose.rotation[:, 2]
    assert approach[1] > 0.7 and approach[2] < 0.0
    for back in np.linspace(0.0, LENGTH, 30):
        shift = hand - back * plan.direction
        assert not any_overlap(
            scene.gripper_boxes(0.07).moved(turn @ plan.pose.rotation, shift), scene.blocks
        )
        block = scene.block.moved(turn, shift - turn @ plan.pose.position)
        assert not any_overlap(block, scene.blocks)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "arm"), [(Cupboard(), kinematics()), (Cupboard("front"), kinematics(reached=False))]
)
def test_a_closed_chamber_or_one_out_of_reach_is_an_error(scene, arm):
    with pytest.raises(PlanningError, match="under a roof"):
        find_insertion(scene, arm, "block", PLACE, HOME)
