"""Where to hold a part on a joint so that it can be moved: grips across bars and blades."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from policies.expert.articulation import Articulation, find_articulation
from policies.expert.geometry import Boxes, any_overlap, sample_surface
from policies.expert.goals import Subgoal
from policies.expert.grasp import DOWN, MAX_GAP, TIP_LENGTH, face_pairs, nearby
from policies.expert.kinematics import Kinematics
from policies.expert.motion import CLOSE, OPEN, Actions
from policies.expert.pose import Pose, angle_between, axis_rotation, hand_rotation
from policies.expert.scene import Scene
from policies.expert.skills.situation import (
    SKILLS,
    Situation,
    close_fingers,
    register,
    travel,
)
from policies.interface import PlanningError
from tasks.observation import FloatArray

RETREAT = 0.06
"""How far before the hold the hand starts and ends, metres."""

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
"""Distance to other things, metres, to joint limits, rad, whether loose objects may be nudged, and
the largest turn from home, rad: the generous first. Far turned, the arm may lock on the way."""

_CHECKS = 4


@dataclass(frozen=True)
class Hold:
    """A grip on a moving part.

    Attributes:
        pose: Of the grip site when the fingers close.
        cost: Smaller is better.
    """

    pose: Pose
    cost: float

    @property
    def before(self) -> Pose:
        """Where the hand is before it reaches in."""
        return self.pose.shifted(-RETREAT * self.pose.rotation[:, 2])


def find_hold(scene: Scene, kinematics: Kinematics, part: Articulation, home: FloatArray) -> Hold:
    """Find the best grip on a part that is free and can be kept until the part is where it should.

    Args:
        scene: The scene as it is now.
        kinematics: Of its robot.
        part: What to move.
        home: (3, 3) orientation the hand should stay close to.

    Raises:
        PlanningError: If there is none.
    """
    moving = scene.body_boxes(part.bodies)
    holds = sorted(candidate_holds(moving, part, home), key=lambda hold: hold.cost)
    gripper = scene.gripper_boxes(MAX_GAP)
    for clearance, margin, nudging, turn in _PASSES:
        without = np.concatenate([part.bodies, scene.loose()]) if nudging else part.bodies
        obstacles = nearby(scene.obstacles(without=without), moving).inflated(clearance)
        blocks = Boxes.concatenate([moving, obstacles])
        for hold in holds:
            if angle_between(home, hold.pose.rotation) > turn:
                continue
            poses = [hold.pose.shifted(-b * hold.pose.rotation[:, 2]) for b in (0, 0.03, RETREAT)]
            if any(any_overlap(gripper.moved(p.rotation, p.position), blocks) for p in poses):
                continue
            if _keeps_reach(scene, kinematics, part, hold, margin):
                return hold
    raise PlanningError(f"No grip was found that can move the part ({len(holds)} candidates).")


def _keeps_reach(
    scene: Scene, kinematics: Kinematics, part: Articulation, hold: Hold, margin: float
) -> bool:
    """Tell whether the arm can follow the part without a jump of its joints."""
    reach = kinematics.reach(hold.before)
    for share in np.linspace(0.0, 1.0, _CHECKS):
        if not reach.reached or reach.margin < margin:
            return False
        pose = part.carried(hold.pose, share * part.remaining(scene))
        reach = kinematics.reach(pose, start=reach.joints)
    return reach.reached and reach.margin >= margin


def candidate_holds(moving: Boxes, part: Articulation, home: FloatArray) -> Iterator[Hold]:
    """Enumerate grips across the thin boxes of a part.

    Args:
        moving: Its boxes.
        part: How it moves.
        home: (3, 3) orientation the hand should stay close to.
    """
    thin = np.flatnonzero(np.sort(moving.half, axis=1)[:, 1] < _BAR_HALF)
    low, high = moving.bounds()
    middle = (low + high) / 2
    for index in thin:
        bar = Boxes(*(a[index : index + 1] for a in (moving.center, moving.axes, moving.half)))
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
                    at = middle + rotation @ np.array([u, offset, -tip - TIP_LENGTH])
                    pose = Pose(at, rotation)
                    cost = _cost(pose, part, home, tilt, depth, abs(offset - centre))
                    yield Hold(pose, cost)


def _cost(
    pose: Pose, part: Articulation, home: FloatArray, tilt: float, depth: float, aside: float
) -> float:
    """Weigh a grip: skewed, off centre, shallow, turned, pulling out of the fingers."""
    way = part.direction(pose.position)
    cost = 1.5 * tilt + 6.0 * aside + 6.0 * abs(depth - 0.02)
    turn = angle_between(home, pose.rotation)
    cost += 0.35 * turn + 1.0 * max(0.0, turn - _MAX_TURN)
    # A pull along the fingers is held by friction alone, one across them by their shape.
    return cost + 0.6 * max(0.0, float(-(way @ pose.rotation[:, 2])))


def _rotations(axis: FloatArray, home: FloatArray) -> Iterator[FloatArray]:
    """Hand orientations whose fingers close across an axis, none from below."""
    for tilt, azimuth in product(_TILTS, np.arange(_AZIMUTHS) * 2 * np.pi / _AZIMUTHS):
        if tilt == 0.0 and azimuth > 0:
            continue
        lean = axis_rotation(np.array([-np.sin(azimuth), np.cos(azimuth), 0.0]), -tilt)
        approach = lean @ DOWN
        closing = np.cross(approach, axis)
        if np.linalg.norm(closing) < 0.8:
            continue
        options = [hand_rotation(sign * closing, approach) for sign in (1.0, -1.0)]
        yield from options


_LEAD_SLIDE = 0.03
_LEAD_HINGE = 0.3
_STALLED = 10
_PROGRESS = 0.001


@register("open")
def pull_open(situation: Situation, subgoal: Subgoal) -> Actions:
    """Open a drawer or door by its handle."""
    yield from _move_part(situation, subgoal)


@register("turnon")
def turn_on(situation: Situation, subgoal: Subgoal) -> Actions:
    """Turn a knob until its appliance is on."""
    yield from _move_part(situation, subgoal)


@register("turnoff")
def turn_off(situation: Situation, subgoal: Subgoal) -> Actions:
    """Turn a knob until its appliance is off."""
    yield from _move_part(situation, subgoal)


def _move_part(situation: Situation, subgoal: Subgoal) -> Actions:
    scene, arm = situation.scene, situation.arm
    part = find_articulation(scene, subgoal.predicate, subgoal.arguments[0], frozenset(SKILLS))
    hold = find_hold(scene, situation.kinematics, part, situation.home)
    arm.gripper = OPEN
    yield from travel(situation, hold.before)
    yield from arm.move([hold.pose], tolerance=0.005, noisy=False)
    arm.gripper = CLOSE
    yield from close_fingers(situation, scene.hand_pose())
    yield from follow(situation, part)
    if part.remaining(scene) > 0 and not scene.holds(subgoal.expression):
        situation.failed_grasp = True
    arm.gripper = OPEN
    yield from arm.hold(4)
    back = scene.hand_pose()
    away = back.shifted(-RETREAT * back.rotation[:, 2])
    yield from arm.move([away], tolerance=0.015, noisy=False)


def follow(situation: Situation, part: Articulation) -> Actions:
    """Move the gripped part along its joint until it is where it should be, or no longer moves."""
    scene, arm = situation.scene, situation.arm
    start, first = scene.hand_pose(), part.remaining(scene)
    lead = _LEAD_HINGE if part.hinge else _LEAD_SLIDE
    best, stalled = first, 0
    while part.remaining(scene) > 0 and stalled < _STALLED:
        progress = first - part.remaining(scene)
        yield arm.toward(part.carried(start, progress + lead))
        left = part.remaining(scene)
        stalled = 0 if best - left > _PROGRESS else stalled + 1
        best = min(best, left)
