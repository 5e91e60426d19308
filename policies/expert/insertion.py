"""Putting an object under a roof: a grasp from the side and a straight way in."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from policies.expert.context import UP, SkillContext, travel
from policies.expert.geometry import OrientedBoxes, any_overlap, sample_surface, support_height
from policies.expert.grasp import grasp_object
from policies.expert.grasp_candidates import (
    MAX_GAP,
    Grasp,
    antipodal_grips,
    grip_cost,
    tilted_hand_rotation,
    within_gripper_reach,
)
from policies.expert.lay_down import ObjectPose
from policies.expert.motion import OPEN, Actions
from policies.expert.placement import Destination
from policies.expert.pose import Pose, axis_rotation
from policies.expert.scene import InverseKinematics, Scene
from policies.interface import PlanningError
from tasks.observation import FloatArray

LENGTH = 0.22
"""Length of the straight way in, metres."""

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
_RISE = 0.08


@dataclass(frozen=True, kw_only=True)
class Insertion(Grasp):
    """A grasp, and where it brings the object.

    Attributes:
        object_pose: Pose of the object when it is let go.
        way: (3,) level unit vector along which the object goes in, world frame.
    """

    object_pose: ObjectPose
    way: FloatArray

    def release(self, scene: Scene, name: str) -> Pose:
        """Give the hand's pose when it lets go of the object that it now holds."""
        return self.object_pose.hand_pose(scene, name)


@dataclass(frozen=True)
class _StandingPose:
    """Where an object can stand after it was turned and pushed in.

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


def is_covered(scene: Scene, name: str, destination: Destination) -> bool:
    """Tell whether something above a region keeps an object from being lowered into it.

    Args:
        scene: The scene.
        name: BDDL name of the object.
        destination: Where the object should go.
    """
    if not destination.region:
        return False
    others = scene.obstacles(without=scene.subtree(scene.body(name)))
    roof = support_height(others, _probe(destination.target), default=-np.inf)
    return roof > destination.high


def insert(context: SkillContext, name: str, destination: Destination) -> Actions:
    """Grasp an object from the side, bring it straight into a region, let go and draw back."""
    scene, arm, kinematics = context.scene, context.arm, context.kinematics
    plan = yield from grasp_object(
        context,
        name,
        lambda: find_insertion(scene, kinematics, name, destination, context.home),
    )
    back = -LENGTH * plan.way
    entry = plan.release(scene, name).shifted(back)
    yield from travel(context, entry, carried=context.held_boxes(name), held=name)
    if not context.holding(name):
        context.failed_grasp = True
        return
    for shift in (back, 0.0 * back):  # the object may have turned between the fingers: look again
        pose = plan.release(scene, name).shifted(shift)
        yield from arm.move([pose], tolerance=0.004, turn_tolerance=0.03, noisy=False)
    arm.gripper = OPEN
    yield from arm.hold(8)
    yield from arm.move([scene.hand_pose().shifted(back)], tolerance=0.02, noisy=False)
    # With the wrist turned back the next goal is easier to reach.
    upright = Pose(scene.hand_pose().position + _RISE * UP, context.home)
    yield from arm.move([upright], tolerance=0.03, turn_tolerance=0.3, noisy=False)


def find_insertion(
    scene: Scene,
    kinematics: InverseKinematics,
    name: str,
    destination: Destination,
    home: FloatArray,
) -> Insertion:
    """Find a grasp with which an object can be brought under a roof, and where it is let go.

    Args:
        scene: The scene as it is now; the object is not held.
        kinematics: Of its robot.
        name: BDDL name of the object.
        destination: Where the object should go.
        home: (3, 3) orientation the hand should stay close to, world frame.

    Raises:
        PlanningError: There is none.
    """
    boxes, origin = scene.object_boxes(name), scene.position(name)
    others = scene.obstacles(without=scene.subtree(scene.body(name)))
    near = within_gripper_reach(others, boxes).inflated(_GAP)
    there = boxes.moved(np.eye(3), destination.target - origin)
    near_destination = within_gripper_reach(others, there).inflated(_GAP)
    gripper = scene.gripper_boxes(MAX_GAP)
    blocks = OrientedBoxes.concatenate([boxes, near])
    candidates = []
    for azimuth in np.arange(_AZIMUTHS) * 2 * np.pi / _AZIMUTHS:
        stands = list(_standing_poses(scene, name, destination, float(azimuth), others))
        if stands:
            for grasp in _side_grasps(boxes, float(azimuth), home):
                candidates += [(grasp.cost + stand.cost, grasp, stand) for stand in stands]
    approachable: dict[int, bool] = {}
    for _, grasp, stand in sorted(candidates, key=lambda item: item[0]):
        turn = axis_rotation(UP, stand.yaw)
        offset = turn @ (grasp.pose.position - origin)
        release = Pose(stand.position + offset, turn @ grasp.pose.rotation)
        if not _way_is_free(gripper, release, stand.way, near_destination):
            continue
        if id(grasp) not in approachable:
            approachable[id(grasp)] = _approachable(kinematics, grasp, gripper, blocks)
        entry = release.shifted(-LENGTH * stand.way)
        if approachable[id(grasp)] and _follows(kinematics, [entry, release]):
            object_pose = ObjectPose(stand.position, turn @ scene.rotation(name))
            return Insertion(**vars(grasp), object_pose=object_pose, way=stand.way)
    raise PlanningError(
        f"No grip was found that brings '{name}' under a roof: {len(candidates)} tried."
    )


def _probe(position: FloatArray) -> OrientedBoxes:
    return OrientedBoxes(position[None], np.eye(3)[None], np.full((1, 3), _PROBE))


def _approachable(
    kinematics: InverseKinematics, grasp: Grasp, gripper: OrientedBoxes, blocks: OrientedBoxes
) -> bool:
    """Tell whether the hand can come to a grasp from behind without touching anything."""
    back = -grasp.pose.rotation[:, 2]
    poses = [grasp.pose.shifted(step * back) for step in _APPROACH]
    if any(any_overlap(gripper.moved(p.rotation, p.position), blocks) for p in poses):
        return False
    return _follows(kinematics, [poses[-1], poses[0]])


def _follows(kinematics: InverseKinematics, poses: list[Pose]) -> bool:
    """Tell whether the arm reaches poses one after another without a jump of its joints."""
    start = None
    for pose in poses:
        solution = kinematics.solve(pose, start=start)
        if not solution.reached or solution.margin < _MARGIN:
            return False
        start = solution.joints
    return True


def _way_is_free(shape: OrientedBoxes, pose: Pose, way: FloatArray, others: OrientedBoxes) -> bool:
    """Tell whether a shape in the hand's frame touches nothing on its straight way to a pose."""
    steps = [pose.shifted(-d * way) for d in np.linspace(0.0, LENGTH, _WAY_STEPS)]
    return not any(any_overlap(shape.moved(p.rotation, p.position), others) for p in steps)


