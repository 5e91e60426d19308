"""Laying a held object down, or leaning it, where it would not stand."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from policies.expert.context import SkillContext, travel
from policies.expert.drop_simulation import DropSimulation
from policies.expert.geometry import OrientedBoxes, any_overlap
from policies.expert.grasp_candidates import MAX_GAP, within_gripper_reach
from policies.expert.kinematics import InverseKinematics
from policies.expert.motion import OPEN, Actions, touches
from policies.expert.placement import aligning_yaws, level_directions
from policies.expert.pose import UP, Pose, axis_rotation
from policies.expert.scene import Scene
from tasks.observation import FloatArray

_RETREAT = 0.08
_TILTS = (1.0, 0.8, 1.15, 0.65, 0.55, 0.45)
_SHARES = (0.0, 0.4, -0.4)
_MAX_YAW = 2.0
_HIGH, _STEP = 0.20, 0.005
_FAR = 0.09
_TOUCH = 0.002
_LEVEL = 0.5
_MARGIN = 0.06
_ABOVE = 0.12
_VERTICAL = 0.98


@dataclass(frozen=True)
class ObjectPose:
    """Position (3,) of an object's origin and orientation of its body when it is let go."""

    position: FloatArray
    rotation: FloatArray

    def hand_pose(self, scene: Scene, name: str) -> Pose:
        """Give the pose of the hand that brings the held object into this pose."""
        hand, turn = scene.hand_pose(), self.rotation @ scene.rotation(name).T
        return Pose(
            self.position + turn @ (hand.position - scene.position(name)), turn @ hand.rotation
        )


def lay_down(context: SkillContext, name: str, pose: ObjectPose) -> Actions:
    """Bring the held object into a pose, let go and draw back along the fingers."""
    scene, arm = context.scene, context.arm
    above = pose.hand_pose(scene, name).shifted(_ABOVE * UP)
    yield from travel(context, above, carried=context.held_boxes(name), held=name)
    if not context.holding(name):
        context.failed_grasp = True
        return
    for rise in (_ABOVE, 0.0):  # the object may have turned between the fingers: look again
        target = pose.hand_pose(scene, name).shifted(rise * UP)
        yield from arm.move([target], tolerance=0.003, turn_tolerance=0.03, noisy=False)
    arm.gripper = OPEN
    hand = scene.hand_pose()
    # A tilted hand must not swing while it lets go; a vertical one gives way to what settles.
    tilted = abs(float(hand.rotation[2, 2])) < _VERTICAL
    yield from arm.keep(hand, 8) if tilted else arm.hold(8)
    yield from arm.move([scene.hand_pose().drawn_back(_RETREAT)], tolerance=0.015, noisy=False)


def find_tilted_pose(
    scene: Scene, kinematics: InverseKinematics, name: str, predicate: str, region: str
) -> ObjectPose | None:
    """Find a tilted pose from which a held object comes to rest ``on`` or ``in`` a region.

    None if no simulated drop ends there.
    """
    simulation = DropSimulation(scene)
    others = scene.surroundings(name)
    middle, _ = scene.region(region)
    boxes = scene.object_boxes(name)
    near = within_gripper_reach(others, boxes.moved(np.eye(3), middle - scene.position(name)))
    gripper = scene.gripper_boxes(MAX_GAP)
    for pose in _tilted_poses(scene, name, region):
        hand = pose.hand_pose(scene, name)
        if abs(hand.rotation[2, 0]) > _LEVEL or not kinematics.solve(hand).reached:
            continue  # a finger that opens downwards would push against what is below
        lowered = _lowered(boxes, scene, name, pose, near)
        if lowered is None or np.linalg.norm(lowered.position - pose.position) > _FAR:
            continue
        hand = lowered.hand_pose(scene, name)
        if touches(gripper, [hand], near):
            continue
        solutions = [kinematics.solve(pose) for pose in (hand, hand.drawn_back(_RETREAT))]
        if not all(s.reached and s.margin > _MARGIN for s in solutions):
            continue
        if simulation.stays(name, lowered.position, lowered.rotation, predicate, region):
            return lowered
    return None


def _tilted_poses(scene: Scene, name: str, region: str) -> Iterator[ObjectPose]:
    """Enumerate poses with the object's sides along the region's, tilted along them."""
    middle, extent = scene.region(region)
    axes = scene.region_axes(region)
    directions = level_directions(axes, 0.4)
    yaws = [yaw for yaw in aligning_yaws(scene, name, region) if abs(yaw) < _MAX_YAW]
    # On a slope the object lies along it; in a narrow compartment it leans.
    steep = [t for t in axes[2] if 0.1 < abs(t) < 0.95]
    tilts: tuple[float, ...] = _TILTS
    if steep:
        slope = float(np.arccos(min(abs(t) for t in steep)))
        tilts = tuple(sorted(_TILTS, key=lambda tilt: abs(tilt - slope)))
    for tilt, yaw, direction, share in product(tilts, yaws, directions, _SHARES):
        rotation = axis_rotation(np.cross(UP, direction), tilt) @ axis_rotation(UP, yaw or 1e-9)
        offset = share * float(np.abs(direction) @ extent) * direction
        yield ObjectPose(middle + offset, rotation @ scene.rotation(name))


def _lowered(
    boxes: OrientedBoxes, scene: Scene, name: str, pose: ObjectPose, others: OrientedBoxes
) -> ObjectPose | None:
    """Lower an object from above until it nearly touches something."""
    turn = pose.rotation @ scene.rotation(name).T
    inflated = others.inflated(_TOUCH)
    lowest = None
    for rise in np.arange(_HIGH, -_FAR, -_STEP):
        position = pose.position + rise * UP
        if any_overlap(boxes.moved(turn, position - turn @ scene.position(name)), inflated):
            break
        lowest = ObjectPose(position, pose.rotation)
    return lowest
