"""Grasp candidates: pairs of opposite faces that the fingers can close on, and their costs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

from policies.expert.geometry import OrientedBoxes, Surface, sample_surface
from policies.expert.pose import DOWN, Pose, angle_between, closest_rotation
from tasks.observation import FloatArray

TIP_LENGTH = 0.010
"""Reach of the finger tips past the grip site (a little over the mesh's 9.2 mm)."""

MAX_GAP = 0.0774
"""Distance between the open finger pads."""

CLEARANCES = ((0.010, 0.2), (0.007, 0.1), (0.005, 0.06), (0.003, 0.06))
"""Distances to other objects and to joint limits, from generous to tight."""

_DEPTHS = (0.012, 0.018, 0.024, 0.030, 0.036)
_BEST_DEPTH = 0.030
_PAD_HALF_WIDTH = 0.008
_SPACING = 0.004
_PAD_HEIGHT = 0.016
_MAX_WIDTH = 0.068
_TIGHT_WIDTH = 0.055
_MIN_AREA = 80e-6
_MAX_TILT = 0.45
_TILTS = (0.35, 0.6)
_AZIMUTHS = 8
_GRIPPER_REACH = 0.25
_SLIDES = (-0.5, 0.5, -0.8, 0.8)
_SLIDE_COST = 0.2


@dataclass(frozen=True)
class Grasp:
    """A grasp of an object.

    Attributes:
        pose: Pose of the hand when the fingers close.
        cost: Smaller is better.
        width: Distance between the two faces.
        depth: Reach of the tips past the nearest surface between them.
        clearance: Distance to other objects on the approach; 0 if unknown.
        slide: (3,) displacement of the object by the closing fingers, if any.
    """

    pose: Pose
    cost: float
    width: float
    depth: float = _BEST_DEPTH
    clearance: float = 0.0
    slide: FloatArray | None = None

    @property
    def tight(self) -> bool:
        """Whether the hand must arrive exactly: the fingers just fit, or hardly pass by."""
        return self.width > _TIGHT_WIDTH or self.clearance < CLEARANCES[0][0]


@dataclass(frozen=True, kw_only=True)
class GraspPreferences:
    """Preferences among grasps that hold equally well.

    Attributes:
        home: Turns from this orientation cost more.
        drop: (3,) destination of the object's origin, or None.
        base: The farther the hand at the drop is from the base, the more it costs.
        tilted: Whether a tilted hand may grasp where a vertical one cannot.
    """

    home: FloatArray
    drop: FloatArray | None
    base: FloatArray
    tilted: bool = False


def candidate_grasps(
    boxes: OrientedBoxes, origin: FloatArray, preferences: GraspPreferences
) -> Iterator[Grasp]:
    """Enumerate grasps of an object from straight above.

    Args:
        boxes: Boxes of the object.
        origin: (3,) origin of its body.
        preferences: Preferences among the grasps.
    """
    surface, middle = sample_surface(boxes), boxes.middle()
    for yaw in _yaws(boxes, preferences.home):
        closing = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        rotation = closest_rotation(closing, DOWN, preferences.home)
        for grip in antipodal_grips(surface, middle, closing, DOWN):
            yield _grasp(grip, rotation, origin, preferences)


def tilted_grasps(
    boxes: OrientedBoxes, origin: FloatArray, preferences: GraspPreferences
) -> Iterator[Grasp]:
    """Enumerate grasps of a tilted hand, for objects under others; see ``candidate_grasps``."""
    surface, middle = sample_surface(boxes), boxes.middle()
    for tilt, azimuth in product(_TILTS, np.arange(_AZIMUTHS) * 2 * np.pi / _AZIMUTHS):
        rotation = tilted_hand_rotation(tilt, azimuth, preferences.home)
        for grip in antipodal_grips(surface, middle, rotation[:, 0], rotation[:, 2]):
            yield _grasp(grip, rotation, origin, preferences)


def sliding_grasps(
    boxes: OrientedBoxes, origin: FloatArray, preferences: GraspPreferences
) -> Iterator[Grasp]:
    """Enumerate grasps from above beside an object, for objects close to others.

    The finger that meets the object first pushes it under the hand. See ``candidate_grasps``.
    """
    for grasp in candidate_grasps(boxes, origin, preferences):
        room = (MAX_GAP - grasp.width) / 2 - CLEARANCES[-1][0]
        for share in _SLIDES:
            slide = share * room * grasp.pose.rotation[:, 0]
            cost = grasp.cost + _SLIDE_COST * abs(share)
            yield replace(grasp, pose=grasp.pose.shifted(slide), cost=cost, slide=slide)


def tilted_hand_rotation(tilt: float, azimuth: float, home: FloatArray) -> FloatArray:
    """Give an orientation whose fingers point down and aside and close horizontally.

    Args:
        tilt: Angle of the fingers from straight down.
        azimuth: Direction of the tilt, about the vertical.
        home: Of the two options, the one closer to it is taken.
    """
    aside = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    closing = np.array([-aside[1], aside[0], 0.0])
    return closest_rotation(closing, np.sin(tilt) * aside + np.cos(tilt) * DOWN, home)


class AntipodalGrip(NamedTuple):
    """Two opposite faces between the fingers.

    Attributes:
        position: (3,) of the grip site.
        width: Distance between the faces.
        tilt: Mean angle between their normals and the closing axis.
        depth: Reach of the tips past the nearest surface between them.
        away: Distance of the site from the object's middle, across the approach.
    """

    position: FloatArray
    width: float
    tilt: float
    depth: float
    away: float


def antipodal_grips(
    surface: Surface, middle: FloatArray, closing: FloatArray, approach: FloatArray
) -> Iterator[AntipodalGrip]:
    """Enumerate pairs of opposite faces that fingers of one orientation can close on.

    Args:
        surface: Surface of the object.
        middle: (3,) middle of the object.
        closing: (3,) unit vector along which the fingers close.
        approach: (3,) unit vector of the fingers, across the closing axis.
    """
    side = np.cross(-approach, closing)
    useful = np.abs(surface.normals @ closing) > np.cos(_MAX_TILT)
    if not useful.any():
        return
    points = surface.points[useful] - middle
    v = points @ side
    faces = np.stack(
        [
            points @ closing,
            surface.points[useful] @ -approach,
            surface.normals[useful] @ closing,
            surface.areas[useful],
        ]
    )
    across = middle - (middle @ approach) * approach
    count = int(np.abs(v).max() / _SPACING)
    for offset in np.arange(-count, count + 1) * _SPACING:
        band = np.abs(v - offset) < _PAD_HALF_WIDTH
        for centre, tip, width, tilt, depth in face_pairs(faces[:, band]):
            position = across + centre * closing + offset * side - (tip + TIP_LENGTH) * approach
            yield AntipodalGrip(position, width, tilt, depth, float(np.hypot(centre, offset)))


def face_pairs(faces: FloatArray) -> Iterator[tuple[float, float, float, float, float]]:
    """Pair opposite faces: (centre, tip height, width, mean tilt, depth).

    Args:
        faces: (4, P) rows of the samples between the fingers: coordinate along the closing axis,
            height against the approach, cosine between normal and closing axis, area.
    """
    if not faces.shape[1]:
        return
    top = float(faces[1].max())
    for depth in _DEPTHS:
        level = (faces[1] > top - depth) & (faces[1] < top - depth + _PAD_HEIGHT)
        right = _walls(faces[:, level & (faces[2] > 0)])
        left = _walls(faces[:, level & (faces[2] < 0)])
        for left_u, left_tilt in left:
            for right_u, right_tilt in right:
                width = right_u - left_u
                if 0.0005 < width < _MAX_WIDTH:
                    tilt = (left_tilt + right_tilt) / 2
                    yield (left_u + right_u) / 2, top - depth, width, tilt, depth


def _walls(faces: FloatArray) -> list[tuple[float, float]]:
    """Group samples of one facing by coordinate: (outermost, mean tilt) of each group.

    Groups with little area are edges, too narrow to hold.
    """
    faces = faces[:, np.argsort(faces[0])]
    u, _, facing, areas = faces
    ends = [0, *(np.flatnonzero(u[1:] - u[:-1] > 0.004) + 1), len(u)]
    tilts = np.arccos(np.minimum(np.abs(facing), 1.0))
    outward = float(np.sign(facing.sum()))
    walls = []
    for begin, end in pairwise(ends):
        weights = areas[begin:end]
        weight = weights.sum()
        if weight > _MIN_AREA:
            outermost = outward * float((outward * u[begin:end]).max())
            tilt = float((tilts[begin:end] * weights).sum() / weight)
            walls.append((outermost, tilt))
    return walls


def _yaws(boxes: OrientedBoxes, home: FloatArray) -> list[float]:
    """List directions to try: the home closing axis, 15 more, and the object's larger faces."""
    start = float(np.arctan2(home[1, 0], home[0, 0]))
    yaws = [start + step * np.pi / 16 for step in range(16)]
    largest = np.argsort(-np.prod(boxes.half, axis=1))[:3]
    for box in largest:
        for axis in range(3):
            direction = boxes.axes[box][:, axis]
            if abs(direction[2]) < 0.3:
                yaws.append(float(np.arctan2(direction[1], direction[0])))
    return yaws


def _grasp(
    grip: AntipodalGrip, rotation: FloatArray, origin: FloatArray, preferences: GraspPreferences
) -> Grasp:
    """Make a grasp, with costs for a poor hold, a turned hand and a drop far from the base."""
    cost = grip_cost(grip) + 0.35 * angle_between(preferences.home, rotation)
    if preferences.drop is not None:
        hand = preferences.drop + (grip.position - origin)
        cost += 1.0 * float(np.hypot(*(hand - preferences.base)[:2]))
    return Grasp(Pose(grip.position, rotation), cost, grip.width, grip.depth)


def grip_cost(grip: AntipodalGrip) -> float:
    """Give the cost of skewed faces, of a grip off centre, and of a shallow or deep one."""
    cost = 1.5 * grip.tilt + 6.0 * grip.away + 12.0 * max(0.0, _BEST_DEPTH - grip.depth)
    return cost + 8.0 * max(0.0, grip.depth - _BEST_DEPTH)


def within_gripper_reach(boxes: OrientedBoxes, around: OrientedBoxes) -> OrientedBoxes:
    """Keep the boxes that a gripper at an object, given by its boxes, could touch."""
    low, high = around.bounds()
    middle, reach = (low + high) / 2, float(np.linalg.norm(high - low)) / 2 + _GRIPPER_REACH
    gap = np.linalg.norm(boxes.center - middle, axis=1) - np.linalg.norm(boxes.half, axis=1)
    keep = gap < reach
    return OrientedBoxes(boxes.center[keep], boxes.axes[keep], boxes.half[keep])
