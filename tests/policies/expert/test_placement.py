from types import SimpleNamespace

import numpy as np
import pytest

from policies.expert import placement
from policies.expert.geometry import OrientedBoxes
from policies.expert.placement import (
    Destination,
    Placement,
    aligning_yaws,
    clearance_rise,
    find_destination,
    find_release,
    find_upright_placement,
    is_sloped,
    resting_pose,
    share_region,
)
from policies.expert.pose import Pose, axis_rotation
from tests.policies.expert.shapes import HOME, box

TABLE = 0.8
GAP = 0.005
VERTICAL = np.array([0.0, 0, 1])


class Held:
    """A block of 4 x 4 x 10 cm in the hand, 30 cm above a table, beside what else stands there."""

    def __init__(self, *obstacles, yaw=0.0, axes=None, finger_tip=0.02):
        self.origin = np.array([0.0, 0.0, TABLE + 0.3])
        self.block = box(self.origin, [0.02, 0.02, 0.05], yaw)
        self.blocks = OrientedBoxes.concatenate([box([0, 0, TABLE - 0.5], [2, 2, 0.5]), *obstacles])
        self.axes = np.eye(3) if axes is None else axes
        self.finger_tip = finger_tip
        self.middle, self.extent = np.array([0.4, 0.1, TABLE]), np.array([0.1, 0.1, 0.02])
        self.env = SimpleNamespace(object_sites_dict={"region": None})

    def hand_pose(self):
        return Pose(self.origin + 0.05 * VERTICAL, HOME)

    def position(self, name):
        return self.origin

    def rotation(self, name):
        return np.eye(3)

    def object_boxes(self, name):
        return self.block

    def surroundings(self, name):
        return self.blocks

    def gripper_boxes(self, gap, hand=True):
        sides = [s * (gap / 2 + 0.005) for s in (1, -1)]
        tip = self.finger_tip
        return OrientedBoxes.concatenate(
            [box([s, 0, tip - 0.05], [0.005, 0.01, 0.05]) for s in sides]
        )

    def region(self, name):
        return self.middle, self.extent

    def region_axes(self, name):
        return self.axes

    def is_articulated(self, region):
        return False


class Arm:
    def __init__(self, reached=True):
        self.reached = reached

    def solve(self, pose):
        return SimpleNamespace(reached=self.reached)


class Drops:
    """A simulated drop that ends where it is let go if that is at least so far to the right."""

    least = 0.0

    def __init__(self, scene):
        pass

    def stays(self, name, position, rotation, predicate, region, *, upright):
        return position[0] >= self.least


def test_in_is_bounded_by_the_region_and_on_lies_above_its_middle():
    inside, above = (find_destination(Held(), predicate, "region") for predicate in ("in", "on"))
    assert (inside.low, inside.high) == (pytest.approx(TABLE - 0.03), pytest.approx(TABLE + 0.02))
    assert (above.low, above.high) == (pytest.approx(TABLE), pytest.approx(TABLE + 0.12))
    assert above.spread == pytest.approx([0.088, 0.088])  # 12 mm from the edge
    other = find_destination(Held(), "on", "plate")
    assert other.region == "" and (other.spread == 0).all() and other.low == -np.inf


def test_an_object_is_let_go_just_above_what_is_under_it():
    scene = Held()
    free = find_release(scene, "block", Placement(np.array([0.4, 0.1, 0])))
    assert free.fall == pytest.approx(0) and free.rest == pytest.approx(TABLE + 0.05)
    assert free.pose.position == pytest.approx([0.4, 0.1, TABLE + 0.1 + GAP])
    assert free.pose.rotation == pytest.approx(HOME)
    stacked = find_release(
        Held(box([0.4, 0.1, TABLE], [0.05, 0.05, 0.03])),
        "block",
        Placement(np.array([0.4, 0.1, 0])),
    )
    assert stacked.rest == pytest.approx(free.rest + 0.03)


def test_an_object_falls_where_the_fingers_would_touch_something():
    # HOME closes along y: a finger is 44 mm beside the block's middle.
    rim = box([0.4, 0.1 + 0.044, TABLE + 0.1], [0.1, 0.01, 0.1])
    release = find_release(Held(rim), "block", Placement(np.array([0.4, 0.1, 0])))
    tip = release.pose.position[2] - 0.02
    assert tip == pytest.approx(TABLE + 0.2 + GAP)
    assert release.fall == pytest.approx(0.125 - GAP)
    assert release.rest == pytest.approx(TABLE + 0.05)
    position, rotation = resting_pose(
        Held(rim), "block", Placement(np.array([0.4, 0.1, 0])), release
    )
    assert position == pytest.approx([0.4, 0.1, release.rest + GAP + release.fall])
    assert rotation == pytest.approx(np.eye(3))


