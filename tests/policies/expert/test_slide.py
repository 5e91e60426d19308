from types import SimpleNamespace

import numpy as np
import pytest

from policies.expert import slide
from policies.expert.geometry import OrientedBoxes
from policies.expert.pose import Pose, axis_rotation
from policies.expert.slide import is_leaning, nudge
from policies.interface import PlanningError
from tests.policies.expert.shapes import HOME

HALF = np.array([0.03, 0.03, 0.04])


class World:
    """A block on the floor, and a hand that goes where it is told, 1 cm a step, and pushes it."""

    def __init__(self):
        self.block, self.hand = np.zeros(3), Pose(np.array([-0.3, 0.0, 0.3]), HOME)
        self.gripper, self.heights = 0.0, []

    def position(self, name):
        return self.block

    def object_boxes(self, name):
        return OrientedBoxes(self.block[None], np.eye(3)[None], HALF[None])

    def hand_pose(self):
        return self.hand

    def toward(self, target):
        way = target.position - self.hand.position
        step = way * min(1.0, 0.01 / (np.linalg.norm(way) + 1e-12))
        return np.array([*step, 0, 0, 0, self.gripper])

    def move(self, waypoints, **_):
        for target in waypoints:
            while np.linalg.norm(target.position - self.hand.position) > 1e-9:
                yield self.toward(target)

    def step(self, action):
        self.hand = self.hand.shifted(action[:3])
        self.heights.append(self.hand.position[2])
        depth = self.hand.position[0] - (self.block[0] - HALF[0])
        if 0 < depth < HALF[0] and self.hand.position[2] < 0.06:
            self.block = self.block + depth * np.array([1.0, 0, 0])


def run(world, target):
    context = SimpleNamespace(scene=world, arm=world, home=HOME)
    for action in nudge(context, "block", SimpleNamespace(target=np.array(target))):
        world.step(action)


def test_the_closed_hand_pushes_from_behind_and_goes_up(monkeypatch):
    world = World()
    monkeypatch.setattr(slide, "travel", lambda context, goal: world.move([goal]))
    run(world, [0.06, 0.0, 0.02])
    assert world.block == pytest.approx([0.06, 0.0, 0.0], abs=0.006)
    assert world.gripper == 1.0
    assert min(world.heights) > 0.03  # of the block's middle: it is met near its top
    assert world.hand.position[2] > 0.1


def test_a_push_that_moves_nothing_ends(monkeypatch):
    world = World()
    monkeypatch.setattr(slide, "travel", lambda context, goal: world.move([goal]))
    monkeypatch.setattr(world, "position", lambda name: np.zeros(3))
    run(world, [0.5, 0.0, 0.0])
    assert len(world.heights) < 120


def test_what_the_hand_cannot_get_behind_is_left(monkeypatch):
    def blocked(context, goal):
        raise PlanningError("no path")
        yield

    world = World()
    monkeypatch.setattr(slide, "travel", blocked)
    run(world, [0.06, 0.0, 0.0])
    assert not world.heights and not world.block.any()


@pytest.mark.parametrize(("tilt", "askew"), [(0.0, False), (0.5, True)])
def test_what_leans(tilt, askew):
    turned = axis_rotation(np.array([1.0, 0, 0]), tilt)
    scene = SimpleNamespace(rotation=lambda name: turned)
    assert is_leaning(SimpleNamespace(scene=scene), "block", np.array([0.0, 0, 1])) is askew
