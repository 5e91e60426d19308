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
_ABOVE = 0.045
_LEAD = 0.05
_ARRIVED = 0.006
_PASSED = 0.02
_SLIPPED = 0.11
_STEPS = 90
_SETTLING = 5
_CLEARANCE = 0.008
_ASIDES = (0.05, -0.05, 0.08, -0.08, 0.12, -0.12)
_SHARES = (0.5, 0.3, 0.7)
_OFFSETS = (0.0, -0.4, 0.4, -0.8, 0.8)


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
    arm.gripper = CLOSE
    way_round = _way_round(situation, name, place)
    for point in way_round:
        # At a bend the fingers go in anew: what leads has changed.
        floor = _floor(situation, name)
        start = Pose(np.append(scene.position(name)[:2], floor + _ABOVE), situation.home)
        yield from travel(situation, start, pass_by=True)
        yield from arm.hold(2)
        yield from arm.move([start.height(floor)], tolerance=0.01, noisy=False)
        near = _ARRIVED if point is way_round[-1] else _PASSED
        yield from _slide(situation, name, point, floor, near)
        up = scene.hand_pose().shifted(_ABOVE * UP)
        yield from arm.move([up], tolerance=0.03, noisy=False)
    up = scene.hand_pose().shifted(0.1 * UP)
    yield from arm.move([Pose(up.position, situation.home)], tolerance=0.03, noisy=False)


def _slide(
    situation: Situation, name: str, point: FloatArray, floor: float, near: float
) -> Actions:
    """Drag straight to a point, until it is near or the fingers slipped off."""
    scene, arm = situation.scene, situation.arm
    middle = scene.hand_pose().position[:2]
    for _ in range(_SETTLING):
        yield arm.toward(Pose(np.append(middle, floor - _PRESS), situation.home))
    for _ in range(_STEPS):
        way = (point - scene.position(name))[:2]
        left = float(np.linalg.norm(way))
        off = float(np.linalg.norm((scene.hand_pose().position - scene.position(name))[:2]))
        if left < near or off > _SLIPPED:
            return
        ahead = scene.hand_pose().position[:2] + min(_LEAD, 0.02 + left) * way / left
        # Without weight the fingers would slide up the slanting rim and over it.
        yield arm.toward(Pose(np.append(ahead, floor - _PRESS), situation.home))


def _way_round(situation: Situation, name: str, place: Place) -> list[FloatArray]:
    """Find points on the way to a free spot of a place so that nothing is hit, each (3,) metres."""
    scene = situation.scene
    start = scene.position(name)
    own = scene.object_boxes(name).inflated(_CLEARANCE)
    own = Boxes(own.center + 1.5 * _CLEARANCE * UP, own.axes, own.half)  # off the table
    others = scene.obstacles(without=scene.subtree(scene.body(name)))
    offsets = [np.array([x, y, 0.0]) for x in _OFFSETS for y in _OFFSETS]
    flat = np.append(place.spread, 0.0)
    for offset in sorted(offsets, key=lambda offset: float(np.linalg.norm(offset))):
        target = place.target + offset * flat
        if not _free(own, start, target, target, others):
            continue
        way = (target - start) * [1.0, 1.0, 0.0]
        side = np.cross(UP, way / (np.linalg.norm(way) + 1e-9))
        detours = [start + share * way + aside * side for aside in _ASIDES for share in _SHARES]
        for points in ([target], *([detour, target] for detour in detours)):
            if all(_free(own, start, a, b, others) for a, b in pairwise([start, *points])):
                return list(points)
    return [place.target]


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
