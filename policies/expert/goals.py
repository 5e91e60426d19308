"""From a task's goals to an ordered list of things to do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policies.interface import UnsupportedGoalError

_PLACEMENTS = frozenset({"on", "in"})
_FIRST = ("open", "turnon")


@dataclass(frozen=True)
class Subgoal:
    """One goal of the task, in the place where it is to be worked on.

    Attributes:
        predicate: Lower-case BDDL predicate, such as ``close``.
        arguments: Names of objects or regions.
    """

    predicate: str
    arguments: tuple[str, ...]

    @property
    def expression(self) -> list[str]:
        """The goal as the environment evaluates it."""
        return [self.predicate, *self.arguments]


def order_goals(goals: Sequence[Sequence[str]], supported: frozenset[str]) -> list[Subgoal]:
    """Order goals so that none is in the way of a later one.

    What must be open or on comes first, then what is closed and stays out of it, then
    placements (a support before what stands on it), then the closing of what was filled.

    Args:
        goals: Parsed BDDL goals, predicate first.
        supported: Predicates that have a skill.

    Raises:
        UnsupportedGoalError: If a predicate has no skill.
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


def with_openings(goals: Sequence[Sequence[str]], shut: Callable[[str], bool]) -> list[list[str]]:
    """Add what must be open before something can be put into it.

    Args:
        goals: Parsed BDDL goals, predicate first.
        shut: Tells whether a region can be opened and is not open.
    """
    plain = [list(map(str, goal)) for goal in goals]
    regions = {goal[2] for goal in plain if goal[0].lower() in _PLACEMENTS}
    opened = {goal[1] for goal in plain if goal[0].lower() == "open"}
    return [["open", name] for name in sorted(regions - opened) if shut(name)] + plain


def _filled(subgoal: Subgoal, containers: set[str]) -> bool:
    """Tell whether what is closed must first receive something."""
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
