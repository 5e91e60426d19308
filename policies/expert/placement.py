"""Destinations of objects, and the turn, offset and height at which the hand lets go of them."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from policies.expert.drop_simulation import DropSimulation
from policies.expert.geometry import OrientedBoxes, support_height, support_heights
from policies.expert.grasp_candidates import MAX_GAP
from policies.expert.kinematics import InverseKinematics
from policies.expert.pose import UP, Pose, axis_rotation
from policies.expert.scene import Scene
from tasks.observation import FloatArray

_DROP = 0.005
_MAX_FALL = 0.09
_YAWS = np.arange(-4, 5) * np.pi / 8
_SHARES = (0.0, -0.2, 0.2, -0.4, 0.4, -0.8, 0.8)
_EDGE = 0.012
_ON_TOP = 0.10
UPRIGHT = 0.95
_MAX_TRIES = 8
_SURROUNDINGS = 0.02
_MAX_RISE = 0.25


@dataclass(frozen=True)
class Destination:
    """Positions in which an object's origin may come to rest.

    Attributes:
        target: (3,) best position; of its height, only what lies below matters.
        spread: (2,) largest offset from the target along x and y.
        low: Lowest height of the origin.
        high: Highest height of the origin.
        predicate: ``on`` or ``in``.
        region: Name of the region; empty if the support is an object.
    """

    target: FloatArray
    spread: FloatArray
    low: float = -np.inf
    high: float = np.inf
    predicate: str = "on"
    region: str = ""


@dataclass(frozen=True)
class Placement:
    """Position (3,) of an object's origin, its height ignored, and turn from how it is held."""

    target: FloatArray
    yaw: float = 0.0


@dataclass(frozen=True)
class Release:
    """The lowest pose to which a held object can be brought before it is let go.

    Attributes:
        pose: Pose of the hand when it lets go.
        fall: Distance that the object falls then.
        rest: Height of its origin afterwards.
    """

    pose: Pose
    fall: float
    rest: float


def find_destination(scene: Scene, predicate: str, support: str) -> Destination:
    """Find where an object must come to rest to be ``on`` or ``in`` a region, or on an object."""
    if support not in scene.env.object_sites_dict:
        return Destination(scene.position(support), np.zeros(2))
    middle, extent = scene.region(support)
    spread = np.maximum(extent[:2] - _EDGE, 0.0)
    if predicate == "in":
        low, high = middle[2] - extent[2] - 0.01, middle[2] + extent[2]
    else:
        low, high = middle[2], middle[2] + extent[2] + _ON_TOP
    return Destination(middle, spread, low, high, predicate, support)


def share_region(
    position: FloatArray, other: FloatArray, size: FloatArray, destination: Destination
) -> Destination:
    """Leave room for another object on the same region: each goes to the side it comes from.

    Args:
        position: (3,) of the object now.
        other: (3,) of the other object now.
        size: (3,) extents of the object along the world's axes; the objects are put side by side
            along the narrower one.
        destination: The whole region.
    """
    axis = int(np.argmin(size[:2]))
    offset = np.zeros(3)
    offset[axis] = np.copysign(0.75 * destination.spread[axis], position[axis] - other[axis])
    return replace(destination, target=destination.target + offset, spread=np.zeros(2))


def find_release(
    scene: Scene, name: str, placement: Placement, others: OrientedBoxes | None = None
) -> Release:
    """Find the lowest release of a held object in which it and the opened fingers touch nothing.

    ``others``, if not given, are computed.
    """
    hand, origin = scene.hand_pose(), scene.position(name)
    turn = _turn(placement)
    shift = np.zeros(3)
    shift[:2] = (placement.target - origin)[:2]
    move = origin - turn @ origin + shift
    if others is None:
        others = scene.surroundings(name)
    fingers = scene.gripper_boxes(MAX_GAP).moved(hand.rotation, hand.position)
    rises = []
    for shape in (scene.object_boxes(name), fingers):
        moved = shape.moved(turn, move)
        below = support_heights(others, moved, default=0.0)
        rises.append(float((below + _DROP - moved.corners()[:, :, 2].min(1)).max()))
    shift[2] = max(rises)
    pose = Pose(turn @ (hand.position - origin) + origin + shift, turn @ hand.rotation)
    return Release(pose, shift[2] - rises[0], float(origin[2]) + rises[0] - _DROP)


def resting_pose(
    scene: Scene, name: str, placement: Placement, release: Release
) -> tuple[FloatArray, FloatArray]:
    """Give a held object's origin (3,) and orientation (3, 3) when it is let go at a placement."""
    height = release.rest + _DROP + max(release.fall, 0.0)
    return np.append(placement.target[:2], height), _turn(placement) @ scene.rotation(name)


