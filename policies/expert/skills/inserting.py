"""Putting objects under a roof: gripped from the side, pushed straight in."""

from policies.expert.insertion import LENGTH, find_insertion
from policies.expert.motion import OPEN, Actions
from policies.expert.placing import Place
from policies.expert.pose import Pose
from policies.expert.skills.gripping import grip
from policies.expert.skills.situation import UP, Situation, travel

_RISE = 0.08


def insert(situation: Situation, name: str, place: Place) -> Actions:
    """Grip an object from the side, bring it straight into a region, let go and draw back.

    Args:
        situation: The episode.
        name: The object.
        place: Where to.
    """
    scene, arm, kinematics = situation.scene, situation.arm, situation.kinematics
    plan = yield from grip(
        situation,
        name,
        lambda: find_insertion(scene, kinematics, name, place, situation.home),
    )
    hand = scene.hand_pose()
    own = scene.object_boxes(name).moved(hand.rotation.T, -hand.rotation.T @ hand.position)
    before = -LENGTH * plan.way
    yield from travel(situation, plan.release(scene, name).shifted(before), carried=own, held=name)
    if not situation.holding(name):
        situation.failed_grasp = True
        return
    for shift in (before, 0.0 * before):  # the object may have turned in the grip: look again
        pose = plan.release(scene, name).shifted(shift)
        yield from arm.move([pose], tolerance=0.004, turn_tolerance=0.03, noisy=False)
    arm.gripper = OPEN
    yield from arm.hold(8)
    back = scene.hand_pose().shifted(before)
    yield from arm.move([back], tolerance=0.02, noisy=False)
    # With the wrist turned back the next goal is easier to reach.
    upright = Pose(scene.hand_pose().position + _RISE * UP, situation.home)
    yield from arm.move([upright], tolerance=0.03, turn_tolerance=0.3, noisy=False)
