"""Where to grip an object: search, score, then check collisions and reach."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np

from policies.expert.geometry import Boxes, Surface, any_overlap, sample_surface
from policies.expert.kinematics import Kinematics
from policies.expert.pose import Pose, angle_between, hand_rotation
from policies.expert.scene import Scene
from policies.interface import PlanningError
from tasks.observation import FloatArray

DOWN = np.array([0.0, 0.0, -1.0])

TIP_LENGTH = 0.010
"""How far the finger tips reach past the grip site, metres (a little over the mesh's 9.2 mm)."""

MAX_GAP = 0.0774
"""Distance between the open finger pads, metres."""

_DEPTHS = (0.012, 0.018, 0.024, 0.030, 0.036)
_WISHED_DEPTH = 0.030
_FIRM_DEPTH = 0.020
_PAD_HALF_WIDTH = 0.008
_SPACING = 0.004
_PAD_HEIGHT = 0.016
_MAX_WIDTH = 0.068
_TIGHT_WIDTH = 0.055
_MIN_AREA = 80e-6
_MAX_TILT = 0.45
_LAST = 0.010
_CLOSING_STEPS = 4
_DEEPER = 0.004
_TILTS = (0.35, 0.6)
_AZIMUTHS = 8
_SWEEP = (0.0, 0.025, 0.05, 0.075)
_GRIPPER_REACH = 0.25
_SLIDES = (-0.5, 0.5, -0.8, 0.8)
_SLIDE_COST = 0.2

_PASSES = ((0.010, 0.2), (0.007, 0.1), (0.005, 0.06), (0.003, 0.06))
"""Distance to other things, metres, and to joint limits, rad: first generous, then tight."""


@dataclass(frozen=True)
class Grasp:
    """One way to grip.

    Attributes:
        pose: Of the grip site when the fingers close.
        cost: Smaller is better; see ``_cost``.
        width: Distance between the two faces, metres.
        depth: How far the tips reach past the nearest of what lies between them, metres.
        clearance: Distance to other things on the way down, metres; 0 where it is not known.
        slide: (3,) how far the closing fingers push the object, metres; None for not at all.
    """

    pose: Pose
    cost: float
    width: float
    depth: float = _WISHED_DEPTH
    clearance: float = 0.0
    slide: FloatArray | None = None

    @property
    def tight(self) -> bool:
        """Whether the hand must arrive exactly: the fingers just fit, or hardly pass by."""
        return self.width > _TIGHT_WIDTH or self.clearance < _PASSES[0][0]


@dataclass(frozen=True, kw_only=True)
class GraspWish:
    """What makes one grasp better than another beside its hold.

    Attributes:
        home: (3, 3) orientation the hand should stay close to.
        drop: (3,) where the object's origin will go, or None.
        base: (3,) of the robot; a drop farther from it is worse.
        leaning: Whether the hand may lean where it cannot grip from straight above.
    """

    home: FloatArray
    drop: FloatArray | None
    base: FloatArray
    leaning: bool = False


def find_grasp(scene: Scene, kinematics: Kinematics, name: str, wish: GraspWish) -> Grasp:
    """Find the best grasp that touches nothing and can be reached, from above if possible.

    Args:
        scene: The scene as it is now.
        kinematics: Of its robot.
        name: BDDL name of the object.
        wish: Preferences.

    Raises:
        PlanningError: If none of the candidates is possible.
    """
    own = scene.object_boxes(name)
    origin = scene.position(name)
    count = 0
    ways = (candidate_grasps, leaning_grasps) if wish.leaning else (candidate_grasps,)
    for enumerate_grasps in (*ways, sliding_grasps):
        candidates = enumerate_grasps(own, origin, wish)
        ordered = sorted(candidates, key=lambda grasp: grasp.cost)
        count += len(ordered)
        # A rim held by its edge slips away: a firm grip is worth a tight way down.
        firm = [grasp for grasp in ordered if grasp.depth >= _FIRM_DEPTH]
        for choice in (firm, [grasp for grasp in ordered if grasp.depth < _FIRM_DEPTH]):
            grasp = _first_free(scene, kinematics, name, choice)
            if grasp is not None:
                return grasp
    raise PlanningError(
        f"No grasp from above was found for '{name}': {count} candidates, "
        "all blocked or out of reach."
    )


def _first_free(
    scene: Scene, kinematics: Kinematics, name: str, candidates: Sequence[Grasp]
) -> Grasp | None:
    """Of grasps in order, the first that touches nothing and can be reached."""
    own = scene.object_boxes(name)
    near = nearby(scene.obstacles(without=scene.subtree(scene.body(name))), own)
    gripper = scene.gripper_boxes(MAX_GAP)
    for clearance, margin in _PASSES:
        blocks = Boxes.concatenate([own, near.inflated(clearance)])
        for grasp in candidates:
            if any(any_overlap(_placed(gripper, grasp.pose, back), blocks) for back in _SWEEP):
                continue
            if not closes_freely(scene, grasp, own):
                continue
            reach = kinematics.reach(grasp.pose)
            if reach.reached and reach.margin > margin:
                return replace(grasp, clearance=clearance)
    return None


def closes_freely(scene: Scene, grasp: Grasp, own: Boxes) -> bool:
    """Tell whether the closing fingers meet nothing of an object before the faces they hold.

    Args:
        scene: Of the gripper.
        grasp: How it grips.
        own: Boxes of the object.
    """
    if grasp.slide is not None:
        own = own.moved(np.eye(3), grasp.slide)
    for gap in np.linspace(MAX_GAP, grasp.width + _LAST, _CLOSING_STEPS):
        fingers = scene.gripper_boxes(min(gap, MAX_GAP), hand=False)
        if any_overlap(_placed(fingers, grasp.pose, -_DEEPER), own):
            return False
    return True


def nearby(boxes: Boxes, around: Boxes) -> Boxes:
    """Keep the boxes that a gripper at an object could touch.

    Args:
        boxes: Of the scene.
        around: Of the object.
    """
    low, high = around.bounds()
    middle, reach = (low + high) / 2, float(np.linalg.norm(high - low)) / 2 + _GRIPPER_REACH
    gap = np.linalg.norm(boxes.center - middle, axis=1) - np.linalg.norm(boxes.half, axis=1)
    keep = gap < reach
    return Boxes(boxes.center[keep], boxes.axes[keep], boxes.half[keep])


def _placed(gripper: Boxes, pose: Pose, back: float) -> Boxes:
    return gripper.moved(pose.rotation, pose.position - back * pose.rotation[:, 2])


def candidate_grasps(boxes: Boxes, origin: FloatArray, wish: GraspWish) -> Iterator[Grasp]:
    """Enumerate pairs of opposite faces that the fingers can close on.

    Args:
        boxes: Of the object.
        origin: (3,) its body origin, metres.
        wish: Preferences.
    """
    surface = sample_surface(boxes)
    middle = boxes.middle()
    for yaw in _yaws(boxes, wish.home):
        closing = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        rotation = _nearer(closing, wish.home)
        for grip in grips_along(surface, middle, closing, DOWN):
            pose = Pose(grip.position, rotation)
            yield Grasp(pose, _cost(pose, grip, origin, wish), grip.width, grip.depth)


def leaning_grasps(boxes: Boxes, origin: FloatArray, wish: GraspWish) -> Iterator[Grasp]:
    """Enumerate grips of a hand that leans, where something above is in its way.

    Args:
        boxes: Of the object.
        origin: (3,) its body origin, metres.
        wish: Preferences.
    """
    surface, middle = sample_surface(boxes), boxes.middle()
    for tilt, azimuth in product(_TILTS, np.arange(_AZIMUTHS) * 2 * np.pi / _AZIMUTHS):
        rotation = leaning(tilt, azimuth, wish.home)
        for grip in grips_along(surface, middle, rotation[:, 0], rotation[:, 2]):
            pose = Pose(grip.position, rotation)
            yield Grasp(pose, _cost(pose, grip, origin, wish), grip.width, grip.depth)


def sliding_grasps(boxes: Boxes, origin: FloatArray, wish: GraspWish) -> Iterator[Grasp]:
    """Enumerate grips from above beside the object, where something else is in the hand's way.

    The finger that meets it first pushes it under the hand.

    Args:
        boxes: Of the object.
        origin: (3,) its body origin, metres.
        wish: Preferences.
    """
    for grasp in candidate_grasps(boxes, origin, wish):
        room = (MAX_GAP - grasp.width) / 2 - _PASSES[-1][0]
        for share in _SLIDES:
            slide = share * room * grasp.pose.rotation[:, 0]
            cost = grasp.cost + _SLIDE_COST * abs(share)
            yield replace(grasp, pose=grasp.pose.shifted(slide), cost=cost, slide=slide)


def leaning(tilt: float, azimuth: float, home: FloatArray) -> FloatArray:
    """Turn the hand so that its fingers point down and aside and close level.

    Args:
        tilt: Of the fingers against straight down, rad.
        azimuth: Direction they lean to, about the vertical, rad.
        home: (3, 3) orientation to stay close to.

    Returns:
        (3, 3) rotation matrix.
    """
    aside = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    closing = np.array([-aside[1], aside[0], 0.0])
    approach = np.sin(tilt) * aside + np.cos(tilt) * DOWN
    options = [hand_rotation(sign * closing, approach) for sign in (1.0, -1.0)]
    return min(options, key=lambda rotation: angle_between(home, rotation))


class Grip(NamedTuple):
    """Two opposite faces between the fingers.

    Attributes:
        position: (3,) of the grip site, metres.
        width: Distance between the faces, metres.
        tilt: Mean angle between their normals and the closing axis, rad.
        depth: How far the tips reach past the nearest of what lies between them, metres.
        away: Distance of the site to the object's middle, across the approach, metres.
    """

    position: FloatArray
    width: float
    tilt: float
    depth: float
    away: float


def grips_along(
    surface: Surface, middle: FloatArray, closing: FloatArray, approach: FloatArray
) -> Iterator[Grip]:
    """Enumerate what fingers of one orientation can close on.

    Args:
        surface: Of the object.
        middle: (3,) of the object, metres.
        closing: (3,) unit vector along which the fingers close.
        approach: (3,) unit vector the fingers point to, across the closing axis.
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
            yield Grip(position, width, tilt, depth, float(np.hypot(centre, offset)))


def face_pairs(faces: FloatArray) -> Iterator[tuple[float, float, float, float, float]]:
    """Pair opposite faces: (centre, tip height, width, mean tilt, depth).

    Args:
        faces: (4, P) of the samples between the fingers: place along the closing axis, height
            (against the approach), cosine of the normal to that axis, area.
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
    """Group samples of one facing by place: (outermost place, mean tilt) of each group.

    Groups with little area are edges, too narrow to hold by.
    """
    faces = faces[:, np.argsort(faces[0])]
    u, _, facing, areas = faces
    groups = np.split(np.arange(len(u)), np.flatnonzero(np.diff(u) > 0.004) + 1)
    tilts = np.arccos(np.clip(np.abs(facing), 0.0, 1.0))
    outward = float(np.sign(facing.sum()))
    return [
        (outward * float((outward * u[g]).max()), float(np.average(tilts[g], weights=areas[g])))
        for g in groups
        if areas[g].sum() > _MIN_AREA
    ]


def _yaws(boxes: Boxes, home: FloatArray) -> list[float]:
    """Directions to try: the home closing axis, 16 more, and the object's larger faces."""
    start = float(np.arctan2(home[1, 0], home[0, 0]))
    yaws = [start + step * np.pi / 16 for step in range(16)]
    size = np.argsort(-np.prod(boxes.half, axis=1))[:3]
    for box in size:
        for axis in range(3):
            direction = boxes.axes[box][:, axis]
            if abs(direction[2]) < 0.3:
                yaws.append(float(np.arctan2(direction[1], direction[0])))
    return yaws


def _nearer(closing: FloatArray, home: FloatArray) -> FloatArray:
    """Of the two equivalent ways to close along an axis, the one nearer to home."""
    options = [hand_rotation(sign * closing, DOWN) for sign in (1.0, -1.0)]
    return min(options, key=lambda rotation: angle_between(home, rotation))


def _cost(pose: Pose, grip: Grip, origin: FloatArray, wish: GraspWish) -> float:
    """Weigh a grasp: skewed faces, off centre, shallow, turned, far at the drop."""
    cost = hold_cost(grip) + 0.35 * angle_between(wish.home, pose.rotation)
    if wish.drop is not None:
        hand = wish.drop + (pose.position - origin)
        cost += 1.0 * float(np.hypot(*(hand - wish.base)[:2]))
    return cost


def hold_cost(grip: Grip) -> float:
    """Weigh how well a grip holds: skewed faces, off centre, shallow or deep."""
    cost = 1.5 * grip.tilt + 6.0 * grip.away + 12.0 * max(0.0, _WISHED_DEPTH - grip.depth)
    return cost + 8.0 * max(0.0, grip.depth - _WISHED_DEPTH)
