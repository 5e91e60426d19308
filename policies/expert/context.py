"""The context that skills share during one episode, and two motions that most of them use."""

from dataclasses import dataclass

import numpy as np

from policies.expert.geometry import OrientedBoxes
from policies.expert.kinematics import InverseKinematics
from policies.expert.motion import Actions, Arm, plan_path
from policies.expert.pose import Pose
from policies.expert.scene import Scene
from tasks.observation import FloatArray

_SLIPPED = 0.06


@dataclass(frozen=True)
class Subgoal:
    """One goal of the task: a lower-case BDDL predicate of objects or regions."""

    predicate: str
    arguments: tuple[str, ...]

    @property
    def expression(self) -> list[str]:
        """The goal as the environment evaluates it."""
        return [self.predicate, *self.arguments]


@dataclass
class SkillContext:
    """The episode that a skill works in.

    Attributes:
        home: Orientation of the hand at the start, turned upright.
        supported: Predicates that have a skill, for error messages.
        failed_grasp: Whether a grasp had to be repeated.
        grasp_offset: (3,) origin of the object in the hand's frame when the fingers closed; None
            while nothing is held.
    """

    scene: Scene
    arm: Arm
    kinematics: InverseKinematics
    home: FloatArray
    base: FloatArray
    supported: frozenset[str]
    failed_grasp: bool = False
    grasp_offset: FloatArray | None = None

    def holding(self, name: str) -> bool:
        """Tell whether an object has not slipped since the fingers closed.

        It may tilt between the fingers, which moves its origin by centimetres.
        """
        if self.grasp_offset is None or self.scene.touching_fingers(name) == 0:
            return False
        return float(np.linalg.norm(self.in_hand(name) - self.grasp_offset)) < _SLIPPED

    def in_hand(self, name: str) -> FloatArray:
        """Give an object's origin in the hand's frame, (3,)."""
        hand = self.scene.hand_pose()
        return np.asarray(hand.rotation.T @ (self.scene.position(name) - hand.position))

    def held_boxes(self, name: str) -> OrientedBoxes:
        """Box a held object in the hand's frame."""
        hand = self.scene.hand_pose()
        boxes = self.scene.object_boxes(name)
        return boxes.moved(hand.rotation.T, -hand.rotation.T @ hand.position)


def travel(
    context: SkillContext,
    goal: Pose,
    *,
    carried: OrientedBoxes | None = None,
    held: str | None = None,
    pass_by: bool = False,
) -> Actions:
    """Move the hand to a pose without touching anything on the way.

    Args:
        context: The episode.
        goal: Pose of the hand.
        carried: Boxes of the held object in the hand's frame.
        held: Name of the held object.
        pass_by: Whether to come within 15 mm of the goal instead of 4 mm.

    Raises:
        PlanningError: No clear path was found.
    """
    scene = context.scene
    gap = scene.finger_gap()
    shape = scene.gripper_boxes(gap)
    bodies = None
    if carried is not None and held is not None:
        shape = OrientedBoxes.concatenate([shape, carried])
        bodies = scene.subtree(scene.body(held))
    path = plan_path(scene.hand_pose(), goal, shape, scene.obstacles(without=bodies))
    tolerance = 0.015 if pass_by else 0.004
    yield from context.arm.move(path, tolerance=tolerance, turn_tolerance=0.1)


def close_fingers(context: SkillContext, at: Pose) -> Actions:
    """Keep the hand at a pose until the closing fingers no longer move."""
    gap, still = context.scene.finger_gap(), 0
    for step in range(18):
        yield from context.arm.keep(at, 1)
        current_gap = context.scene.finger_gap()
        still = still + 1 if step > 2 and abs(current_gap - gap) < 0.0004 else 0
        gap = current_gap
        if still >= 2:
            return
