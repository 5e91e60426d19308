"""Putting an object under a roof: a grasp from the side and a straight path in."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from policies.expert.context import SkillContext, travel
from policies.expert.geometry import OrientedBoxes, sample_surface, support_height
from policies.expert.grasp import grasp_object
from policies.expert.grasp_candidates import (
    MAX_GAP,
    Grasp,
    antipodal_grips,
    grip_cost,
    tilted_hand_rotation,
    within_gripper_reach,
)
from policies.expert.kinematics import InverseKinematics
from policies.expert.lay_down import ObjectPose
from policies.expert.motion import OPEN, Actions, touches
from policies.expert.placement import Destination, level_directions
from policies.expert.pose import UP, Pose, axis_rotation
from policies.expert.scene import Scene
from policies.interface import PlanningError
from tasks.observation import FloatArray

LENGTH = 0.22
"""Length of the straight path in."""

_TILTS = (0.8, 1.1, 1.3, 1.45)
_AZIMUTHS = 16
_SHARES = (0.0, 0.25, -0.25, 0.5, -0.5, 0.75, -0.75)
_GRIPS = 30
_PATH_STEPS = 6
_APPROACH = (0.0, 0.03, 0.06)
_DROP = 0.005
_GAP = 0.004
_PROBE = 0.01
_MARGIN = 0.08
_RISE = 0.08


@dataclass(frozen=True, kw_only=True)
class Insertion(Grasp):
    """A grasp, and the destination of the object.

    Attributes:
        object_pose: Pose of the object when it is let go.
        direction: (3,) level unit vector along which the object goes in.
    """

    object_pose: ObjectPose
    direction: FloatArray

    def release(self, scene: Scene, name: str) -> Pose:
        """Give the hand's pose when it lets go of the object that it now holds."""
        return self.object_pose.hand_pose(scene, name)


@dataclass(frozen=True)
class _StandingPose:
    """A pose in which an object can stand after it was turned and pushed in.

    Attributes:
        yaw: Turn about the vertical from its present pose.
        direction: (3,) level unit vector along which it goes in.
        position: (3,) of its origin.
        cost: Smaller is better.
    """

    yaw: float
    direction: FloatArray
    position: FloatArray
    cost: float


def is_covered(scene: Scene, name: str, destination: Destination) -> bool:
    """Tell whether something above its destination keeps an object from being lowered into it."""
    if not destination.region:
        return False
    probe = _probe(destination.target)
    return support_height(scene.surroundings(name), probe, default=-np.inf) > destination.high


def insert(context: SkillContext, name: str, destination: Destination) -> Actions:
    """Grasp an object from the side, bring it straight into a region, let go and draw back."""
    scene, arm, kinematics = context.scene, context.arm, context.kinematics
    plan = yield from grasp_object(
        context,
        name,
        lambda: find_insertion(scene, kinematics, name, destination, context.home),
    )
    back = -LENGTH * plan.direction
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
    """Find a grasp with which an object can be brought under a roof, and the pose to let it go.

    Args:
        scene: The present scene; the object is not held.
        kinematics: Inverse kinematics of its robot.
        name: The object.
        destination: The destination of the object.
        home: Orientation that the hand should stay close to.

    Raises:
        PlanningError: There is none.
    """
    boxes, origin = scene.object_boxes(name), scene.position(name)
    others = scene.surroundings(name)
    near = within_gripper_reach(others, boxes).inflated(_GAP)
    at_destination = boxes.moved(np.eye(3), destination.target - origin)
    near_destination = within_gripper_reach(others, at_destination).inflated(_GAP)
    gripper = scene.gripper_boxes(MAX_GAP)
    obstacles = OrientedBoxes.concatenate([boxes, near])
    candidates = []
    for azimuth in np.arange(_AZIMUTHS) * 2 * np.pi / _AZIMUTHS:
        poses = list(_standing_poses(scene, name, destination, float(azimuth), others))
        if poses:
            for grasp in _side_grasps(boxes, float(azimuth), home):
                candidates += [(grasp.cost + pose.cost, grasp, pose) for pose in poses]
    approachable: dict[int, bool] = {}
    for _, grasp, pose in sorted(candidates, key=lambda candidate: candidate[0]):
        turn = axis_rotation(UP, pose.yaw)
        offset = turn @ (grasp.pose.position - origin)
        release = Pose(pose.position + offset, turn @ grasp.pose.rotation)
        if not _path_is_free(gripper, release, pose.direction, near_destination):
            continue
        if id(grasp) not in approachable:
            approachable[id(grasp)] = _is_approachable(kinematics, grasp, gripper, obstacles)
        entry = release.shifted(-LENGTH * pose.direction)
        if approachable[id(grasp)] and _can_follow(kinematics, [entry, release]):
            object_pose = ObjectPose(pose.position, turn @ scene.rotation(name))
            return Insertion(**vars(grasp), object_pose=object_pose, direction=pose.direction)
    raise PlanningError(
        f"No grip was found that brings '{name}' under a roof: {len(candidates)} tried."
    )


