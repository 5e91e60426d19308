"""The interface of policies, which turn observations into plans of actions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from results.latency import LatencyHistogram
from tasks import protocols
from tasks.errors import HarnessError
from tasks.observation import ACTION_DIM, CONTROL_HZ, FloatArray, Observation
from tasks.protocols import Start


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """A policy's inputs and outputs.

    Attributes:
        name: Name in tables.
        horizon: Steps in a plan.
        history: Control steps of observation in a request, the current one included.
        cameras: Cameras in an observation, a subset of ``tasks.observation.CAMERAS``.
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
    """A request for the next plan of one episode.

    Attributes:
        window: Observations, oldest first, the last one current. At the start of an episode it
            is shorter than ``PolicySpec.history``.
        instruction: The task in words.
        seed: Determines all randomness of this plan: the same request gives the same plan
            whatever the other requests in the batch, before it or after it.
        step: Control steps executed so far in the episode.
        previous: Remaining steps of the previous plan, (n, width) with n below the horizon, as the
            policy gave them; None if there are none.
        episode: Name of the episode, unique in the run; empty outside an evaluation. A policy with
            memory keeps it under this name and starts anew at step 0.
        committed: How many rows of ``previous`` will be executed before this plan arrives, which
            then enters at the row of that number; 0 without a delay.
    """

    window: Sequence[Observation]
    instruction: str
    seed: int
    step: int = 0
    previous: FloatArray | None = None
    episode: str = ""
    committed: int = 0


@runtime_checkable
class Policy(Protocol):
    """A policy: one object plans for any number of episodes, whose requests come in any order.

    Memory of an episode is kept under ``PlanRequest.episode``. ``OptionalMembers`` lists further
    members that the harness uses.
    """

    @property
    def spec(self) -> PolicySpec:
        """The policy's inputs and outputs."""

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Plan for several episodes at once.

        Args:
            requests: One per episode; they may belong to different tasks.

        Returns:
            One plan per request, (horizon, width) float64. Width 7, in [−1, 1]: position and
            axis-angle deltas and the gripper command (−1 open, +1 close). Width 10: goals of the
            hand, which the simulation turns into a delta at every control step.
        """


class PolicyContract(Protocol):
    """The conditions under which a checkpoint was trained.

    It may have an attribute ``demos``: plain data about the demonstrations of its training, whose
    ``label`` names them on one line.
    """

    def check(self, conditions: Mapping[str, object]) -> None:
        """Raise ``SpecMismatchError`` where the conditions of an evaluation are others.

        Args:
            conditions: ``render_size`` (pixels), ``orientation`` and ``control_hz``.
        """


@dataclass(frozen=True, kw_only=True)
class OptionalMembers:
    """Members that a policy may have besides ``spec`` and ``plan``.

    Each is an attribute or a property; ``check_protocol`` and ``check_instructions`` are methods.
    The defaults stand for policies without it.
    """

    check_protocol: Callable[[protocols.Protocol], None] | None = None
    """Raises ``SpecMismatchError`` if the policy does not fit a protocol, before episodes run."""

    check_instructions: Callable[[Sequence[str]], None] | None = None
    """Raises ``ConfigError`` if it cannot be told some instructions, before episodes run."""

    contract: PolicyContract | None = None
    """The conditions of its training, checked where there is no ``check_protocol``."""

    device: object = None
    """Its device, such as ``cuda:0``, whose kind is recorded in the run."""

    provenance: Mapping[str, Any] | None = None
    """Further plain data to record in the run about the policy's origin."""

    files: Path | str | None = None
    """File or folder of the weights, hashed into the run; by default the checkpoint as given."""

    more_files: Sequence[Path | str] = ()
    """Other files that determine the weights, such as an adapter's base; hashed likewise."""

    resumable_options: Sequence[str] = ()
    """Options whose values may change when a run is resumed, as no outcome depends on them."""

    remedies: Mapping[str, str] | None = None
    """Remedies for suspicious plans, by ``policies.plan_checks.Suspicion``: clauses without a full
    stop."""

    latency: Callable[[], LatencyHistogram] | None = None
    """Returns how long its requests took since it was built, recorded in the run; for policies
    elsewhere, whose plans take a while to come."""

    with_options: Callable[[Mapping[str, Any]], "Policy"] | None = None
    """Returns the same policy with other values of some options, the weights shared."""

    @property
    def demos(self) -> Mapping[str, Any] | None:
        """The contract's data about the demonstrations of the training."""
        return getattr(self.contract, "demos", None)

    @classmethod
    def of(cls, policy: object) -> Self:
        """Read the members that a policy has."""
        names = (field.name for field in fields(cls))
        return cls(**{name: getattr(policy, name) for name in names if hasattr(policy, name)})

    def check_fit(self, protocol: protocols.Protocol) -> None:
        """Refuse a policy that does not fit a protocol, with ``SpecMismatchError``."""
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
        """The policy's inputs and outputs; ``privileged`` is True."""

    def begin(self, simulator: Any, seed: int) -> None:
        """Start an episode on a ``tasks.simulation.simulator.Simulator`` that was just reset."""

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Plan the next steps of this one episode; ``requests`` holds exactly one."""


@runtime_checkable
class StartingPolicy(PrivilegedPolicy, Protocol):
    """A privileged policy whose episodes do not start in the task's initial states.

    Its results cannot be compared with other policies': its runs have a protocol of their own.

    Attributes:
        starts: Origin of the starts, in a word for tables, such as ``demos``.
    """

    starts: str

    def check_episodes(self, suite: str, tasks: Sequence[int], init_states: Sequence[int]) -> str:
        """Refuse episodes without a start, before any is run.

        Args:
            suite: The suite's name.
            tasks: Indices of tasks.
            init_states: Initial states of each task.

        Returns:
            A hash of the starts; a run is resumed only with the same.
        """

    def start(self, suite: str, task: int, init_state: int) -> Start:
        """Give the start of an episode; ``begin`` follows once the simulator is there."""


MEMBERS = {
    *("spec", "plan", "begin", "starts", "check_episodes", "start"),
    *(field.name for field in fields(OptionalMembers)),
}
"""All members of a policy that the harness uses."""

_SIMILARITY = 0.85
"""Least similarity, of 1, of a misspelt name to the right one."""


def misspelt_members(policy: object) -> dict[str, str]:
    """Map public members of a policy that seem misspelt to the members meant."""
    present = {name for name in dir(policy) if not name.startswith("_")}
    lacking = sorted(MEMBERS - present)
    matches = {
        name: get_close_matches(name, lacking, n=1, cutoff=_SIMILARITY)
        for name in sorted(present - MEMBERS)
    }
    return {name: match[0] for name, match in matches.items() if match}


class PlanningError(HarnessError):
    """No motion was found that the geometry allows; the message says for which step."""


class UnsupportedGoalError(PlanningError):
    """The task's goal needs a skill that the expert does not have."""

    @classmethod
    def of(cls, goal: Iterable[str], supported: Iterable[str], why: str = "") -> Self:
        """Name the goal, predicate first, the supported predicates, and what is missing."""
        reason = f" ({why})" if why else ""
        return cls(
            f"The expert has no skill for the goal '{' '.join(goal)}'{reason}. It supports: "
            f"{', '.join(sorted(supported))}. Choose another task or register a skill in "
            "policies.expert.policy."
        )
