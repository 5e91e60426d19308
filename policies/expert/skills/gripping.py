"""Closing the fingers on an object and lifting it."""

from collections.abc import Callable, Generator
from typing import TypeVar

import numpy as np

from policies.expert.grasp import Grasp
from policies.expert.motion import CLOSE, OPEN
from policies.expert.skills.situation import UP, Situation, close_fingers, travel
from policies.interface import PlanningError
from tasks.observation import FloatArray

_ATTEMPTS = 4
_APPROACH = 0.06
_GENTLE = 0.012
_MOVED = 0.003
_LIFTED = 0.01
_LANDED = 0.01

G = TypeVar("G", bound=Grasp)


def grip(
    situation: Situation, name: str, choose: Callable[[], G]
) -> Generator[FloatArray, None, G]:
    """Get an object into the hand, in several attempts if need be.

    Args:
        situation: The episode.
        name: The object.
        choose: Chooses a grasp in the scene as it then is.

    Returns:
        The grasp that held.

    Raises:
        PlanningError: If none did.
    """
    for _ in range(_ATTEMPTS):
        grasp = yield from pick(situation, name, choose)
        if situation.holding(name):
            return grasp
        situation.failed_grasp = True
        situation.arm.gripper = OPEN
        up = situation.scene.hand_pose().shifted(0.08 * UP)
        yield from situation.arm.move([up], tolerance=0.01)
    raise PlanningError(f"'{name}' could not be gripped in {_ATTEMPTS} attempts.")


def pick(
    situation: Situation, name: str, choose: Callable[[], G]
) -> Generator[FloatArray, None, G]:
    """Go to an object, close the fingers on it and lift it a little.

    Args:
        situation: The episode.
        name: The object.
        choose: Chooses a grasp in the scene as it then is.

    Returns:
        The grasp that was tried.
    """
    scene, arm = situation.scene, situation.arm
    arm.gripper = OPEN
    tight = False
    for _ in range(_ATTEMPTS):
        seen = scene.position(name)
        grasp = choose()
        tight = tight or grasp.tight
        back = -grasp.pose.rotation[:, 2]
        before = grasp.pose.shifted(_APPROACH * back)
        yield from travel(situation, before, pass_by=not tight)
        if tight:  # arrive without momentum
            yield from arm.hold(3)
            yield from arm.move([before], tolerance=0.003, noisy=False)
        if np.linalg.norm(scene.position(name) - seen) > _MOVED:
            continue
        near = 0.002 if tight else 0.004
        yield from arm.move([grasp.pose], tolerance=near, noisy=False)
        off = scene.hand_pose().position - grasp.pose.position
        if off @ back < _LANDED and np.linalg.norm(off) < 1.5 * _LANDED:
            break
        tight = True  # a finger stands on something, or the arm swings: again, more exactly
        yield from arm.move([before], tolerance=0.015, noisy=False)
    arm.gripper = CLOSE
    yield from close_fingers(situation, grasp.pose)
    # Torn up at once, a thin rim slips out of the fingers.
    yield from arm.move([grasp.pose.shifted(_GENTLE * UP)], tolerance=0.004, noisy=False)
    situation.grip = situation.in_hand(name)
    yield from arm.move([grasp.pose.shifted(0.05 * UP)], tolerance=0.015, noisy=False)
    if scene.position(name)[2] < seen[2] + _LIFTED:
        situation.grip = None
    return grasp
