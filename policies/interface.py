"""What a policy is: something that turns what the robot saw into a plan of actions."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from tasks.errors import HarnessError
from tasks.observation import ACTION_DIM, FloatArray, Observation
from tasks.starts import Start


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """What a policy needs and gives; the harness arranges the rest.

    Attributes:
        name: How tables call it.
        horizon: Steps in a plan.
        history: Control steps of observation it wants, the current one included.
        cameras: Cameras it wants, a subset of ``tasks.observation.CAMERAS``; empty for none.
        privileged: True if it reads the simulator itself and so runs beside it, in the worker.
        exec_horizon: Steps of a plan executed before the next plan, unless the user says otherwise.
        width: Numbers in a row of a plan: ``tasks.observation.ACTION_DIM``, or ``GOAL_DIM``.
    """

    name: str
    horizon: int
    history: int = 1
    cameras: tuple[str, ...] = ()
    privileged: bool = False
    exec_horizon: int = 1
    width: int = ACTION_DIM


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """A question to a policy: what to do next in one episode.

    Attributes:
        window: Observations, oldest first, the last one current. At the start of an episode it
            is shorter than ``PolicySpec.history``.
        instruction: The task in words.
        seed: Determines all randomness of this plan: the same request gives the same plan
            whatever else is asked in the same batch, before it or after it.
        step: Control steps executed so far in the episode.
        previous: What the plan before this one says about the steps from now on, (n, width) with n
            below the horizon, as the policy gave it; None where it says nothing.
    """

    window: Sequence[Observation]
    instruction: str
    seed: int
    step: int = 0
    previous: FloatArray | None = None


@runtime_checkable
class Policy(Protocol):
    """A policy. It keeps no state between plans, so any number of episodes can share it."""

    @property
    def spec(self) -> PolicySpec:
        """What the policy needs and gives."""

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Plan for several episodes at once.

        Args:
            requests: One question per episode; they may belong to different tasks.

        Returns:
            One plan per request, (horizon, width) float64. Of width 7, in [−1, 1]: position and
            axis-angle deltas and the gripper command (−1 open, +1 close). Of width 10: where the
            hand is pulled to, which the simulation turns into a delta at every control step.
        """


class PrivilegedPolicy(Protocol):
    """A policy that reads the simulator, such as the scripted expert. One object, one episode."""

    @property
    def spec(self) -> PolicySpec:
        """What the policy needs and gives; ``privileged`` is True."""

    def begin(self, simulator: Any, seed: int) -> None:
        """Start an episode on a ``tasks.simulation.simulator.Simulator`` that was just reset."""

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Plan the next steps of this one episode; ``requests`` holds exactly one."""


@runtime_checkable
class StartingPolicy(PrivilegedPolicy, Protocol):
    """A privileged policy whose episodes start elsewhere than in the task's initial states.

    What it achieves cannot be compared with other policies' results and is kept apart from them:
    its runs have a protocol of their own.

    Attributes:
        starts: What its episodes start from, in a word for tables, such as ``demos``.
    """

    starts: str

    def check_episodes(self, suite: str, tasks: Sequence[int], init_states: Sequence[int]) -> str:
        """Refuse episodes that it has no start for, before any is run.

        Args:
            suite: The suite's name.
            tasks: Indices of tasks.
            init_states: Initial states of each task.

        Returns:
            A hash of what it has for these episodes: a run is resumed only with the same.
        """

    def start(self, suite: str, task: int, init_state: int) -> Start:
        """Say where an episode starts; ``begin`` follows once the simulator is there."""


class PlanningError(HarnessError):
    """No motion was found that the geometry allows; the message says for which step."""


class UnsupportedGoalError(PlanningError):
    """The task's goal needs a skill that the expert does not have."""

    def __init__(self, goal: Iterable[str], supported: Iterable[str], why: str = "") -> None:
        """Name the goal and the kinds of goal that would work.

        Args:
            goal: The goal as the BDDL file states it, predicate first.
            supported: The predicates that have a skill.
            why: What exactly is missing, where the predicate itself is supported.
        """
        reason = f" ({why})" if why else ""
        super().__init__(
            f"The expert has no skill for the goal '{' '.join(goal)}'{reason}. It supports: "
            f"{', '.join(sorted(supported))}. Choose another task or register a skill in "
            "policies.expert.skills."
        )

    def __reduce__(self) -> tuple[Callable[[str], "UnsupportedGoalError"], tuple[str]]:
        """Let the error cross from a worker process with its message."""
        return _from_message, (str(self),)


def _from_message(message: str) -> UnsupportedGoalError:
    error = UnsupportedGoalError.__new__(UnsupportedGoalError)
    error.args = (message,)
    return error
