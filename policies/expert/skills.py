"""The skill of each goal predicate, and working on one goal until it holds."""

from collections.abc import Callable

from policies.expert.carry import place_object
from policies.expert.context import SkillContext
from policies.expert.goals import Subgoal
from policies.expert.handle import move_part
from policies.expert.motion import Actions
from policies.expert.push import push_shut
from policies.interface import PlanningError

Skill = Callable[[SkillContext, Subgoal], Actions]

SKILLS: dict[str, Skill] = {
    "on": place_object,
    "in": place_object,
    "close": push_shut,
    "open": move_part,
    "turnon": move_part,
    "turnoff": move_part,
}
"""The skill that makes a BDDL predicate true; a new predicate is a line here."""

_ATTEMPTS = 4
_SETTLING_STEPS = 15


def achieve(context: SkillContext, subgoal: Subgoal) -> Actions:
    """Work on a subgoal until it holds.

    Raises:
        PlanningError: It does not hold after several attempts.
    """
    scene = context.scene
    for _ in range(_ATTEMPTS):
        if scene.is_true(subgoal.expression):
            return
        yield from SKILLS[subgoal.predicate](context, subgoal)
        for _ in range(_SETTLING_STEPS):  # a dropped object may still slide into place
            if scene.is_true(subgoal.expression):
                return
            yield from context.arm.hold(1)
    if not scene.is_true(subgoal.expression):
        raise PlanningError(
            f"'{' '.join(subgoal.expression)}' still fails after {_ATTEMPTS} tries."
        )
