from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from policies.expert.geometry import OrientedBoxes
from policies.expert.grasp import closes_freely
from policies.expert.grasp_candidates import (
    GraspPreferences,
    candidate_grasps,
    sliding_grasps,
    tilted_hand_rotation,
)
from tests.policies.expert.shapes import HOME, box


def best(boxes, drop=None):
    preferences = GraspPreferences(home=HOME, drop=drop, base=np.array([-0.6, 0, 0]))
    return min(candidate_grasps(boxes, np.zeros(3), preferences), key=lambda g: g.cost)


@pytest.mark.slow
def test_a_slim_block_is_gripped_in_the_middle_across_its_short_side():
    grasp = best(box([0, 0, 0], [0.06, 0.02, 0.05]))
    assert np.allclose(grasp.pose.position[:2], 0, atol=0.004)
    assert grasp.width == pytest.approx(0.04, abs=0.001)
    assert np.allclose(grasp.pose.rotation, HOME, atol=1e-6)


def test_a_turned_block_turns_the_hand_with_it():
    grasp = best(box([0, 0, 0], [0.06, 0.02, 0.05], yaw=0.5))
    expected = np.array([-np.sin(0.5), np.cos(0.5), 0])
    assert abs(grasp.pose.rotation[:, 0] @ expected) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.slow
def test_a_block_wider_than_the_gripper_cannot_be_gripped():
    preferences = GraspPreferences(home=HOME, drop=None, base=np.zeros(3))
    wide = box([0, 0, 0], [0.06, 0.06, 0.05])
    assert not list(candidate_grasps(wide, np.zeros(3), preferences))


@pytest.mark.slow
def test_a_wide_ring_is_gripped_by_its_wall_on_the_side_of_the_shorter_reach():
    walls = [
        box([0.05, 0, 0], [0.002, 0.05, 0.04]),
        box([-0.05, 0, 0], [0.002, 0.05, 0.04]),
        box([0, 0.05, 0], [0.05, 0.002, 0.04]),
        box([0, -0.05, 0], [0.05, 0.002, 0.04]),
    ]
    grasp = best(OrientedBoxes.concatenate(walls), drop=np.array([0.0, -0.4, 0]))
    assert grasp.width == pytest.approx(0.004, abs=0.001)
    assert grasp.pose.position[1] == pytest.approx(0.05, abs=0.004)


@pytest.mark.slow
def test_a_hand_beside_the_object_pushes_it_under_itself():
    block = box([0, 0, 0], [0.06, 0.02, 0.05])
    preferences = GraspPreferences(home=HOME, drop=None, base=np.zeros(3))
    straight = best(block)
    grasps = list(sliding_grasps(block, np.zeros(3), preferences))
    beside = [g for g in grasps if np.allclose(g.pose.position - g.slide, straight.pose.position)]
    assert {round(float(g.slide[1]) * 1000) for g in beside} >= {-13, -8, 8, 13}
    for grasp in beside:
        assert grasp.cost > straight.cost
        # Open, the fingers still stand on both sides of it: (77.4 - 40) / 2 mm of room.
        assert 0 < abs(float(grasp.slide[1])) < 0.0187

    def fingers(gap, hand):
        sides = [box([s * (gap / 2 + 0.005), 0, 0], [0.005, 0.01, 0.03]) for s in (1, -1)]
        return OrientedBoxes.concatenate(sides)

    scene = SimpleNamespace(gripper_boxes=fingers)
    outermost = max(beside, key=lambda g: abs(float(g.slide[1])))
    assert closes_freely(scene, outermost, block)
    assert not closes_freely(scene, replace(outermost, slide=None), block)


def test_a_leaning_hand_still_closes_level():
    rotation = tilted_hand_rotation(0.6, 0.3, HOME)
    assert np.allclose(rotation.T @ rotation, np.eye(3)) and np.linalg.det(rotation) > 0
    assert rotation[2, 0] == pytest.approx(0.0)
    expected = [np.sin(0.6) * np.cos(0.3), np.sin(0.6) * np.sin(0.3), -np.cos(0.6)]
    assert np.allclose(rotation[:, 2], expected)
