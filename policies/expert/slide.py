"""Pushing an object level with the closed fingers: dragging flat ones, nudging leaning ones."""

from itertools import pairwise

import numpy as np

from policies.expert.context import SkillContext, travel
from policies.expert.drop_simulation import MAX_LEAN
from policies.expert.geometry import OrientedBoxes, any_overlap
from policies.expert.grasp_candidates import TIP_LENGTH
from policies.expert.motion import CLOSE, Actions
from policies.expert.placement import Destination
from policies.expert.pose import DOWN, UP, Pose, closest_rotation
from policies.interface import PlanningError
from tasks.observation import FloatArray

_FLAT = 0.04
_LEVEL = 0.04
_FLOOR_GAP = 0.002
_PRESS = 0.015
_ABOVE = 0.045
_DRAG_LEAD = 0.05
_DRAG_ARRIVED = 0.006
_PASSED = 0.02
_SLIPPED = 0.11
_DRAG_STEPS = 90
_SETTLING = 5
_CLEARANCE = 0.008
_ASIDES = (0.05, -0.05, 0.08, -0.08, 0.12, -0.12)
_SHARES = (0.5, 0.3, 0.7)
_OFFSETS = (0.0, -0.4, 0.4, -0.8, 0.8)

_BEFORE = 0.03
_BELOW_TOP = 0.012
_NUDGE_LEAD = 0.03
_LONGEST_NUDGE = 0.13
_NUDGE_ARRIVED = 0.005
_NUDGE_STEPS = 40


def draggable(context: SkillContext, name: str, destination: Destination) -> bool:
    """Tell whether an object is flat and its destination at the same height."""
    low, high = context.scene.object_boxes(name).bounds()
    rise = float(destination.target[2] - context.scene.position(name)[2])
    return float(high[2] - low[2]) < _FLAT and abs(rise) < _LEVEL


def drag(context: SkillContext, name: str, destination: Destination) -> Actions:
    """Drag a flat object until its origin is at its destination.

    The fingers press on the rim from inside, ahead of the middle, so that the object follows them
    without turning away.
    """
    scene, arm = context.scene, context.arm
    arm.gripper = CLOSE
    waypoints = _waypoints(context, name, destination)
    for waypoint in waypoints:
        # At a bend, where another part of the rim leads, the fingers are set down again.
        height = _pressing_height(context, name)
        start = Pose(np.append(scene.position(name)[:2], height + _ABOVE), context.home)
        yield from travel(context, start, pass_by=True)
        yield from arm.hold(2)
        yield from arm.move([start.at_height(height)], tolerance=0.01, noisy=False)
        tolerance = _DRAG_ARRIVED if waypoint is waypoints[-1] else _PASSED
        yield from _drag_straight(context, name, waypoint, height, tolerance)
        up = scene.hand_pose().shifted(_ABOVE * UP)
        yield from arm.move([up], tolerance=0.03, noisy=False)
    up = scene.hand_pose().shifted(0.1 * UP)
    yield from arm.move([Pose(up.position, context.home)], tolerance=0.03, noisy=False)


def _drag_straight(
    context: SkillContext, name: str, waypoint: FloatArray, height: float, tolerance: float
) -> Actions:
    """Drag straight to a waypoint, until it is near or the fingers slipped off."""
    scene, arm = context.scene, context.arm
    middle = scene.hand_pose().position[:2]
    for _ in range(_SETTLING):
        yield arm.toward(Pose(np.append(middle, height - _PRESS), context.home))
    for _ in range(_DRAG_STEPS):
        offset = (waypoint - scene.position(name))[:2]
        distance = float(np.linalg.norm(offset))
        off = float(np.linalg.norm((scene.hand_pose().position - scene.position(name))[:2]))
        if distance < tolerance or off > _SLIPPED:
            return
        lead = min(_DRAG_LEAD, 0.02 + distance)
        ahead = scene.hand_pose().position[:2] + lead * offset / distance
        # Without pressure the fingers would slide up the slanting rim and over it.
        yield arm.toward(Pose(np.append(ahead, height - _PRESS), context.home))


