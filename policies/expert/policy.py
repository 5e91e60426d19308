"""The expert as a policy: the skill of each goal, and the order of a task's goals."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from policies.expert.carry import place_object
from policies.expert.context import SkillContext, Subgoal
from policies.expert.handle import move_part
from policies.expert.kinematics import InverseKinematics
from policies.expert.motion import OPEN, Actions, Arm
from policies.expert.pose import DOWN, hand_rotation
from policies.expert.push import push_shut
from policies.expert.scene import Scene
from policies.interface import PlanningError, PlanRequest, PolicySpec, UnsupportedGoalError
from tasks.errors import ConfigError
from tasks.observation import ACTION_DIM, FloatArray

Skill = Callable[[SkillContext, Subgoal], Actions]

SKILLS: dict[str, Skill] = {
    "on": place_object,
    "in": place_object,
    "close": push_shut,
    "open": move_part,
    "turnon": move_part,
    "turnoff": move_part,
}
"""The skill for each BDDL predicate."""

_PLACEMENTS = frozenset({"on", "in"})
_FIRST = ("open", "turnon")
_ATTEMPTS = 4
_SETTLING_STEPS = 15


def order_goals(goals: Sequence[Sequence[str]], supported: frozenset[str]) -> list[Subgoal]:
    """Order parsed BDDL goals, predicate first, so that none is in the way of a later one.

    Opening and turning on come first, then the closing of empty containers, then placements (a
    support before the object on it), then the closing of filled containers.

    Raises:
        UnsupportedGoalError: A predicate is not in ``supported``.
    """
    subgoals = [Subgoal(str(g[0]).lower(), tuple(map(str, g[1:]))) for g in goals]
    for subgoal in subgoals:
        if subgoal.predicate not in supported:
            raise UnsupportedGoalError.of(subgoal.expression, supported)
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
    """Add the opening of every container that something is put into and that ``is_shut``."""
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


_ROUNDS = 3
_WAIT = 20


class ExpertPolicy:
    """Solves a task from the simulator's state: geometry and goals, nothing learned.

    One object serves one episode at a time; ``begin`` starts the next. The same simulator state
    and seed give the same actions.

    Args:
        speed: Largest action, in (0, 1]; 0.7 is close to a human's pace.
        noise: Standard deviation of the noise on position actions, in action units, half of it on
            rotation actions; none close to waypoints and while gripping or pushing.

    Attributes:
        failure: Why the expert gave up in this episode, or None.
        intended: The latest action without its noise, (7,): the one for a learner to imitate
            (DART, Laskey et al. 2017, arXiv 1703.09327).

    Raises:
        ConfigError: A value is out of range.
    """

    def __init__(self, *, speed: float = 1.0, noise: float = 0.0) -> None:
        if not 0.0 < speed <= 1.0:
            raise ConfigError(f"The expert's speed is {speed}; it must lie in (0, 1].")
        if not 0.0 <= noise <= 1.0:
            raise ConfigError(f"The expert's noise is {noise}; it must lie in [0, 1].")
        self._speed = speed
        self._noise = noise
        self._actions: Actions | None = None
        self._context: SkillContext | None = None
        self._finished = False
        self._arm: Arm
        self.intended: FloatArray = np.zeros(ACTION_DIM)
        self.failure: str | None = None

    @property
    def spec(self) -> PolicySpec:
        """One action per plan, no cameras, privileged."""
        return PolicySpec(name="expert", horizon=1, privileged=True)

    @property
    def done(self) -> bool:
        """Whether all goals were worked through; only holding actions follow."""
        return self._finished

    @property
    def failed_grasp(self) -> bool:
        """Whether an object slipped or was missed in this episode."""
        return self._context is not None and self._context.failed_grasp

    def begin(self, simulator: Any, seed: int) -> None:
        """Start an episode.

        Args:
            simulator: Has LIBERO's environment as ``env``, reset and settled.
            seed: Seed of the noise.

        Raises:
            UnsupportedGoalError: The task needs a skill that does not exist.
        """
        scene = Scene(simulator.env)
        rng = np.random.default_rng(seed)
        self._arm = Arm(scene, speed=self._speed, noise=self._noise, rng=rng)
        base = scene.model.body("robot0_base").id
        self._context = SkillContext(
            scene=scene,
            arm=self._arm,
            kinematics=InverseKinematics(scene),
            home=hand_rotation(scene.hand_pose().rotation[:, 0] * [1.0, 1.0, 0.0], DOWN),
            base=np.array(scene.data.xpos[base]),
            supported=frozenset(SKILLS),
        )
        self._finished = False
        self.failure = None
        goals = with_openings(scene.goals, scene.is_shut)
        subgoals = order_goals(goals, frozenset(SKILLS))
        self._actions = self._run(self._context, subgoals)

    def _run(self, context: SkillContext, subgoals: Sequence[Any]) -> Actions:
        try:
            for _ in range(_ROUNDS):
                for subgoal in subgoals:
                    yield from achieve(context, subgoal)
                # An object that stood for a moment may still fall over.
                yield from context.arm.hold(_WAIT)
                if all(context.scene.is_true(subgoal.expression) for subgoal in subgoals):
                    break
            self._finished = True
        except PlanningError as error:
            # An episode that cannot be solved is a failure to count, not a crash.
            self.failure = str(error)
        context.arm.gripper = OPEN
        while True:
            yield from context.arm.hold(1)

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Give the next action, one (1, 7) plan, from the simulator's present state.

        Args:
            requests: Exactly one; its contents do not matter.

        Raises:
            ConfigError: No episode was begun or more than one request came.
        """
        if self._actions is None:
            raise ConfigError("The expert has no episode; call begin(simulator, seed) first.")
        if len(requests) != 1:
            raise ConfigError(f"The expert got {len(requests)} requests; it serves exactly one.")
        self._arm.intended = None
        action = next(self._actions)
        intended = self._arm.intended
        self.intended = action if intended is None else intended
        return [action[None]]


def build_expert(*, speed: float = 1.0, noise: float = 0.0) -> ExpertPolicy:
    """Solves a task from the simulator's state by geometry: the ceiling of every table.

    Args:
        speed: Largest action, in (0, 1]; 0.7 is close to a human's pace.
        noise: Standard deviation of the noise on position actions, in action units, half of it on
            rotation actions.

    Raises:
        ConfigError: A value is out of range.
    """
    return ExpertPolicy(speed=speed, noise=noise)
