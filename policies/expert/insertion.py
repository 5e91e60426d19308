"""How to put an object under a roof: a grip from the side and a straight way in."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from policies.expert.geometry import Boxes, any_overlap, sample_surface, support_height
from policies.expert.grasp import MAX_GAP, Grasp, grips_along, hold_cost, leaning, nearby
from policies.expert.kinematics import Kinematics
from policies.expert.lay_down import Lying
from policies.expert.placing import Place
from policies.expert.pose import Pose, axis_rotation
from policies.expert.scene import Scene
from policies.interface import PlanningError
from tasks.observation import FloatArray

LENGTH = 0.22
"""How long the straight way in is, metres."""

_TILTS = (0.8, 1.1, 1.3, 1.45)
_AZIMUTHS = 16
_SHARES = (0.0, 0.25, -0.25, 0.5, -0.5, 0.75, -0.75)
_GRIPS = 30
_WAY_STEPS = 6
_APPROACH = (0.0, 0.03, 0.06)
_DROP = 0.005
_GAP = 0.004
_PROBE = 0.01
_MARGIN = 0.08
_UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class Insertion(Grasp):
    """A grip, and where it brings the object.

    Attributes:
        lying: Pose of the object when it is let go.
        way: (3,) level unit vector along which the object goes in.
    """

    lying: Lying
    way: FloatArray

    def release(self, scene: Scene, name: str) -> Pose:
        """Give the hand's pose when it lets go, with the object as it now is in its grip."""
        return self.lying.hand(scene, name)


@dataclass(frozen=True)
class _Stand:
    """Where an object can stand when it was turned and pushed in.

    Attributes:
        yaw: Turn about the vertical from how it stands now, rad.
        way: (3,) level unit vector along which it goes in.
        position: (3,) of its origin, metres.
        cost: Smaller is better.
    """

    yaw: float
    way: FloatArray
    position: FloatArray
    cost: float


def roofed(scene: Scene, name: str, place: Place) -> bool:
    """Tell whether something above a region keeps an object from being lowered into it.

    Args:
        scene: The scene.
        name: The object.
        place: Where it should go.
    """
    if not place.region:
        return False
    others = scene.obstacles(without=scene.subtree(scene.body(name)))
    return support_height(others, _probe(place.target), default=-np.inf) > place.high


def _probe(position: FloatArray) -> Boxes:
    return Boxes(position[None], np.eye(3)[None], np.full((1, 3), _PROBE))


def find_insertion(
    scene: Scene, kinematics: Kinematics, name: str, place: Place, home: FloatArray
) -> Insertion:
    """Find a grip with which an object can be brought under a roof, and where it is let go.

    Args:
        scene: The scene as it is now; the object is not gripped.
        kinematics: Of its robot.
        name: The object.
        place: Where it should go.
        home: (3, 3) orientation the hand should stay close to.

    Raises:
        PlanningError: If there is none.
    """
    own, origin = scene.object_boxes(name), scene.position(name)
    others = scene.obstacles(without=scene.subtree(scene.body(name)))
    near = nearby(others, own).inflated(_GAP)
    there = nearby(others, own.moved(np.eye(3), place.target - origin)).inflated(_GAP)
    gripper = scene.gripper_boxes(MAX_GAP)
    blocks = Boxes.concatenate([own, near])
    found = []
    for azimuth in np.arange(_AZIMUTHS) * 2 * np.pi / _AZIMUTHS:
        stands = list(_stands(scene, name, place, float(azimuth), others))
        if stands:
            for grasp in _side_grasps(own, float(azimuth), home):
                found += [(grasp.cost + stand.cost, grasp, stand) for stand in stands]
    free: dict[int, bool] = {}
    for _, grasp, stand in sorted(found, key=lambda item: item[0]):
        turn = axis_rotation(_UP, stand.yaw)
        moved = turn @ (grasp.pose.position - origin)
        release = Pose(stand.position + moved, turn @ grasp.pose.rotation)
        if not _free_way(gripper, release, stand.way, there):
            continue
        if id(grasp) not in free:
            free[id(grasp)] = _approachable(kinematics, grasp, gripper, blocks)
        entry = release.shifted(-LENGTH * stand.way)
        if free[id(grasp)] and _follows(kinematics, [entry, release]):
            lying = Lying(stand.position, turn @ scene.rotation(name))
            return Insertion(**vars(grasp), lying=lying, way=stand.way)
    raise PlanningError(f"No grip was found that brings '{name}' under a roof: {len(found)} tried.")


