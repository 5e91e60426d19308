"""Pushing what leans on the front of a drawer fully into it."""

import numpy as np

from policies.expert.drop_simulation import LEANING
from policies.expert.grasp import DOWN, TIP_LENGTH
from policies.expert.motion import CLOSE, Actions
from policies.expert.placing import Place
from policies.expert.pose import Pose, angle_between, hand_rotation
from policies.expert.skills.situation import UP, Situation, travel
from policies.interface import PlanningError
from tasks.observation import FloatArray

_BEFORE = 0.03
_BELOW_TOP = 0.012
_LEAD = 0.03
_LONGEST = 0.13
_ARRIVED = 0.005
_STEPS = 40


def leans(situation: Situation, name: str, upright: FloatArray) -> bool:
    """Tell whether an object stands askew.

    Args:
        situation: The episode.
        name: The object.
        upright: (3,) what was straight up in the object's frame when it stood.
    """
    cosine = float((situation.scene.rotation(name) @ upright)[2])
    return bool(np.arccos(np.clip(cosine, -1.0, 1.0)) > LEANING)


def nudge(situation: Situation, name: str, place: Place) -> Actions:
    """Push an object level to the middle of its place, unless the hand cannot get behind it.

    Args:
        situation: The episode.
        name: The object.
        place: Where it should be.
    """
    scene, arm = situation.scene, situation.arm
    way = (place.target - scene.position(name)) * [1.0, 1.0, 0.0]
    way = way / (np.linalg.norm(way) + 1e-9)
    boxes = scene.object_boxes(name)
    options = [hand_rotation(sign * np.cross(UP, way), DOWN) for sign in (1.0, -1.0)]
    rotation = min(options, key=lambda option: angle_between(situation.home, option))
    rear = boxes.extent_along(-way) + float(scene.position(name) @ way)
    height = float(boxes.bounds()[1][2]) - _BELOW_TOP + TIP_LENGTH
    start = Pose(scene.position(name) - (rear + _BEFORE) * way, rotation).height(height)
    arm.gripper = CLOSE
    try:
        yield from travel(situation, start)
    except PlanningError:
        return
    for _ in range(_STEPS):
        hand = scene.hand_pose().position
        ahead = float((hand - start.position) @ way)
        left = float((place.target - scene.position(name)) @ way)
        if left < _ARRIVED or ahead > _LONGEST:
            break
        yield arm.toward(start.shifted((ahead + _LEAD) * way))
    up = scene.hand_pose().shifted(0.1 * UP)
    yield from arm.move([up], tolerance=0.03, noisy=False)
