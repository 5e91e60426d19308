"""Opening drawers and doors by their handles, and turning knobs."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from policies.expert.articulation import Articulation, find_articulation
from policies.expert.context import SkillContext, Subgoal, close_fingers, travel
from policies.expert.geometry import OrientedBoxes, sample_surface
from policies.expert.grasp_candidates import (
    MAX_GAP,
    TIP_LENGTH,
    face_pairs,
    within_gripper_reach,
)
from policies.expert.kinematics import InverseKinematics
from policies.expert.motion import CLOSE, OPEN, Actions, touches
from policies.expert.pose import DOWN, Pose, angle_between, axis_rotation, hand_rotation
from policies.expert.scene import Scene
from policies.interface import PlanningError
from tasks.observation import FloatArray

_RETREAT = 0.06
_BAR_HALF = 0.028
_TILTS = (0.0, 0.35, 0.7, 1.0, 1.15, 1.3, 1.4, 1.48)
_AZIMUTHS = 16
_FROM_BEHIND = 0.5
_PAD_HALF_WIDTH = 0.008
_OFFSETS = 0.012
_MAX_TURN = 2.0
_PASSES = (
    (0.004, 0.15, False, 2.4),
    (0.0, 0.06, False, 2.4),
    (0.0, 0.06, True, 2.4),
    (0.0, 0.06, True, 4.0),
)
"""Distance to other objects and to joint limits, whether free objects may be nudged, and largest
turn from home; from generous to tight. Turned far, the arm may lock on the way."""

_CHECKS = 4
_LEAD_SLIDE = 0.03
_LEAD_HINGE = 0.3
_STALLED = 10
_PROGRESS = 0.001


@dataclass(frozen=True)
class HandleGrasp:
    """The pose in which the fingers close on a moving part, and its cost; smaller is better."""

    pose: Pose
    cost: float

    @property
    def pre_grasp(self) -> Pose:
        """Pose of the hand before it reaches in."""
        return self.pose.drawn_back(_RETREAT)


def find_handle_grasp(
    scene: Scene, kinematics: InverseKinematics, part: Articulation, home: FloatArray
) -> HandleGrasp:
    """Find the cheapest grasp of a part that the arm can keep until the part is at its target.

    Raises:
        PlanningError: There is none.
    """
    moving = scene.body_boxes(part.bodies)
    grasps = sorted(handle_grasp_candidates(moving, part, home), key=lambda grasp: grasp.cost)
    gripper = scene.gripper_boxes(MAX_GAP)
    for clearance, margin, nudging, turn in _PASSES:
        without = np.concatenate([part.bodies, scene.free_bodies()]) if nudging else part.bodies
        obstacles = within_gripper_reach(scene.obstacles(without=without), moving).inflated(
            clearance
        )
        obstacles = OrientedBoxes.concatenate([moving, obstacles])
        for grasp in grasps:
            if angle_between(home, grasp.pose.rotation) > turn:
                continue
            if touches(gripper, map(grasp.pose.drawn_back, (0, 0.03, _RETREAT)), obstacles):
                continue
            if _stays_reachable(scene, kinematics, part, grasp, margin):
                return grasp
    raise PlanningError(f"No grip was found that can move the part ({len(grasps)} candidates).")


def _stays_reachable(
    scene: Scene,
    kinematics: InverseKinematics,
    part: Articulation,
    grasp: HandleGrasp,
    margin: float,
) -> bool:
    """Tell whether the arm can follow the part without a jump of its joints."""
    solution = kinematics.solve(grasp.pre_grasp)
    for share in np.linspace(0.0, 1.0, _CHECKS):
        if not solution.reached or solution.margin < margin:
            return False
        pose = part.pose_after(grasp.pose, share * part.remaining(scene))
        solution = kinematics.solve(pose, start=solution.joints)
    return solution.reached and solution.margin >= margin


def handle_grasp_candidates(
    moving: OrientedBoxes, part: Articulation, home: FloatArray
) -> Iterator[HandleGrasp]:
    """Enumerate grasps across the thin boxes of a part, given with all its boxes."""
    thin = np.flatnonzero(np.sort(moving.half, axis=1)[:, 1] < _BAR_HALF)
    low, high = moving.bounds()
    middle = (low + high) / 2
    for index in thin:
        bar = OrientedBoxes(
            *(a[index : index + 1] for a in (moving.center, moving.axes, moving.half))
        )
        surface = sample_surface(bar, spacing=0.004)
        axis = bar.axes[0][:, int(np.argmax(bar.half[0]))]
        way = part.direction(bar.center[0])
        for rotation in _rotations(axis, home):
            if rotation[:, 2] @ way > _FROM_BEHIND:
                continue
            local = (surface.points - middle) @ rotation
            facing = surface.normals @ rotation[:, 0]
            useful = np.abs(facing) > 0.9
            if not useful.any():
                continue
            offsets = local[useful, 1]
            centre = (offsets.max() + offsets.min()) / 2
            # Height is measured against the approach.
            faces = np.stack(
                [local[useful, 0], -local[useful, 2], facing[useful], surface.areas[useful]]
            )
            for offset in centre + np.array([0.0, -_OFFSETS, _OFFSETS]):
                band = np.abs(offsets - offset) < _PAD_HALF_WIDTH
                for u, tip, _, tilt, depth in face_pairs(faces[:, band]):
                    position = middle + rotation @ np.array([u, offset, -tip - TIP_LENGTH])
                    pose = Pose(position, rotation)
                    cost = _cost(pose, part, home, tilt, depth, abs(offset - centre))
                    yield HandleGrasp(pose, cost)


def _cost(
    pose: Pose, part: Articulation, home: FloatArray, tilt: float, depth: float, aside: float
) -> float:
    """Give the cost of a grasp that is skewed, off centre, shallow, turned, or held by friction."""
    way = part.direction(pose.position)
    cost = 1.5 * tilt + 6.0 * aside + 6.0 * abs(depth - 0.02)
    turn = angle_between(home, pose.rotation)
    cost += 0.35 * turn + 1.0 * max(0.0, turn - _MAX_TURN)
    # A pull along the fingers is held by friction, one across them by their shape.
    return cost + 0.6 * max(0.0, float(-(way @ pose.rotation[:, 2])))


def _rotations(axis: FloatArray, home: FloatArray) -> Iterator[FloatArray]:
    """Enumerate hand orientations whose fingers close across an axis, none from below."""
    for tilt, azimuth in product(_TILTS, np.arange(_AZIMUTHS) * 2 * np.pi / _AZIMUTHS):
        if tilt == 0.0 and azimuth > 0:
            continue
        lean = axis_rotation(np.array([-np.sin(azimuth), np.cos(azimuth), 0.0]), -tilt)
        approach = lean @ DOWN
        closing = np.cross(approach, axis)
        if np.linalg.norm(closing) < 0.8:
            continue
        yield from (hand_rotation(sign * closing, approach) for sign in (1.0, -1.0))


def move_part(context: SkillContext, subgoal: Subgoal) -> Actions:
    """Open a drawer or door by its handle, or turn a knob until its appliance is on or off."""
    scene, arm = context.scene, context.arm
    part = find_articulation(scene, subgoal.predicate, subgoal.arguments[0], context.supported)
    grasp = find_handle_grasp(scene, context.kinematics, part, context.home)
    arm.gripper = OPEN
    yield from travel(context, grasp.pre_grasp)
    yield from arm.move([grasp.pose], tolerance=0.005, noisy=False)
    arm.gripper = CLOSE
    yield from close_fingers(context, scene.hand_pose())
    yield from _follow(context, part)
    if part.remaining(scene) > 0 and not scene.is_true(subgoal.expression):
        context.failed_grasp = True
    arm.gripper = OPEN
    yield from arm.hold(4)
    yield from arm.move([scene.hand_pose().drawn_back(_RETREAT)], tolerance=0.015, noisy=False)


def _follow(context: SkillContext, part: Articulation) -> Actions:
    """Move the held part along its joint until it reaches its target or no longer moves."""
    scene, arm = context.scene, context.arm
    start, first = scene.hand_pose(), part.remaining(scene)
    lead = _LEAD_HINGE if part.hinge else _LEAD_SLIDE
    best, stalled = first, 0
    while part.remaining(scene) > 0 and stalled < _STALLED:
        progress = first - part.remaining(scene)
        yield arm.toward(part.pose_after(start, progress + lead))
        remaining = part.remaining(scene)
        stalled = 0 if best - remaining > _PROGRESS else stalled + 1
        best = min(best, remaining)
