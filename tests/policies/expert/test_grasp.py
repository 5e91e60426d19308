import numpy as np
import pytest

from policies.expert.geometry import Boxes
from policies.expert.grasp import DOWN, GraspWish, candidate_grasps
from policies.expert.pose import axis_rotation, hand_rotation

HOME = hand_rotation(np.array([0.0, 1, 0]), DOWN)


def box(center, half, yaw=0.0):
    axes = axis_rotation(np.array([0.0, 0, 1]), yaw)[None]
    return Boxes(np.array([center], float), axes, np.array([half], float))


def best(boxes, drop=None):
    wish = GraspWish(home=HOME, drop=drop, base=np.array([-0.6, 0, 0]))
    return min(candidate_grasps(boxes, np.zeros(3), wish), key=lambda g: g.cost)


def test_a_slim_block_is_gripped_in_the_middle_across_its_short_side():
    grasp = best(box([0, 0, 0], [0.06, 0.02, 0.05]))
    assert np.allclose(grasp.pose.position[:2], 0, atol=0.004)
    assert grasp.width == pytest.approx(0.04, abs=0.001)
    assert np.allclose(grasp.pose.rotation, HOME, atol=1e-6)


def test_a_turned_block_turns_the_hand_with_it():
    grasp = best(box([0, 0, 0], [0.06, 0.02, 0.05], yaw=0.5))
    expected = np.array([-np.sin(0.5), np.cos(0.5), 0])
    assert abs(grasp.pose.rotation[:, 0] @ expected) == pytest.approx(1.0, abs=1e-6)


def test_a_block_wider_than_the_gripper_cannot_be_gripped():
    wish = GraspWish(home=HOME, drop=None, base=np.zeros(3))
    wide = box([0, 0, 0], [0.06, 0.06, 0.05])
    assert not list(candidate_grasps(wide, np.zeros(3), wish))


def test_a_wide_ring_is_gripped_by_its_wall_on_the_side_of_the_shorter_reach():
    walls = [
        box([0.05, 0, 0], [0.002, 0.05, 0.04]),
        box([-0.05, 0, 0], [0.002, 0.05, 0.04]),
        box([0, 0.05, 0], [0.05, 0.002, 0.04]),
        box([0, -0.05, 0], [0.05, 0.002, 0.04]),
    ]
    grasp = best(Boxes.concatenate(walls), drop=np.array([0.0, -0.4, 0]))
    assert grasp.width == pytest.approx(0.004, abs=0.001)
    assert grasp.pose.position[1] == pytest.approx(0.05, abs=0.004)