def _approachable(kinematics: Kinematics, grasp: Grasp, gripper: Boxes, blocks: Boxes) -> bool:
    """Tell whether the hand can come to a grasp from behind without touching anything."""
    back = -grasp.pose.rotation[:, 2]
    poses = [grasp.pose.shifted(step * back) for step in _APPROACH]
    if any(any_overlap(gripper.moved(p.rotation, p.position), blocks) for p in poses):
        return False
    return _follows(kinematics, [poses[-1], poses[0]])


def _follows(kinematics: Kinematics, poses: list[Pose]) -> bool:
    """Tell whether the arm reaches poses one after another without a jump of its joints."""
    start = None
    for pose in poses:
        reach = kinematics.reach(pose, start=start)
        if not reach.reached or reach.margin < _MARGIN:
            return False
        start = reach.joints
    return True


def _free_way(shape: Boxes, pose: Pose, way: FloatArray, others: Boxes) -> bool:
    """Tell whether a shape in the hand's frame comes along a way to a pose and touches nothing."""
    steps = [pose.shifted(-d * way) for d in np.linspace(0.0, LENGTH, _WAY_STEPS)]
    return not any(any_overlap(shape.moved(p.rotation, p.position), others) for p in steps)


def _side_grasps(own: Boxes, azimuth: float, home: FloatArray) -> Iterator[Grasp]:
    """Grips of one azimuth whose fingers come from the side, the less they lie the better."""
    surface, middle = sample_surface(own), own.middle()
    for tilt in _TILTS:
        rotation = leaning(tilt, azimuth, home)
        grips = sorted(grips_along(surface, middle, rotation[:, 0], rotation[:, 2]), key=hold_cost)
        for grip in grips[:_GRIPS]:
            cost = hold_cost(grip) + 0.35 * tilt
            yield Grasp(Pose(grip.position, rotation), cost, grip.width, grip.depth)


def _stands(
    scene: Scene, name: str, place: Place, azimuth: float, others: Boxes
) -> Iterator[_Stand]:
    """The best few stands for each way into a region, the hand pointing along it.

    Args:
        scene: The scene.
        name: The object.
        place: Where it should go.
        azimuth: Of the hand's approach at the object now, rad.
        others: All but the object and the robot.
    """
    own, origin = scene.object_boxes(name), scene.position(name)
    tops = others.corners()[:, :, 2].max(1)
    below = np.flatnonzero(tops < place.target[2] + 0.02)
    floor = support_height(
        Boxes(others.center[below], others.axes[below], others.half[below]),
        _probe(place.target),
        default=0.0,
    )
    height = floor + _DROP + float(origin[2] - own.bounds()[0][2])
    for way in _level_axes(scene, place.region):
        yaw = float(np.arctan2(way[1], way[0])) - azimuth
        yaw = float(np.remainder(yaw + np.pi, 2 * np.pi) - np.pi)
        turn = axis_rotation(_UP, yaw)
        shape = own.moved(turn, -turn @ origin)
        for position, cost in _spots(scene, place, shape, height, way, others):
            yield _Stand(yaw, way, position, cost)


def _level_axes(scene: Scene, region: str) -> list[FloatArray]:
    """Unit vectors along a region's level axes, both ways."""
    flat = [a * [1.0, 1.0, 0.0] for a in scene.region_axes(region).T if np.hypot(*a[:2]) > 0.7]
    return [sign * axis / np.linalg.norm(axis) for axis in flat for sign in (1.0, -1.0)]


def _spots(
    scene: Scene, place: Place, shape: Boxes, height: float, way: FloatArray, others: Boxes
) -> Iterator[tuple[FloatArray, float]]:
    """Positions with a free way, (origin, cost): those that stick least out of the region first.

    Args:
        scene: The scene.
        place: The region.
        shape: The object about its origin, already turned.
        height: Of its origin, metres.
        way: (3,) unit vector along which it goes in.
        others: All but the object and the robot.
    """
    middle, extent = scene.region(place.region)
    along = way
    rear = -shape.extent_along(-along)
    near = nearby(others, shape.moved(np.eye(3), middle)).inflated(_GAP)
    options = []
    for share in _SHARES:
        offset = share * (extent @ np.abs(along)) * along
        position = np.append((middle + offset)[:2], height)
        outside = float((middle - position) @ along - extent @ np.abs(along)) - rear
        cost = 20.0 * max(0.0, outside) + 3.0 * float(np.linalg.norm(offset))
        options.append((cost, position))
    for cost, position in sorted(options, key=lambda item: item[0]):
        if not scene.fits(place.predicate, place.region, position):
            continue
        if _free_way(shape, Pose(position, np.eye(3)), way, near):
            yield position, cost