def clearance_rise(scene: Scene, name: str, release: Pose) -> float:
    """Find the height above its release in which a held object is clear of its surroundings."""
    hand = scene.hand_pose()
    turn = release.rotation @ hand.rotation.T
    move = release.position - turn @ hand.position
    moved = scene.object_boxes(name).moved(turn, move)
    others = scene.surroundings(name)
    around = support_height(others, moved.inflated(_SURROUNDINGS), default=0.0)
    return min(_MAX_RISE, around + _DROP - float(moved.bounds()[0][2]))


def is_sloped(scene: Scene, region: str) -> bool:
    """Tell whether a region is not level, so that an object must lie along it."""
    return float(np.abs(scene.region_axes(region)[2]).max()) < UPRIGHT


def aligning_yaws(scene: Scene, name: str, region: str) -> list[float]:
    """Give the turns that align the sides of an object's largest box with a region's, sorted."""
    boxes = scene.object_boxes(name)
    largest = boxes.axes[int(np.argmax(np.prod(boxes.half, axis=1)))]
    side, axis = (
        max(axes.T, key=lambda axis: float(np.hypot(*axis[:2])))
        for axes in (largest, scene.region_axes(region))
    )
    angle = float(np.arctan2(axis[1], axis[0]) - np.arctan2(side[1], side[0]))
    quarter = np.pi / 2
    least = float(np.remainder(angle + quarter / 2, quarter) - quarter / 2)
    return sorted((least + turn * quarter for turn in (-1, 0, 1)), key=abs)


def level_directions(axes: FloatArray, least: float) -> list[FloatArray]:
    """Give the unit vectors along and against the axes whose horizontal length is at least so."""
    level = [axis * [1.0, 1.0, 0.0] for axis in axes.T if np.hypot(*axis[:2]) > least]
    return [sign * axis / np.linalg.norm(axis) for axis in level for sign in (1.0, -1.0)]


@dataclass(frozen=True)
class UprightPlacement:
    """The result of a search for an upright placement.

    Attributes:
        placement: None if the object would come to rest outside its destination everywhere.
        is_default: Whether the placement is over the middle, as the object is held.
        too_low: Whether the object would come to rest below its destination somewhere.
    """

    placement: Placement | None
    is_default: bool
    too_low: bool = False


def find_upright_placement(
    scene: Scene, kinematics: InverseKinematics, name: str, destination: Destination
) -> UprightPlacement:
    """Find a placement of a held object from which it comes to rest at its destination.

    Over the middle, as it is held, if that works; otherwise with the least turn and offset for
    which a simulated drop ends there.
    """
    default = Placement(destination.target)
    region = destination.region
    if not region or _rests_inside(find_release(scene, name, default), destination):
        return UprightPlacement(default, is_default=True)
    others = scene.surroundings(name)
    simulation, tries, too_low = DropSimulation(scene), 0, False
    chosen = None
    for candidate in _placements(destination, aligning_yaws(scene, name, region)):
        release = find_release(scene, name, candidate, others)
        too_low = too_low or release.rest < destination.low
        if chosen is not None or tries >= _MAX_TRIES or not _rests_inside(release, destination):
            continue
        if kinematics.solve(release.pose).reached:
            tries += 1
            position, rotation = resting_pose(scene, name, candidate, release)
            upright = scene.is_articulated(region)
            if simulation.stays(
                name, position, rotation, destination.predicate, region, upright=upright
            ):
                chosen = candidate
    return UprightPlacement(chosen, is_default=False, too_low=too_low)


def _placements(destination: Destination, aligning: list[float]) -> list[Placement]:
    """List turns and offsets to try, the smallest first."""
    options = []
    for yaw, x, y in product([*_YAWS, *aligning], _SHARES, _SHARES):
        offset = np.array([x * destination.spread[0], y * destination.spread[1], 0.0])
        cost = 0.1 * abs(yaw) + 2.0 * float(np.linalg.norm(offset))
        options.append((cost, Placement(destination.target + offset, float(yaw))))
    return [placement for _, placement in sorted(options, key=lambda option: option[0])]


def _rests_inside(release: Release, destination: Destination) -> bool:
    return destination.low <= release.rest <= destination.high and release.fall < _MAX_FALL


def _turn(placement: Placement) -> FloatArray:
    return axis_rotation(UP, placement.yaw) if placement.yaw else np.eye(3)
