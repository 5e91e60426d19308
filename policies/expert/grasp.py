"""Grasping an object: choose a free, reachable candidate, approach it, close and lift."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from policies.expert.context import SkillContext, close_fingers, travel
from policies.expert.geometry import OrientedBoxes
from policies.expert.grasp_candidates import (
    CLEARANCES,
    MAX_GAP,
    Grasp,
    GraspPreferences,
    candidate_grasps,
    sliding_grasps,
    tilted_grasps,
    within_gripper_reach,
)
from policies.expert.kinematics import InverseKinematics
from policies.expert.motion import CLOSE, OPEN, touches
from policies.expert.pose import UP
from policies.expert.scene import Scene
from policies.interface import PlanningError
from tasks.observation import FloatArray

_FIRM_DEPTH = 0.020
_LAST_GAP = 0.010
_CLOSING_STEPS = 4
_DEEPER = 0.004
_SWEEP = (0.0, 0.025, 0.05, 0.075)
_ATTEMPTS = 4
_APPROACH = 0.06
_GENTLE = 0.012
_MOVED = 0.003
_LIFTED = 0.01
_ARRIVED = 0.01

G = TypeVar("G", bound=Grasp)


def find_grasp(
    scene: Scene, kinematics: InverseKinematics, name: str, preferences: GraspPreferences
) -> Grasp:
    """Find the cheapest grasp that touches nothing and can be reached, from above if possible.

    Raises:
        PlanningError: No candidate is feasible.
    """
    boxes, origin = scene.object_boxes(name), scene.position(name)
    count = 0
    upright = (candidate_grasps, tilted_grasps) if preferences.tilted else (candidate_grasps,)
    for enumerate_grasps in (*upright, sliding_grasps):
        candidates = enumerate_grasps(boxes, origin, preferences)
        ordered = sorted(candidates, key=lambda grasp: grasp.cost)
        count += len(ordered)
        # A rim held by its edge slips away: a firm grasp is worth a tight approach.
        firm = [grasp for grasp in ordered if grasp.depth >= _FIRM_DEPTH]
        for choice in (firm, [grasp for grasp in ordered if grasp.depth < _FIRM_DEPTH]):
            grasp = _first_feasible(scene, kinematics, name, choice)
            if grasp is not None:
                return grasp
    raise PlanningError(
        f"No grasp from above was found for '{name}': {count} candidates, "
        "all blocked or out of reach."
    )


def _first_feasible(
    scene: Scene, kinematics: InverseKinematics, name: str, candidates: Sequence[Grasp]
) -> Grasp | None:
    boxes = scene.object_boxes(name)
    near = within_gripper_reach(scene.surroundings(name), boxes)
    gripper = scene.gripper_boxes(MAX_GAP)
    for clearance, margin in CLEARANCES:
        obstacles = OrientedBoxes.concatenate([boxes, near.inflated(clearance)])
        for grasp in candidates:
            if touches(gripper, map(grasp.pose.drawn_back, _SWEEP), obstacles):
                continue
            if not closes_freely(scene, grasp, boxes):
                continue
            solution = kinematics.solve(grasp.pose)
            if solution.reached and solution.margin > margin:
                return replace(grasp, clearance=clearance)
    return None


def closes_freely(scene: Scene, grasp: Grasp, boxes: OrientedBoxes) -> bool:
    """Tell whether the closing fingers meet nothing of an object before the faces they hold."""
    if grasp.slide is not None:
        boxes = boxes.moved(np.eye(3), grasp.slide)
    deeper = grasp.pose.drawn_back(-_DEEPER)
    for gap in np.linspace(MAX_GAP, grasp.width + _LAST_GAP, _CLOSING_STEPS):
        fingers = scene.gripper_boxes(min(gap, MAX_GAP), hand=False)
        if touches(fingers, [deeper], boxes):
            return False
    return True


def grasp_object(
    context: SkillContext, name: str, plan_grasp: Callable[[], G]
) -> Generator[FloatArray, None, G]:
    """Get an object into the hand, in several attempts if need be.

    Args:
        context: The episode.
        name: The object.
        plan_grasp: Finds a grasp in the present scene.

    Returns:
        The grasp that held.

    Raises:
        PlanningError: None held.
    """
    for _ in range(_ATTEMPTS):
        grasp = yield from _try_grasp(context, name, plan_grasp)
        if context.holding(name):
            return grasp
        context.failed_grasp = True
        context.arm.gripper = OPEN
        up = context.scene.hand_pose().shifted(0.08 * UP)
        yield from context.arm.move([up], tolerance=0.01)
    raise PlanningError(f"'{name}' could not be gripped in {_ATTEMPTS} attempts.")


def _try_grasp(
    context: SkillContext, name: str, plan_grasp: Callable[[], G]
) -> Generator[FloatArray, None, G]:
    """Go to the pre-grasp and the grasp pose, close the fingers and lift a little."""
    scene, arm = context.scene, context.arm
    arm.gripper = OPEN
    tight = False
    for _ in range(_ATTEMPTS):
        planned_for = scene.position(name)
        grasp = plan_grasp()
        tight = tight or grasp.tight
        pre_grasp = grasp.pose.drawn_back(_APPROACH)
        yield from travel(context, pre_grasp, pass_by=not tight)
        if tight:  # arrive without momentum
            yield from arm.hold(3)
            yield from arm.move([pre_grasp], tolerance=0.003, noisy=False)
        if np.linalg.norm(scene.position(name) - planned_for) > _MOVED:
            continue
        tolerance = 0.002 if tight else 0.004
        yield from arm.move([grasp.pose], tolerance=tolerance, noisy=False)
        error = scene.hand_pose().position - grasp.pose.position
        short = error @ -grasp.pose.rotation[:, 2]
        if short < _ARRIVED and np.linalg.norm(error) < 1.5 * _ARRIVED:
            break
        tight = True  # a finger stands on something, or the arm swings: again, more exactly
        yield from arm.move([pre_grasp], tolerance=0.015, noisy=False)
    arm.gripper = CLOSE
    yield from close_fingers(context, grasp.pose)
    # Lifted at once, a thin rim slips out of the fingers.
    yield from arm.move([grasp.pose.shifted(_GENTLE * UP)], tolerance=0.004, noisy=False)
    context.grasp_offset = context.in_hand(name)
    yield from arm.move([grasp.pose.shifted(0.05 * UP)], tolerance=0.015, noisy=False)
    if scene.position(name)[2] < planned_for[2] + _LIFTED:
        context.grasp_offset = None
    return grasp
