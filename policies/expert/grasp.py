"""Where to grip an object from above: search, score, then check collisions and reach."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from policies.expert.errors import PlanningError
from policies.expert.geometry import Boxes, any_overlap, sample_surface
from policies.expert.kinematics import Kinematics
from policies.expert.pose import Pose, angle_between, hand_rotation
from policies.expert.scene import Scene
from tasks.observation import FloatArray

DOWN = np.array([0.0, 0.0, -1.0])

TIP_LENGTH = 0.010
"""How far the finger tips reach past the grip site, metres (a little over the mesh's 9.2 mm)."""

MAX_GAP = 0.0774
"""Distance between the open finger pads, metres."""

_DEPTHS = (0.012, 0.018, 0.024, 0.030, 0.036)
_WISHED_DEPTH = 0.030
_PAD_HALF_WIDTH = 0.008
_SPACING = 0.004
_PAD_HEIGHT = 0.016
_MAX_WIDTH = 0.068
_TIGHT_WIDTH = 0.055
_MIN_AREA = 80e-6
_MAX_TILT = 0.45
_SWEEP = (0.0, 0.025, 0.05, 0.075)
_GRIPPER_REACH = 0.25

_PASSES = ((0.010, 0.2), (0.007, 0.1), (0.005, 0.06), (0.003, 0.06))
"""Distance to other things, metres, and to joint limits, rad: first generous, then tight."""


@dataclass(frozen=True)
class Grasp:
    """One way to grip.

    Attributes:
        pose: Of the grip site when the fingers close.
        cost: Smaller is better; see ``_cost``.
        width: Distance between the two faces, metres.
        clearance: Distance to other things on the way down, metres; 0 where it is not known.
    """

    pose: Pose
    cost: float
    width: float
    clearance: float = 0.0

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
    """

    home: FloatArray
    drop: FloatArray | None
    base: FloatArray


def find_grasp(scene: Scene, kinematics: Kinematics, name: str, wish: GraspWish) -> Grasp:
    """Find the best grasp from above that touches nothing and can be reached.

    Args:
        scene: The scene as it is now.
        kinematics: Of its robot.
        name: BDDL name of the object.
        wish: Preferences.

    Raises:
        PlanningError: If none of the candidates is possible.
    """
    own = scene.object_boxes(name)
    near = nearby(scene.obstacles(without=scene.subtree(scene.body(name))), own)
    gripper = scene.gripper_boxes(MAX_GAP)
    candidates = sorted(
        candidate_grasps(own, scene.position(name), wish), key=lambda grasp: grasp.cost
    )
    for clearance, margin in _PASSES:
        blocks = Boxes.concatenate([own, near.inflated(clearance)])
        for grasp in candidates:
            blocked = any(
                any_overlap(_placed(gripper, grasp.pose, rise), blocks) for rise in _SWEEP
            )
            if blocked:
                continue
            reach = kinematics.reach(grasp.pose)
            if reach.reached and reach.margin > margin:
                return replace(grasp, clearance=clearance)
    raise PlanningError(
        f"No grasp from above was found for '{name}': {len(candidates)} candidates, "
        "all blocked or out of reach."
    )


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


def _placed(gripper: Boxes, pose: Pose, rise: float) -> Boxes:
    return gripper.moved(pose.rotation, pose.position + np.array([0.0, 0.0, rise]))


def candidate_grasps(boxes: Boxes, origin: FloatArray, wish: GraspWish) -> Iterator[Grasp]:
    """Enumerate pairs of opposite faces that the fingers can close on.

    Args:
        boxes: Of the object.
        origin: (3,) its body origin, metres.
        wish: Preferences.
    """
    surface = sample_surface(boxes)
    low, high = boxes.bounds()
    middle = (low + high) / 2
    for yaw in _yaws(boxes, wish.home):
        closing = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        side = np.array([-closing[1], closing[0], 0.0])
        useful = np.abs(surface.normals @ closing) > np.cos(_MAX_TILT)
        if not useful.any():
            continue
        points = surface.points[useful] - middle
        v = points @ side
        faces = np.stack(
            [
                points @ closing,
                surface.points[useful, 2],
                surface.normals[useful] @ closing,
                surface.areas[useful],
            ]
        )
        rotation = _nearer(closing, wish.home)
        count = int(np.abs(v).max() / _SPACING)
        for offset in np.arange(-count, count + 1) * _SPACING:
            band = np.abs(v - offset) < _PAD_HALF_WIDTH
            for centre, tip, width, tilt, depth in face_pairs(faces[:, band]):
                position = middle + centre * closing + offset * side
                position[2] = tip + TIP_LENGTH
                away = float(np.hypot(centre, offset))
                pose = Pose(position, rotation)
                yield Grasp(pose, _cost(pose, tilt, depth, away, origin, wish), width)


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


def _cost(
    pose: Pose, tilt: float, depth: float, away: float, origin: FloatArray, wish: GraspWish
) -> float:
    """Weigh a grasp: skewed faces, off centre, shallow, turned, far at the drop."""
    cost = 1.5 * tilt + 6.0 * away + 12.0 * max(0.0, _WISHED_DEPTH - depth)
    cost += 8.0 * max(0.0, depth - _WISHED_DEPTH)
    cost += 0.35 * angle_between(wish.home, pose.rotation)
    if wish.drop is not None:
        hand = wish.drop + (pose.position - origin)
        cost += 1.0 * float(np.hypot(*(hand - wish.base)[:2]))
    return cost
