"""What a policy is: something that turns what the robot saw into a plan of actions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from tasks import protocols
from tasks.errors import HarnessError
from tasks.observation import ACTION_DIM, CONTROL_HZ, FloatArray, Observation
from tasks.protocols import Start


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
        episode: Name of the episode, the same for all its plans and no other episode's of the run.
            A policy with memory keeps it under this name and starts anew at step 0. Empty outside
            an evaluation.
    """

    window: Sequence[Observation]
    instruction: str
    seed: int
    step: int = 0
    previous: FloatArray | None = None
    episode: str = ""


@runtime_checkable
class Policy(Protocol):
    """A policy: one object plans for any number of episodes, whose requests come in any order.

    What it remembers of an episode it keeps under ``PlanRequest.episode``. ``OptionalMembers`` has
    what else the harness asks of it.
    """

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


class PolicyContract(Protocol):
    """The conditions under which a checkpoint was trained.

    It may have an attribute ``demos``: what it was trained on, as plain data, whose ``label`` names
    it on one line.
    """

    def check(self, conditions: Mapping[str, object]) -> None:
        """Raise ``SpecMismatchError`` where the conditions of an evaluation are others.

        Args:
            conditions: ``render_size`` (pixels), ``orientation`` and ``control_hz``.
        """


@dataclass(frozen=True, kw_only=True)
class OptionalMembers:
    """What the harness asks of a policy besides ``spec`` and ``plan``.

    A policy that has an answer has a member of the same name: an attribute, a property or, for
    ``check_protocol``, a method. The defaults stand for policies without it.
    """

    check_protocol: Callable[[protocols.Protocol], None] | None = None
    """Raises ``SpecMismatchError`` if the policy does not fit a protocol, before episodes run."""

    contract: PolicyContract | None = None
    """The conditions of its training, checked where there is no ``check_protocol``."""

    device: object = None
    """Where it computes, such as ``cuda:0``; its kind is on record in the run."""

    provenance: Mapping[str, Any] | None = None
    """What else a run should keep on where the policy comes from, as plain data."""

    files: Path | str | None = None
    """File or folder of the weights, hashed into the run; the checkpoint as given by default."""

    more_files: Sequence[Path | str] = ()
    """What else the weights follow from, such as the base of an adapter; hashed likewise."""

    resumable_options: Sequence[str] = ()
    """Options that a run may be resumed with other values of, as no outcome depends on them."""

    remedies: Mapping[str, str] | None = None
    """What to do about suspicious plans, by ``policies.plan_checks.Suspicion``: clauses without a
    full stop."""

    @property
    def demos(self) -> Mapping[str, Any] | None:
        """What the contract says of the demonstrations the policy was trained on."""
        return getattr(self.contract, "demos", None)

    @classmethod
    def of(cls, policy: object) -> Self:
        """Read the members that a policy has."""
        names = (field.name for field in fields(cls))
        return cls(**{name: getattr(policy, name) for name in names if hasattr(policy, name)})

    def check_fit(self, protocol: protocols.Protocol) -> None:
        """Refuse a policy that was made for other conditions than the protocol's.

        Raises:
            SpecMismatchError: It does not fit.
        """
        if self.check_protocol is not None:
            self.check_protocol(protocol)
        elif self.contract is not None:
            self.contract.check(
                {
                    "render_size": protocol.resolution,
                    "orientation": protocol.orientation,
                    "control_hz": CONTROL_HZ,
                }
            )


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


MEMBERS = {
    *("spec", "plan", "begin", "starts", "check_episodes", "start"),
    *(field.name for field in fields(OptionalMembers)),
}
"""All members of a policy that the harness knows."""

_ALIKE = 0.85
"""How alike two names are, of 1, if one is taken for a slip of the other."""


def misspelt_members(policy: object) -> dict[str, str]:
    """Return the public members of a policy that look like slips of ones it lacks, with these."""
    present = {name for name in dir(policy) if not name.startswith("_")}
    lacking = sorted(MEMBERS - present)
    nearest = {
        name: get_close_matches(name, lacking, n=1, cutoff=_ALIKE)
        for name in sorted(present - MEMBERS)
    }
    return {name: near[0] for name, near in nearest.items() if near}


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
            "policies.expert.policy."
        )

    def __reduce__(self) -> tuple[Callable[[str], "UnsupportedGoalError"], tuple[str]]:
        """Let the error cross from a worker process with its message."""
        return _from_message, (str(self),)


def _from_message(message: str) -> UnsupportedGoalError:
    error = UnsupportedGoalError.__new__(UnsupportedGoalError)
    error.args = (message,)
    return error