def test_a_turned_placement_turns_hand_and_object_about_the_vertical():
    release = find_release(Held(), "block", Placement(np.array([0.4, 0.1, 0]), yaw=0.5))
    turn = axis_rotation(VERTICAL, 0.5)
    assert release.pose.rotation == pytest.approx(turn @ HOME)
    placed = Placement(np.array([0.4, 0.1, 0]), yaw=0.5)
    assert resting_pose(Held(), "block", placed, release)[1] == pytest.approx(turn)


def test_an_object_comes_from_above_what_surrounds_its_place():
    rim = box([0.4, 0.1 + 0.035, TABLE], [0.1, 0.01, 0.07])
    target = Placement(np.array([0.4, 0.1, 0]))
    for scene, rise in ((Held(), 0.0), (Held(rim), 0.07)):
        release = find_release(scene, "block", target).pose
        assert clearance_rise(scene, "block", release) == pytest.approx(rise, abs=1e-9)


@pytest.mark.parametrize(("tilt", "sloped"), [(0.0, False), (0.2, False), (0.6, True)])
def test_a_region_slopes(tilt, sloped):
    scene = Held(axes=axis_rotation(np.array([1.0, 0, 0]), tilt))
    assert is_sloped(scene, "region") is sloped


def test_the_least_turn_that_aligns_the_sides_comes_first():
    yaws = aligning_yaws(Held(yaw=0.3), "block", "region")
    assert yaws[0] == pytest.approx(-0.3)
    assert sorted(yaws) == pytest.approx([-0.3 - np.pi / 2, -0.3, -0.3 + np.pi / 2])


def test_the_middle_is_taken_where_the_object_would_rest_there(monkeypatch):
    monkeypatch.setattr(placement, "DropSimulation", None)  # nothing to simulate
    scene = Held()
    found = find_upright_placement(scene, Arm(), "block", find_destination(scene, "on", "region"))
    assert found.is_default and found.placement.yaw == 0.0
    assert found.placement.target == pytest.approx(scene.middle)


@pytest.mark.slow
@pytest.mark.parametrize(("least", "offset"), [(0.0, 0.0176), (0.43, 0.0352), (0.5, None)])
def test_the_least_offset_at_which_a_drop_stays_is_taken(monkeypatch, least, offset):
    """The middle is occupied by a block that would make the object stand too high."""
    monkeypatch.setattr(placement, "DropSimulation", Drops)
    monkeypatch.setattr(Drops, "least", least)
    scene = Held(box([0.36, 0.1, TABLE + 0.05], [0.03, 0.2, 0.1]))
    destination = find_destination(scene, "on", "region")
    found = find_upright_placement(scene, Arm(), "block", destination)
    assert not found.is_default and not found.too_low
    if offset is None:
        assert found.placement is None
    else:
        assert found.placement.yaw == 0.0
        assert found.placement.target - scene.middle == pytest.approx([offset, 0, 0])


@pytest.mark.slow
def test_nothing_is_found_out_of_reach_and_a_low_rest_is_noted(monkeypatch):
    monkeypatch.setattr(placement, "DropSimulation", Drops)
    scene = Held()
    high = Destination(
        scene.middle, np.array([0.08, 0.08]), TABLE + 0.2, TABLE + 0.3, "on", "region"
    )
    found = find_upright_placement(scene, Arm(), "block", high)
    assert found.placement is None and found.too_low
    blocked = Held(box([0.4, 0.1, TABLE + 0.05], [0.005, 0.005, 0.1]))
    destination = find_destination(blocked, "on", "region")
    assert find_upright_placement(blocked, Arm(), "block", destination).placement is not None
    out_of_reach = find_upright_placement(blocked, Arm(False), "block", destination)
    assert out_of_reach.placement is None


def test_two_things_on_one_region_go_to_the_sides_they_come_from():
    region = Destination(
        np.array([0.0, 1.0, 0.9]), np.array([0.06, 0.06]), 0.9, 1.0, "on", "cook_region"
    )
    size = np.array([0.07, 0.13, 0.1])
    left, right = np.array([-0.3, 0.2, 0.9]), np.array([0.1, -0.2, 0.9])
    first, second = share_region(left, right, size, region), share_region(right, left, size, region)
    assert first.target[0] == pytest.approx(-0.045) and second.target[0] == pytest.approx(0.045)
    assert first.target[1] == second.target[1] == 1.0
    assert (first.spread == 0).all() and first.region == "cook_region"


def test_the_narrower_side_decides_where_they_part():
    region = Destination(np.zeros(3), np.array([0.06, 0.04]))
    moved = share_region(np.array([1.0, 1, 0]), np.zeros(3), np.array([0.2, 0.1, 0.1]), region)
    assert np.allclose(moved.target, [0, 0.03, 0])
