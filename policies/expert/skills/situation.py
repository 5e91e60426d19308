"""What skills share: the episode they work in, moving about, and the table of all skills."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from policies.expert.geometry import Boxes
from policies.expert.goals import Subgoal
from policies.expert.kinematics import Kinematics
from policies.expert.motion import Actions, Arm, plan_path
from policies.expert.pose import Pose
from policies.expert.scene import Scene
from tasks.observation import FloatArray

UP = np.array([0.0, 0.0, 1.0])

_SLIPPED = 0.06


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
        grip: (3,) the object's origin in the hand's frame when the fingers closed, metres.
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
        return float(np.linalg.norm(self.in_hand(name) - self.grip)) < _SLIPPED

    def in_hand(self, name: str) -> FloatArray:
        """Give an object's origin in the hand's frame, (3,) metres."""
        hand = self.scene.hand_pose()
        return np.asarray(hand.rotation.T @ (self.scene.position(name) - hand.position))


Skill = Callable[[Situation, Subgoal], Actions]
SKILLS: dict[str, Skill] = {}
"""The skill of each goal predicate; extend it with ``register``."""


def register(predicate: str) -> Callable[[Skill], Skill]:
    """Make a function the skill of a goal predicate."""

    def add(skill: Skill) -> Skill:
        SKILLS[predicate] = skill
        return skill

    return add


def travel(
    situation: Situation,
    goal: Pose,
    *,
    carried: Boxes | None = None,
    held: str | None = None,
    pass_by: bool = False,
) -> Actions:
    """Move clear of everything to a pose; with ``pass_by`` nearly there is enough.

    Args:
        situation: The episode.
        goal: Where the hand goes.
        carried: What is in the hand, in the grip site's frame.
        held: Its name.
        pass_by: Whether 15 mm from the goal is enough.

    Raises:
        PlanningError: If no clear path is found.
    """
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


def close_fingers(situation: Situation, at: Pose) -> Actions:
    """Keep the hand at a pose until the closing fingers no longer move."""
    gap, still = situation.scene.finger_gap(), 0
    for step in range(18):
        yield from situation.arm.keep(at, 1)
        now = situation.scene.finger_gap()
        still = still + 1 if step > 2 and abs(now - gap) < 0.0004 else 0
        gap = now
        if still >= 2:
            return