def _side_grasps(boxes: OrientedBoxes, azimuth: float, home: FloatArray) -> Iterator[Grasp]:
    """Grasps of one azimuth whose fingers come from the side; the less they tilt the better."""
    surface, middle = sample_surface(boxes), boxes.middle()
    for tilt in _TILTS:
        rotation = tilted_hand_rotation(tilt, azimuth, home)
        grips = antipodal_grips(surface, middle, rotation[:, 0], rotation[:, 2])
        for grip in sorted(grips, key=grip_cost)[:_GRIPS]:
            cost = grip_cost(grip) + 0.35 * tilt
            yield Grasp(Pose(grip.position, rotation), cost, grip.width, grip.depth)


def _standing_poses(
    scene: Scene, name: str, destination: Destination, azimuth: float, others: OrientedBoxes
) -> Iterator[_StandingPose]:
    """Poses of the object for each way into a region, the hand pointing along that way.

    Args:
        scene: The scene.
        name: BDDL name of the object.
        destination: Where it should go.
        azimuth: Of the hand's approach at the object now, rad.
        others: Everything but the object and the robot.
    """
    boxes, origin = scene.object_boxes(name), scene.position(name)
    tops = others.corners()[:, :, 2].max(1)
    below = np.flatnonzero(tops < destination.target[2] + 0.02)
    floor = support_height(
        OrientedBoxes(others.center[below], others.axes[below], others.half[below]),
        _probe(destination.target),
        default=0.0,
    )
    height = floor + _DROP + float(origin[2] - boxes.bounds()[0][2])
    for way in _level_axes(scene, destination.region):
        yaw = float(np.arctan2(way[1], way[0])) - azimuth
        yaw = float(np.remainder(yaw + np.pi, 2 * np.pi) - np.pi)
        turn = axis_rotation(UP, yaw)
        shape = boxes.moved(turn, -turn @ origin)
        for position, cost in _free_positions(scene, destination, shape, height, way, others):
            yield _StandingPose(yaw, way, position, cost)


def _level_axes(scene: Scene, region: str) -> list[FloatArray]:
    """Unit vectors along a region's level axes, both ways."""
    level = [a * [1.0, 1.0, 0.0] for a in scene.region_axes(region).T if np.hypot(*a[:2]) > 0.7]
    return [sign * axis / np.linalg.norm(axis) for axis in level for sign in (1.0, -1.0)]


def _free_positions(
    scene: Scene,
    destination: Destination,
    shape: OrientedBoxes,
    height: float,
    way: FloatArray,
    others: OrientedBoxes,
) -> Iterator[tuple[FloatArray, float]]:
    """Positions of the origin with a free way, and their costs; the deepest in the region first.

    Args:
        scene: The scene.
        destination: The region.
        shape: The object about its origin, already turned.
        height: Of its origin, metres.
        way: (3,) unit vector along which it goes in.
        others: Everything but the object and the robot.
    """
    middle, extent = scene.region(destination.region)
    rear = -shape.extent_along(-way)
    near = within_gripper_reach(others, shape.moved(np.eye(3), middle)).inflated(_GAP)
    options = []
    for share in _SHARES:
        offset = share * (extent @ np.abs(way)) * way
        position = np.append((middle + offset)[:2], height)
        outside = float((middle - position) @ way - extent @ np.abs(way)) - rear
        cost = 20.0 * max(0.0, outside) + 3.0 * float(np.linalg.norm(offset))
        options.append((cost, position))
    for cost, position in sorted(options, key=lambda item: item[0]):
        if not scene.fits(destination.predicate, destination.region, position):
            continue
        if _way_is_free(shape, Pose(position, np.eye(3)), way, near):
            yield position, cost
