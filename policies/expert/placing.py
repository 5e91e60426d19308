"""Where to let go of a gripped object: how it is turned and how far it is off the middle."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from policies.expert.drop_simulation import Imagination
from policies.expert.geometry import Boxes, support_height, support_heights
from policies.expert.grasp import MAX_GAP
from policies.expert.kinematics import Kinematics
from policies.expert.pose import Pose, axis_rotation
from policies.expert.scene import Scene
from tasks.observation import FloatArray

_DROP = 0.005
_MAX_FALL = 0.09
_YAWS = np.arange(-4, 5) * np.pi / 8
_SHARES = (0.0, -0.2, 0.2, -0.4, 0.4, -0.8, 0.8)
_EDGE = 0.012
_ON_TOP = 0.10
_UPRIGHT = 0.95
_MAX_TRIES = 8
_SURROUNDINGS = 0.02
_MAX_RISE = 0.25
_UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Place:
    """Where an object's origin may come to rest.

    Attributes:
        target: (3,) metres, best place; its height only says what lies below.
        spread: (2,) how far from it the origin may be along the world's x and y, metres.
        low: Lowest height of the origin, metres.
        high: Highest height.
        predicate: ``on`` or ``in``.
        region: BDDL name of the region; empty for an object.
    """

    target: FloatArray
    spread: FloatArray
    low: float = -np.inf
    high: float = np.inf
    predicate: str = "on"
    region: str = ""


@dataclass(frozen=True)
class Spot:
    """One way to put an object down.

    Attributes:
        target: (3,) for its origin, metres; the height does not matter.
        yaw: Turn about the vertical from how it is held, rad.
    """

    target: FloatArray
    yaw: float = 0.0


@dataclass(frozen=True)
class Release:
    """What follows from a spot.

    Attributes:
        pose: Of the hand when it lets go.
        fall: How far the object falls then, metres.
        rest: Height of its origin afterwards, metres.
    """

    pose: Pose
    fall: float
    rest: float


def place_of(scene: Scene, predicate: str, support: str) -> Place:
    """Find where an object must go for ``on`` or ``in`` to hold.

    Args:
        scene: The scene.
        predicate: ``on`` or ``in``.
        support: BDDL name of a region or an object.
    """
    if support not in scene.env.object_sites_dict:
        return Place(scene.position(support), np.zeros(2))
    middle, extent = scene.region(support)
    spread = np.maximum(extent[:2] - _EDGE, 0.0)
    if predicate == "in":
        low, high = middle[2] - extent[2] - 0.01, middle[2] + extent[2]
    else:
        low, high = middle[2], middle[2] + extent[2] + _ON_TOP
    return Place(middle, spread, low, high, predicate, support)


def release_at(scene: Scene, name: str, spot: Spot, others: Boxes | None = None) -> Release:
    """Find how low a gripped object can be brought at a spot before it is let go.

    Both the object and the opened fingers must stay clear of what is under them.

    Args:
        scene: The scene; the object is gripped.
        name: The gripped object.
        spot: Where.
        others: All but the object and the robot, where that is at hand.
    """
    hand, origin = scene.hand_pose(), scene.position(name)
    turn = axis_rotation(_UP, spot.yaw) if spot.yaw else np.eye(3)
    shift = np.zeros(3)
    shift[:2] = (spot.target - origin)[:2]
    move = origin - turn @ origin + shift
    if others is None:
        others = scene.obstacles(without=scene.subtree(scene.body(name)))
    fingers = scene.gripper_boxes(MAX_GAP).moved(hand.rotation, hand.position)
    rises = []
    for shape in (scene.object_boxes(name), fingers):
        moved = shape.moved(turn, move)
        below = support_heights(others, moved, default=0.0)
        rise = float((below + _DROP - moved.corners()[:, :, 2].min(1)).max())
        rises.append(rise)
    shift[2] = max(rises)
    pose = Pose(turn @ (hand.position - origin) + origin + shift, turn @ hand.rotation)
    return Release(pose, shift[2] - rises[0], float(origin[2]) + rises[0] - _DROP)


def slopes(scene: Scene, region: str) -> bool:
    """Tell whether a region is no level surface: what is put on it must lie along it."""
    return float(np.abs(scene.region_axes(region)[2]).max()) < _UPRIGHT


def aligning_yaws(scene: Scene, name: str, region: str) -> list[float]:
    """Give the turns that bring an object's sides along a region's, smallest first, rad.

    Args:
        scene: The scene.
        name: The object; its largest box tells its sides.
        region: BDDL name of the region.
    """
    boxes = scene.object_boxes(name)
    side = boxes.axes[int(np.argmax(np.prod(boxes.half, axis=1)))]
    own = max(side.T, key=lambda axis: float(np.hypot(*axis[:2])))
    axis = max(scene.region_axes(region).T, key=lambda axis: float(np.hypot(*axis[:2])))
    angle = float(np.arctan2(axis[1], axis[0]) - np.arctan2(own[1], own[0]))
    quarter = np.pi / 2
    least = float(np.remainder(angle + quarter / 2, quarter) - quarter / 2)
    return sorted((least + turn * quarter for turn in (-1, 0, 1)), key=abs)


def clearing_rise(scene: Scene, name: str, release: Pose) -> float:
    """Find how far above its release a gripped object is out of what surrounds it, metres.

    Args:
        scene: The scene; the object is gripped.
        name: The gripped object.
        release: Where the hand lets go.
    """
    hand = scene.hand_pose()
    turn = release.rotation @ hand.rotation.T
    move = release.position - turn @ hand.position
    moved = scene.object_boxes(name).moved(turn, move)
    others = scene.obstacles(without=scene.subtree(scene.body(name)))
    around = support_height(others, moved.inflated(_SURROUNDINGS), default=0.0)
    return min(_MAX_RISE, around + _DROP - float(moved.bounds()[0][2]))


@dataclass(frozen=True)
class Standing:
    """How a gripped object can be put down upright.

    Attributes:
        spot: Where; None if it would come to rest outside its place in every way.
        usual: Whether that is over the middle, as it is held.
        too_low: Whether it would somewhere stand lower than it must.
    """

    spot: Spot | None
    usual: bool
    too_low: bool = False


def find_standing(scene: Scene, kinematics: Kinematics, name: str, place: Place) -> Standing:
    """Find how to put a gripped object down so that it comes to rest where it should.

    Over the middle as it is held if that works; otherwise with the least turn and offset with
    which it ends there in imagination.

    Args:
        scene: The scene; the object is gripped.
        kinematics: Of its robot.
        name: The gripped object.
        place: Where its origin may be.
    """
    usual = Spot(place.target)
    if not place.region or _settles(release_at(scene, name, usual), place):
        return Standing(usual, usual=True)
    others = scene.obstacles(without=scene.subtree(scene.body(name)))
    spots = []
    yaws = [*_YAWS, *aligning_yaws(scene, name, place.region)]
    for yaw, x, y in product(yaws, _SHARES, _SHARES):
        offset = np.array([x * place.spread[0], y * place.spread[1], 0.0])
        cost = 0.1 * abs(yaw) + 2.0 * float(np.linalg.norm(offset))
        spots.append((cost, Spot(place.target + offset, float(yaw))))
    imagination, tried, too_low = Imagination(scene), 0, False
    found = None
    for _, spot in sorted(spots, key=lambda item: item[0]):
        release = release_at(scene, name, spot, others)
        too_low = too_low or release.rest < place.low
        if found is not None or tried >= _MAX_TRIES or not _settles(release, place):
            continue
        if kinematics.reach(release.pose).reached:
            tried += 1
            position, rotation = resting_pose(scene, name, spot, release)
            region = place.region
            if imagination.stays(
                name, position, rotation, place.predicate, region, upright=scene.moves(region)
            ):
                found = spot
    return Standing(found, usual=False, too_low=too_low)


def resting_pose(
    scene: Scene, name: str, spot: Spot, release: Release
) -> tuple[FloatArray, FloatArray]:
    """Give a gripped object's origin (3,) and orientation (3, 3) when it is let go at a spot."""
    height = release.rest + _DROP + max(release.fall, 0.0)
    turn = axis_rotation(_UP, spot.yaw) if spot.yaw else np.eye(3)
    return np.append(spot.target[:2], height), turn @ scene.rotation(name)


def _settles(release: Release, place: Place) -> bool:
    return place.low <= release.rest <= place.high and release.fall < _MAX_FALL


def apart(own: FloatArray, other: FloatArray, size: FloatArray, place: Place) -> Place:
    """Leave room for another object on the same region: to one side, each on its own.

    Args:
        own: (3,) where the object is now, metres.
        other: (3,) where the other one is.
        size: (3,) extents of the object along the world's axes; the sides are those of the
            narrower one.
        place: The whole region.
    """
    axis = int(np.argmin(size[:2]))
    offset = np.zeros(3)
    offset[axis] = np.copysign(0.75 * place.spread[axis], own[axis] - other[axis])
    return replace(place, target=place.target + offset, spread=np.zeros(2))
