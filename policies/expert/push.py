"""Pushing a drawer or door shut."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from policies.expert.articulation import Articulation, find_articulation
from policies.expert.context import SkillContext, Subgoal, travel
from policies.expert.geometry import OrientedBoxes, sample_surface
from policies.expert.grasp_candidates import MAX_GAP
from policies.expert.kinematics import InverseKinematics
from policies.expert.motion import Actions, touches
from policies.expert.pose import DOWN, UP, Pose, angle_between, axis_rotation
from policies.expert.scene import Scene
from policies.interface import PlanningError
from tasks.observation import FloatArray

_TILTS = (0.0, 0.2, 0.35, 0.5, 0.7, 0.9)
_LOWERINGS = (-0.008, -0.004, 0.0, 0.006)
_BEFORE = 0.04
_CLEARANCE = 0.006
_FIRM = 2.5
_LEAD = 0.3
_STALLED = 12
_PRESS_STEPS = 10


@dataclass(frozen=True)
class Push:
    """Poses of the hand at the start of a push, and where it touches the part."""

    start: Pose
    touch: Pose


def find_push(
    scene: Scene, kinematics: InverseKinematics, part: Articulation, home: FloatArray
) -> Push:
    """Find a hand pose that pushes the outermost spot of a part without touching anything else.

    Raises:
        PlanningError: Every pose is blocked or out of reach.
    """
    fixed = scene.obstacles(without=part.bodies).inflated(_CLEARANCE)
    # Objects in a drawer move along with it.
    movable = np.concatenate([part.bodies, scene.free_bodies()])
    immovable = scene.obstacles(without=movable).inflated(_CLEARANCE)
    moving = scene.body_boxes(part.bodies)
    direction = part.direction(_farthest(moving, part))
    contact = _outermost(moving, direction)
    gripper, fingers = scene.gripper_boxes(MAX_GAP), scene.gripper_boxes(MAX_GAP, hand=False)
    shares = (0.33, 0.67, 1.0) if part.hinge else (1.0,)
    for rotation in _orientations(home, direction):
        turned = fingers.moved(rotation, np.zeros(3))
        lead = turned.extent_along(direction)
        for lowering in _LOWERINGS:
            position = contact - lead * direction
            position[2] = contact[2] + lowering
            touch = Pose(position, rotation)
            start = touch.shifted(-_BEFORE * direction)
            ends = [part.pose_after(touch, share * part.remaining(scene)) for share in shares]
            if touches(gripper, [start, touch], fixed) or touches(gripper, ends, immovable):
                continue
            # Pulled back by 8 mm the hand must be free of the part as well.
            if touches(gripper, [touch.shifted(-0.008 * direction)], moving):
                continue
            if all(kinematics.solve(pose).reached for pose in (start, *ends)):
                return Push(start, touch)
    raise PlanningError("No hand pose was found that can push the part shut.")


def _farthest(boxes: OrientedBoxes, part: Articulation) -> FloatArray:
    """Give the middle of the edge that moves fastest when a part turns, (3,)."""
    corners = boxes.corners().reshape(-1, 3)
    arms = np.linalg.norm(np.cross(corners - part.anchor, part.axis), axis=1)
    return np.asarray(corners[arms > arms.max() - 0.02].mean(0))


def _outermost(boxes: OrientedBoxes, direction: FloatArray) -> FloatArray:
    """Give the middle of the surface that sticks out farthest against a direction, (3,)."""
    surface = sample_surface(boxes)
    points = surface.points[surface.normals @ direction < -0.9]
    depth = points @ direction
    outer = points[depth < depth.min() + 0.004]
    return np.asarray((outer.min(0) + outer.max(0)) / 2)


def _orientations(home: FloatArray, direction: FloatArray) -> list[FloatArray]:
    """List hand orientations to try, leaning back from the push, the least turn from home first."""
    yaw = float(np.arctan2(home[1, 0], home[0, 0]))
    lean = np.cross(DOWN, direction)
    orientations = []
    for tilt, quarter in product(_TILTS, (0.0, 0.5 * np.pi, -0.5 * np.pi)):
        x = np.array([np.cos(yaw + quarter), np.sin(yaw + quarter), 0.0])
        upright = np.stack([x, np.cross(DOWN, x), DOWN], axis=1)
        orientations.append(axis_rotation(lean, tilt) @ upright)
    return sorted(orientations, key=lambda rotation: angle_between(home, rotation))


def push_shut(context: SkillContext, subgoal: Subgoal) -> Actions:
    """Push a drawer or door shut with the open hand, press on for a moment, and step back.

    A learner that imitates a hand without the pause turns back a step early and leaves it ajar.
    """
    scene, arm = context.scene, context.arm
    part = find_articulation(scene, "close", subgoal.arguments[0], context.supported)
    push = find_push(scene, context.kinematics, part, context.home)
    yield from travel(context, push.start, pass_by=True)
    first = previous = part.remaining(scene)
    stalled = pressed = 0
    while pressed < _PRESS_STEPS and stalled < _STALLED:
        hand = scene.hand_pose()
        if part.hinge:
            target = part.pose_after(push.touch, first - part.remaining(scene) + _LEAD)
            untouched = part.remaining(scene) == first
        else:
            offset = hand.position - push.touch.position
            direction = part.direction(hand.position)
            ahead = float(offset @ direction)
            aside = offset - ahead * direction
            # The touch lifts the fingers off the handle unless the hand is held firmly on its line.
            target = push.touch.at(hand.position + 0.025 * direction - _FIRM * aside)
            untouched = ahead < -0.01
        yield arm.toward(target)
        remaining = part.remaining(scene)
        if remaining <= 0:
            pressed += 1
        else:
            moved = previous - remaining > 0.0005
            stalled = 0 if untouched or moved else stalled + 1
        previous = remaining
    back = part.direction(scene.hand_pose().position)
    retreat = scene.hand_pose().shifted(-0.05 * back + 0.03 * UP)
    yield from arm.move([Pose(retreat.position, context.home)], tolerance=0.03, turn_tolerance=9)