def _probe(position: FloatArray) -> OrientedBoxes:
    return OrientedBoxes(position[None], np.eye(3)[None], np.full((1, 3), _PROBE))


def _is_approachable(
    kinematics: InverseKinematics, grasp: Grasp, gripper: OrientedBoxes, obstacles: OrientedBoxes
) -> bool:
    """Tell whether the hand can come to a grasp from behind without touching anything."""
    poses = list(map(grasp.pose.drawn_back, _APPROACH))
    if touches(gripper, poses, obstacles):
        return False
    return _can_follow(kinematics, [poses[-1], poses[0]])


def _can_follow(kinematics: InverseKinematics, poses: list[Pose]) -> bool:
    """Tell whether the arm reaches poses one after another without a jump of its joints."""
    start = None
    for pose in poses:
        solution = kinematics.solve(pose, start=start)
        if not solution.reached or solution.margin < _MARGIN:
            return False
        start = solution.joints
    return True


def _path_is_free(
    shape: OrientedBoxes, pose: Pose, direction: FloatArray, others: OrientedBoxes
) -> bool:
    """Tell whether a shape in the hand's frame touches nothing on its straight path to a pose."""
    steps = [pose.shifted(-d * direction) for d in np.linspace(0.0, LENGTH, _PATH_STEPS)]
    return not touches(shape, steps, others)


def _side_grasps(boxes: OrientedBoxes, azimuth: float, home: FloatArray) -> Iterator[Grasp]:
    """Enumerate grasps of one azimuth from the side; smaller tilts cost less."""
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
    """Enumerate poses of the object for each direction into a region, along which the hand points.

    ``azimuth`` is that of the hand's approach at the object now.
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
    for direction in level_directions(scene.region_axes(destination.region), 0.7):
        yaw = float(np.arctan2(direction[1], direction[0])) - azimuth
        yaw = float(np.remainder(yaw + np.pi, 2 * np.pi) - np.pi)
        turn = axis_rotation(UP, yaw)
        shape = boxes.moved(turn, -turn @ origin)
        for position, cost in _free_positions(scene, destination, shape, height, direction, others):
            yield _StandingPose(yaw, direction, position, cost)


def _free_positions(
    scene: Scene,
    destination: Destination,
    shape: OrientedBoxes,
    height: float,
    direction: FloatArray,
    others: OrientedBoxes,
) -> Iterator[tuple[FloatArray, float]]:
    """Enumerate positions of the origin with a free path, and their costs, the deepest first.

    Args:
        scene: The scene.
        destination: The region.
        shape: The object about its origin, already turned.
        height: Of its origin.
        direction: (3,) unit vector along which it goes in.
        others: Everything but the object and the robot.
    """
    middle, extent = scene.region(destination.region)
    rear = -shape.extent_along(-direction)
    near = within_gripper_reach(others, shape.moved(np.eye(3), middle)).inflated(_GAP)
    options = []
    for share in _SHARES:
        offset = share * (extent @ np.abs(direction)) * direction
        position = np.append((middle + offset)[:2], height)
        outside = float((middle - position) @ direction - extent @ np.abs(direction)) - rear
        cost = 20.0 * max(0.0, outside) + 3.0 * float(np.linalg.norm(offset))
        options.append((cost, position))
    for cost, position in sorted(options, key=lambda option: option[0]):
        if not scene.fits(destination.predicate, destination.region, position):
            continue
        if _path_is_free(shape, Pose(position, np.eye(3)), direction, near):
            yield position, cost
