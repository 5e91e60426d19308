"""Moving flat things along the table: the closed fingers push against the rim from inside."""

from itertools import pairwise

import numpy as np

from policies.expert.geometry import Boxes, any_overlap
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
_PASSED = 0.03
_SLIPPED = 0.11
_STEPS = 90
_CLEARANCE = 0.008
_ASIDES = (0.05, -0.05, 0.09, -0.09, 0.13, -0.13)
_SHARES = (0.5, 0.3, 0.7)


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
    for point in _way_round(situation, name, place.target):
        last = point is place.target
        for _ in range(_STEPS):
            way = (point - scene.position(name))[:2]
            left = float(np.linalg.norm(way))
            slipped = np.linalg.norm((scene.hand_pose().position - scene.position(name))[:2])
            if left < (_ARRIVED if last else _PASSED) or slipped > _SLIPPED:
                break
            ahead = scene.hand_pose().position[:2] + min(_LEAD, 0.02 + left) * way / left
            # Without weight the fingers would slide up the slanting rim and over it.
            yield arm.toward(Pose(np.append(ahead, floor - _PRESS), situation.home))
    up = scene.hand_pose().shifted(0.1 * UP)
    yield from arm.move([Pose(up.position, situation.home)], tolerance=0.03, noisy=False)


def _way_round(situation: Situation, name: str, target: FloatArray) -> list[FloatArray]:
    """Find points on the way to a target so that nothing is hit, each (3,) metres."""
    scene = situation.scene
    start = scene.position(name)
    own = scene.object_boxes(name).inflated(_CLEARANCE)
    own = Boxes(own.center + _CLEARANCE * UP, own.axes, own.half)  # off the table
    others = scene.obstacles(without=scene.subtree(scene.body(name)))
    way = (target - start) * [1.0, 1.0, 0.0]
    side = np.cross(UP, way / (np.linalg.norm(way) + 1e-9))
    detours = [start + share * way + aside * side for aside in _ASIDES for share in _SHARES]
    for points in ([target], *([detour, target] for detour in detours)):
        if all(_free(own, start, a, b, others) for a, b in pairwise([start, *points])):
            return list(points)
    return [target]


def _free(
    own: Boxes, start: FloatArray, first: FloatArray, second: FloatArray, others: Boxes
) -> bool:
    """Tell whether an object standing at a start can slide from one point to another."""
    steps = max(2, int(np.linalg.norm((second - first)[:2]) / 0.02))
    shifts = [(first + s * (second - first) - start) for s in np.linspace(0, 1, steps)]
    flat = [shift * [1.0, 1.0, 0.0] for shift in shifts]
    return not any(any_overlap(own.moved(np.eye(3), shift), others) for shift in flat)


def _floor(situation: Situation, name: str) -> float:
    """Height of the grip site with the finger tips just above the object's middle, metres."""
    boxes = situation.scene.object_boxes(name)
    middle = situation.scene.position(name)
    near = np.linalg.norm((boxes.center - middle)[:, :2], axis=1) < 0.02
    corners: FloatArray = boxes.corners()[near] if near.any() else boxes.corners()
    return float(corners[..., 2].max()) + TIP_LENGTH + _FLOOR_GAP