def _waypoints(context: SkillContext, name: str, destination: Destination) -> list[FloatArray]:
    """Find waypoints (3,) to a free spot of a destination without a collision."""
    scene = context.scene
    start = scene.position(name)
    boxes = scene.object_boxes(name).inflated(_CLEARANCE)
    boxes = OrientedBoxes(boxes.center + 1.5 * _CLEARANCE * UP, boxes.axes, boxes.half)  # lifted
    others = scene.surroundings(name)
    offsets = [np.array([x, y, 0.0]) for x in _OFFSETS for y in _OFFSETS]
    spread = np.append(destination.spread, 0.0)
    for offset in sorted(offsets, key=lambda offset: float(np.linalg.norm(offset))):
        target = destination.target + offset * spread
        if not _slides_freely(boxes, start, target, target, others):
            continue
        level = (target - start) * [1.0, 1.0, 0.0]
        side = np.cross(UP, level / (np.linalg.norm(level) + 1e-9))
        detours = [start + share * level + aside * side for aside in _ASIDES for share in _SHARES]
        for points in ([target], *([detour, target] for detour in detours)):
            legs = pairwise([start, *points])
            if all(_slides_freely(boxes, start, a, b, others) for a, b in legs):
                return list(points)
    return [destination.target]


def _slides_freely(
    boxes: OrientedBoxes,
    start: FloatArray,
    first: FloatArray,
    second: FloatArray,
    others: OrientedBoxes,
) -> bool:
    """Tell whether an object standing at a start can slide from one point to another."""
    steps = max(2, int(np.linalg.norm((second - first)[:2]) / 0.02))
    shifts = [(first + s * (second - first) - start) for s in np.linspace(0, 1, steps)]
    level = [shift * [1.0, 1.0, 0.0] for shift in shifts]
    return not any(any_overlap(boxes.moved(np.eye(3), shift), others) for shift in level)


def _pressing_height(context: SkillContext, name: str) -> float:
    """Give the height of the grip site with the finger tips just above the object's middle."""
    boxes = context.scene.object_boxes(name)
    middle = context.scene.position(name)
    near = np.linalg.norm((boxes.center - middle)[:, :2], axis=1) < 0.02
    corners: FloatArray = boxes.corners()[near] if near.any() else boxes.corners()
    return float(corners[..., 2].max()) + TIP_LENGTH + _FLOOR_GAP


def is_leaning(context: SkillContext, name: str, upright: FloatArray) -> bool:
    """Tell whether an object leans; ``upright`` is the vertical, in its frame, when it stood."""
    cosine = float((context.scene.rotation(name) @ upright)[2])
    return bool(np.arccos(np.clip(cosine, -1.0, 1.0)) > MAX_LEAN)


def nudge(context: SkillContext, name: str, destination: Destination) -> Actions:
    """Push an object level to the middle of its destination, unless the hand cannot get behind it.

    An object that leans on the front of a drawer keeps it from being shut.
    """
    scene, arm = context.scene, context.arm
    direction = (destination.target - scene.position(name)) * [1.0, 1.0, 0.0]
    direction = direction / (np.linalg.norm(direction) + 1e-9)
    boxes = scene.object_boxes(name)
    rotation = closest_rotation(np.cross(UP, direction), DOWN, context.home)
    rear = boxes.extent_along(-direction) + float(scene.position(name) @ direction)
    height = float(boxes.bounds()[1][2]) - _BELOW_TOP + TIP_LENGTH
    start = Pose(scene.position(name) - (rear + _BEFORE) * direction, rotation).at_height(height)
    arm.gripper = CLOSE
    try:
        yield from travel(context, start)
    except PlanningError:
        return
    for _ in range(_NUDGE_STEPS):
        hand = scene.hand_pose().position
        ahead = float((hand - start.position) @ direction)
        distance = float((destination.target - scene.position(name)) @ direction)
        if distance < _NUDGE_ARRIVED or ahead > _LONGEST_NUDGE:
            break
        yield arm.toward(start.shifted((ahead + _NUDGE_LEAD) * direction))
    up = scene.hand_pose().shifted(0.1 * UP)
    yield from arm.move([up], tolerance=0.03, noisy=False)
