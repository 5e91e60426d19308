"""Pushing drawers and doors shut."""

from policies.expert.articulation import find_articulation
from policies.expert.goals import Subgoal
from policies.expert.motion import Actions
from policies.expert.pose import Pose
from policies.expert.push import find_push
from policies.expert.skills.situation import SKILLS, UP, Situation, register, travel

_FIRM = 2.5
_LEAD = 0.3
_STALLED = 12
_PRESS = 10


@register("close")
def close(situation: Situation, subgoal: Subgoal) -> Actions:
    """Push a drawer or door shut with the open hand, press on for a moment, and step back from it.

    Who learns from a hand that turns back at once, and does so a step early, leaves it ajar.
    """
    scene, arm = situation.scene, situation.arm
    part = find_articulation(scene, "close", subgoal.arguments[0], frozenset(SKILLS))
    push = find_push(scene, situation.kinematics, part, situation.home)
    yield from travel(situation, push.start, pass_by=True)
    first = before = part.remaining(scene)
    stalled = pressed = 0
    while pressed < _PRESS and stalled < _STALLED:
        now = scene.hand_pose()
        if part.hinge:
            target = part.carried(push.touch, first - part.remaining(scene) + _LEAD)
            near = part.remaining(scene) == first
        else:
            past = now.position - push.touch.position
            ahead = float(past @ part.direction(now.position))
            aside = past - ahead * part.direction(now.position)
            # The touch lifts the fingers off the handle unless the hand is held on its line firmly.
            way = 0.025 * part.direction(now.position)
            target = push.touch.at(now.position + way - _FIRM * aside)
            near = ahead < -0.01
        yield arm.toward(target)
        reached = part.remaining(scene)
        if reached <= 0:
            pressed += 1
        else:
            stalled = 0 if near or before - reached > 0.0005 else stalled + 1
        before = reached
    back = part.direction(scene.hand_pose().position)
    retreat = scene.hand_pose().shifted(-0.05 * back + 0.03 * UP)
    yield from arm.move([Pose(retreat.position, situation.home)], tolerance=0.03, turn_tolerance=9)
