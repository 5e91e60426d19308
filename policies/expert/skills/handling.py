"""Opening drawers and doors by their handles, turning knobs."""

from policies.expert.articulation import Articulation, find_articulation
from policies.expert.goals import Subgoal
from policies.expert.handle import RETREAT, find_hold
from policies.expert.motion import CLOSE, OPEN, Actions
from policies.expert.skills.situation import (
    SKILLS,
    Situation,
    close_fingers,
    register,
    travel,
)

_LEAD_SLIDE = 0.03
_LEAD_HINGE = 0.3
_STALLED = 10
_PROGRESS = 0.001


@register("open")
def pull_open(situation: Situation, subgoal: Subgoal) -> Actions:
    """Open a drawer or door by its handle."""
    yield from _move_part(situation, subgoal)


@register("turnon")
def turn_on(situation: Situation, subgoal: Subgoal) -> Actions:
    """Turn a knob until its appliance is on."""
    yield from _move_part(situation, subgoal)


@register("turnoff")
def turn_off(situation: Situation, subgoal: Subgoal) -> Actions:
    """Turn a knob until its appliance is off."""
    yield from _move_part(situation, subgoal)


def _move_part(situation: Situation, subgoal: Subgoal) -> Actions:
    scene, arm = situation.scene, situation.arm
    part = find_articulation(scene, subgoal.predicate, subgoal.arguments[0], frozenset(SKILLS))
    hold = find_hold(scene, situation.kinematics, part, situation.home)
    arm.gripper = OPEN
    yield from travel(situation, hold.before)
    yield from arm.move([hold.pose], tolerance=0.005, noisy=False)
    arm.gripper = CLOSE
    yield from close_fingers(situation, scene.hand_pose())
    yield from follow(situation, part)
    if part.remaining(scene) > 0 and not scene.holds(subgoal.expression):
        situation.failed_grasp = True
    arm.gripper = OPEN
    yield from arm.hold(4)
    back = scene.hand_pose()
    away = back.shifted(-RETREAT * back.rotation[:, 2])
    yield from arm.move([away], tolerance=0.015, noisy=False)


def follow(situation: Situation, part: Articulation) -> Actions:
    """Move the gripped part along its joint until it is where it should be, or no longer moves."""
    scene, arm = situation.scene, situation.arm
    start, first = scene.hand_pose(), part.remaining(scene)
    lead = _LEAD_HINGE if part.hinge else _LEAD_SLIDE
    best, stalled = first, 0
    while part.remaining(scene) > 0 and stalled < _STALLED:
        progress = first - part.remaining(scene)
        yield arm.toward(part.carried(start, progress + lead))
        left = part.remaining(scene)
        stalled = 0 if best - left > _PROGRESS else stalled + 1
        best = min(best, left)
