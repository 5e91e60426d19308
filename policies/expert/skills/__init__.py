"""What the expert can do: one module per kind of skill, all registered by goal predicate."""

from policies.expert import handle as handling
from policies.expert.goals import Subgoal
from policies.expert.motion import Actions
from policies.expert.skills import carrying, closing
from policies.expert.skills.situation import SKILLS, Situation, register
from policies.interface import PlanningError

__all__ = ["SKILLS", "Situation", "achieve", "carrying", "closing", "handling", "register"]

_ATTEMPTS = 4
_SETTLING = 15


def achieve(situation: Situation, subgoal: Subgoal) -> Actions:
    """Work on a subgoal until it holds.

    Raises:
        PlanningError: If it does not hold after several attempts.
    """
    for _ in range(_ATTEMPTS):
        if situation.scene.holds(subgoal.expression):
            return
        yield from SKILLS[subgoal.predicate](situation, subgoal)
        for _ in range(_SETTLING):  # what was dropped may still slide to where it should be
            if situation.scene.holds(subgoal.expression):
                return
            yield from situation.arm.hold(1)
    if not situation.scene.holds(subgoal.expression):
        raise PlanningError(
            f"'{' '.join(subgoal.expression)}' still fails after {_ATTEMPTS} tries."
        )
