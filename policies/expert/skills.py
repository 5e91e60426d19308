"""The skill of each goal predicate, the order of a task's goals, and working on one of them."""

from collections.abc import Callable, Sequence

from policies.expert.carry import place_object
from policies.expert.context import SkillContext, Subgoal
from policies.expert.handle import move_part
from policies.expert.motion import Actions
from policies.expert.push import push_shut
from policies.interface import PlanningError, UnsupportedGoalError

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

_PLACEMENTS = frozenset({"on", "in"})
_FIRST = ("open", "turnon")
_ATTEMPTS = 4
_SETTLING_STEPS = 15


def order_goals(goals: Sequence[Sequence[str]], supported: frozenset[str]) -> list[Subgoal]:
    """Order goals so that none is in the way of a later one.

    Opening and turning on come first, then the closing of empty containers, then placements (a
    support before the object on it), then the closing of filled containers.

    Args:
        goals: Parsed BDDL goals, predicate first.
        supported: Predicates that have a skill.

    Raises:
        UnsupportedGoalError: A predicate has no skill.
    """
    subgoals = [Subgoal(str(g[0]).lower(), tuple(map(str, g[1:]))) for g in goals]
    for subgoal in subgoals:
        if subgoal.predicate not in supported:
            raise UnsupportedGoalError(subgoal.expression, supported)
    placements = [s for s in subgoals if s.predicate in _PLACEMENTS]
    containers = {s.arguments[1] for s in placements}
    opening = [s for p in _FIRST for s in subgoals if s.predicate == p]
    others = [s for s in subgoals if s not in placements and s not in opening]
    early = [s for s in others if not _filled(s, containers)]
    late = [s for s in others if _filled(s, containers)]
    return [*opening, *early, *_supports_first(placements), *late]


def with_openings(
    goals: Sequence[Sequence[str]], is_shut: Callable[[str], bool]
) -> list[list[str]]:
    """Add the opening of every closed container that something is put into.

    Args:
        goals: Parsed BDDL goals, predicate first.
        is_shut: Tells whether a region can be opened and is not open.
    """
    plain = [list(map(str, goal)) for goal in goals]
    regions = {goal[2] for goal in plain if goal[0].lower() in _PLACEMENTS}
    opened = {goal[1] for goal in plain if goal[0].lower() == "open"}
    return [["open", name] for name in sorted(regions - opened) if is_shut(name)] + plain


def _filled(subgoal: Subgoal, containers: set[str]) -> bool:
    """Tell whether something is put into the container that is closed."""
    name = subgoal.arguments[0]
    return any(c == name or c.startswith(f"{name}_") for c in containers)


def _supports_first(placements: list[Subgoal]) -> list[Subgoal]:
    """Order placements so that an object is moved before something is put on it."""
    ordered: list[Subgoal] = []
    waiting = list(placements)
    while waiting:
        movers = {s.arguments[0] for s in waiting}
        ready = [s for s in waiting if s.arguments[1] not in movers] or waiting[:1]
        ordered.append(ready[0])
        waiting.remove(ready[0])
    return ordered


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
