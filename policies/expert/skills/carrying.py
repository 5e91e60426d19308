"""Gripping objects, carrying them and putting them down."""

import numpy as np

from policies.expert.errors import PlanningError
from policies.expert.geometry import Boxes, support_height
from policies.expert.goals import Subgoal
from policies.expert.grasp import MAX_GAP, GraspWish, find_grasp
from policies.expert.motion import CLOSE, OPEN, Actions
from policies.expert.pose import Pose
from policies.expert.scene import Scene
from policies.expert.skills.situation import UP, Situation, close_fingers, register, travel
from tasks.observation import FloatArray

_ATTEMPTS = 4
_APPROACH = 0.06
_MOVED = 0.003
_DROP = 0.005
_LIFTED = 0.01


@register("on")
def place_on(situation: Situation, subgoal: Subgoal) -> Actions:
    """Put an object on a region or on another object."""
    name, support = subgoal.arguments
    yield from transfer(situation, name, target_of(situation.scene, support))


@register("in")
def place_in(situation: Situation, subgoal: Subgoal) -> Actions:
    """Put an object into a region."""
    name, region = subgoal.arguments
    yield from transfer(situation, name, target_of(situation.scene, region))


def target_of(scene: Scene, support: str) -> FloatArray:
    """Give where an object's origin should go, (3,) metres, for a region or an object."""
    if support in scene.env.object_sites_dict:
        return scene.region(support)[0]
    return scene.position(support)


def transfer(situation: Situation, name: str, target: FloatArray) -> Actions:
    """Grip an object, carry it so that its origin is over a target, and let go.

    Args:
        situation: The episode.
        name: The object.
        target: (3,) metres; its height only says what lies below.
    """
    for _ in range(_ATTEMPTS):
        yield from pick(situation, name, target)
        if situation.holding(name):
            yield from place(situation, name, target)
            return
        situation.failed_grasp = True
        situation.arm.gripper = OPEN
        up = situation.scene.hand_pose().shifted(0.08 * UP)
        yield from situation.arm.move([up], tolerance=0.01)
    raise PlanningError(f"'{name}' could not be gripped in {_ATTEMPTS} attempts.")


def pick(situation: Situation, name: str, drop: FloatArray) -> Actions:
    """Go to an object, close the fingers on it and lift it a little.

    Args:
        situation: The episode.
        name: The object.
        drop: (3,) where it will go, metres; used to choose the side to grip.
    """
    scene, arm = situation.scene, situation.arm
    wish = GraspWish(home=situation.home, drop=drop, base=situation.base)
    arm.gripper = OPEN
    for _ in range(_ATTEMPTS):
        seen = scene.position(name)
        grasp = find_grasp(scene, situation.kinematics, name, wish)
        yield from travel(situation, grasp.pose.shifted(_APPROACH * UP), pass_by=True)
        if np.linalg.norm(scene.position(name) - seen) < _MOVED:
            break
    yield from arm.move([grasp.pose], tolerance=0.004, noisy=False)
    arm.gripper = CLOSE
    yield from close_fingers(situation)
    situation.grip = scene.position(name) - scene.hand_pose().position
    yield from arm.move([grasp.pose.shifted(0.05 * UP)], tolerance=0.015, noisy=False)
    if scene.position(name)[2] < seen[2] + _LIFTED:
        situation.grip = None


def place(situation: Situation, name: str, target: FloatArray) -> Actions:
    """Carry the gripped object over a target, lower it, let go and move up.

    Args:
        situation: The episode.
        name: The gripped object.
        target: (3,) for the object's origin; only its xy are kept, metres.
    """
    scene, arm = situation.scene, situation.arm
    release = release_pose(situation, name, target)
    carried = scene.object_boxes(name)
    hand = scene.hand_pose()
    own = carried.moved(hand.rotation.T, -hand.rotation.T @ hand.position)
    above = release.shifted(0.05 * UP)
    yield from travel(situation, above, carried=own, held=name, pass_by=True)
    if not situation.holding(name):
        situation.failed_grasp = True
        return
    yield from arm.move([release_pose(situation, name, target)], tolerance=0.005, noisy=False)
    arm.gripper = OPEN
    for step in range(10):
        yield from arm.hold(1)
        if step >= 3 and scene.touching_fingers(name) == 0:
            break
    up = scene.hand_pose().shifted(0.07 * UP)
    yield from arm.move([up], tolerance=0.03, noisy=False)


def release_pose(situation: Situation, name: str, target: FloatArray) -> Pose:
    """Find where to let go: origin over the target, just above what lies below.

    Both the object and the opened fingers must stay clear of what is under them.

    Args:
        situation: The episode; the object is gripped.
        name: The gripped object.
        target: (3,) for the object's origin, metres.
    """
    scene = situation.scene
    hand = scene.hand_pose()
    shift = np.zeros(3)
    shift[:2] = (target - scene.position(name))[:2]
    others = scene.obstacles(without=scene.subtree(scene.body(name)))
    fingers = scene.gripper_boxes(MAX_GAP).moved(hand.rotation, hand.position)
    rise = -np.inf
    for shape in (scene.object_boxes(name), fingers):
        moved = shape.moved(np.eye(3), shift)
        for index in range(len(moved)):
            part = Boxes(*(a[index : index + 1] for a in (moved.center, moved.axes, moved.half)))
            below = support_height(others, part, default=0.0)
            rise = max(rise, below + _DROP - float(part.bounds()[0][2]))
    shift[2] = rise
    return hand.shifted(shift)
