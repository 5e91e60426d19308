"""Moving flat things along the table: the closed fingers push against the rim from inside."""

import numpy as np

from policies.expert.grasp import TIP_LENGTH
from policies.expert.motion import CLOSE, Actions
from policies.expert.placing import Place
from policies.expert.pose import Pose
from policies.expert.skills.situation import UP, Situation, travel
from tasks.observation import FloatArray

_FLAT = 0.04
_LEVEL = 0.04
_FLOOR_GAP = 0.002
_PRESS = 0.015
_ABOVE = 0.06
_LEAD = 0.05
_ARRIVED = 0.006
_STEPS = 120


def draggable(situation: Situation, name: str, place: Place) -> bool:
    """Tell whether an object is flat and its place at the same height."""
    low, high = situation.scene.object_boxes(name).bounds()
    rise = float(place.target[2] - situation.scene.position(name)[2])
    return float(high[2] - low[2]) < _FLAT and abs(rise) < _LEVEL


def drag(situation: Situation, name: str, place: Place) -> Actions:
    """Drag a flat object until its origin is where it should be.

    The fingers push the rim ahead of the middle: the object follows them without turning away.

    Args:
        situation: The episode.
        name: The object.
        place: Where to.
    """
    scene, arm = situation.scene, situation.arm
    floor = _floor(situation, name)
    arm.gripper = CLOSE
    start = Pose(np.append(scene.position(name)[:2], floor + _ABOVE), situation.home)
    yield from travel(situation, start)
    yield from arm.hold(2)
    yield from arm.move([start.height(floor)], tolerance=0.006, noisy=False)
    for _ in range(_STEPS):
        way = (place.target - scene.position(name))[:2]
        left = float(np.linalg.norm(way))
        if left < _ARRIVED:
            break
        ahead = scene.hand_pose().position[:2] + min(_LEAD, 0.02 + left) * way / left
        # Without weight the fingers would slide up the slanting rim and over it.
        yield arm.toward(Pose(np.append(ahead, floor - _PRESS), situation.home))
    up = scene.hand_pose().shifted(0.1 * UP)
    yield from arm.move([Pose(up.position, situation.home)], tolerance=0.03, noisy=False)


def _floor(situation: Situation, name: str) -> float:
    """Height of the grip site with the finger tips just above the object's middle, metres."""
    boxes = situation.scene.object_boxes(name)
    middle = situation.scene.position(name)
    near = np.linalg.norm((boxes.center - middle)[:, :2], axis=1) < 0.02
    corners: FloatArray = boxes.corners()[near] if near.any() else boxes.corners()
    return float(corners[..., 2].max()) + TIP_LENGTH + _FLOOR_GAP
