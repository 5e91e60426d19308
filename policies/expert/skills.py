"""What the expert can do, and the registry from goal predicates to skills."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from policies.expert.errors import PlanningError
from policies.expert.geometry import Boxes, support_height
from policies.expert.goals import Subgoal
from policies.expert.grasp import MAX_GAP, GraspWish, find_grasp
from policies.expert.kinematics import Kinematics
from policies.expert.motion import CLOSE, OPEN, Actions, Arm, plan_path
from policies.expert.pose import Pose
from policies.expert.push import closing_slide, find_push
from policies.expert.scene import Scene
from tasks.observation import FloatArray

_ATTEMPTS = 4
_APPROACH = 0.06
_MOVED = 0.003
_DROP = 0.005
_FIRM = 2.5
_LIFTED = 0.01
_SLIPPED = 0.06
_UP = np.array([0.0, 0.0, 1.0])


@dataclass
class Situation:
    """What a skill works with during one episode.

    Attributes:
        scene: The live scene.
        arm: Gives the actions.
        kinematics: Tells what can be reached.
        home: (3, 3) orientation of the hand at the start, turned upright.
        base: (3,) position of the robot's base, metres.
        failed_grasp: Whether a grasp had to be tried again.
        grip: (3,) from the hand to the object's origin when the fingers closed, metres.
    """

    scene: Scene
    arm: Arm
    kinematics: Kinematics
    home: FloatArray
    base: FloatArray
    failed_grasp: bool = False
    grip: FloatArray | None = None

    def holding(self, name: str) -> bool:
        """Tell whether an object is about where it was in the hand when the fingers closed.

        It may have tilted in the grip, which moves its origin by centimetres.
        """
        if self.grip is None or self.scene.touching_fingers(name) == 0:
            return False
        now = self.scene.position(name) - self.scene.hand_pose().position
        return float(np.linalg.norm(now - self.grip)) < _SLIPPED


Skill = Callable[[Situation, Subgoal], Actions]
SKILLS: dict[str, Skill] = {}
"""The skill of each goal predicate; extend it with ``register``."""


def register(predicate: str) -> Callable[[Skill], Skill]:
    """Make a function the skill of a goal predicate."""

    def add(skill: Skill) -> Skill:
        SKILLS[predicate] = skill
        return skill

    return add


def achieve(situation: Situation, subgoal: Subgoal) -> Actions:
    """Work on a subgoal until it holds.

    Raises:
        PlanningError: If it does not hold after several attempts.
    """
    for _ in range(_ATTEMPTS):
        if situation.scene.holds(subgoal.expression):
            return
        yield from SKILLS[subgoal.predicate](situation, subgoal)
    if not situation.scene.holds(subgoal.expression):
        raise PlanningError(
            f"'{' '.join(subgoal.expression)}' still fails after {_ATTEMPTS} tries."
        )


@register("close")
def close_drawer(situation: Situation, subgoal: Subgoal) -> Actions:
    """Push a drawer shut with the open hand and step back from it."""
    scene, arm = situation.scene, situation.arm
    slide = closing_slide(scene, subgoal.arguments[0], frozenset(SKILLS))
    push = find_push(scene, situation.kinematics, slide, situation.home)
    yield from _travel(situation, push.start, pass_by=True)
    stalled, before = 0, slide.remaining(scene)
    while slide.remaining(scene) > 0 and stalled < 12:
        now = scene.hand_pose().position
        past = now - push.touch.position
        ahead = float(past @ slide.direction)
        aside = past - ahead * slide.direction
        # The touch lifts the fingers off the handle unless the hand is held on its line firmly.
        target = now + 0.025 * slide.direction - _FIRM * aside
        yield arm.toward(push.touch.at(target))
        reached = slide.remaining(scene)
        near = ahead < -0.01
        stalled = 0 if near or before - reached > 0.0005 else stalled + 1
        before = reached
    retreat = scene.hand_pose().shifted(-0.05 * slide.direction + 0.03 * _UP)
    yield from arm.move([Pose(retreat.position, situation.home)], tolerance=0.03, turn_tolerance=9)


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
        up = situation.scene.hand_pose().shifted(0.08 * _UP)
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
        yield from _travel(situation, grasp.pose.shifted(_APPROACH * _UP), pass_by=True)
        if np.linalg.norm(scene.position(name) - seen) < _MOVED:
            break
    yield from arm.move([grasp.pose], tolerance=0.004, noisy=False)
    arm.gripper = CLOSE
    yield from _close_fingers(situation)
    situation.grip = scene.position(name) - scene.hand_pose().position
    yield from arm.move([grasp.pose.shifted(0.05 * _UP)], tolerance=0.015, noisy=False)
    if scene.position(name)[2] < seen[2] + _LIFTED:
        situation.grip = None


def _close_fingers(situation: Situation) -> Actions:
    gap, still = situation.scene.finger_gap(), 0
    for step in range(18):
        yield from situation.arm.hold(1)
        now = situation.scene.finger_gap()
        still = still + 1 if step > 2 and abs(now - gap) < 0.0004 else 0
        gap = now
        if still >= 2:
            return


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
    above = release.shifted(0.05 * _UP)
    yield from _travel(situation, above, carried=own, held=name, pass_by=True)
    if not situation.holding(name):
        situation.failed_grasp = True
        return
    yield from arm.move([release_pose(situation, name, target)], tolerance=0.005, noisy=False)
    arm.gripper = OPEN
    for step in range(10):
        yield from arm.hold(1)
        if step >= 3 and scene.touching_fingers(name) == 0:
            break
    up = scene.hand_pose().shifted(0.07 * _UP)
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


def _travel(
    situation: Situation,
    goal: Pose,
    *,
    carried: Boxes | None = None,
    held: str | None = None,
    pass_by: bool = False,
) -> Actions:
    """Move clear of everything to a pose; with ``pass_by`` nearly there is enough."""
    scene = situation.scene
    gap = scene.finger_gap()
    shape = scene.gripper_boxes(gap)
    bodies = None
    if carried is not None and held is not None:
        shape = Boxes.concatenate([shape, carried])
        bodies = scene.subtree(scene.body(held))
    path = plan_path(scene.hand_pose(), goal, shape, scene.obstacles(without=bodies))
    near = 0.015 if pass_by else 0.004
    yield from situation.arm.move(path, tolerance=near, turn_tolerance=0.1)
