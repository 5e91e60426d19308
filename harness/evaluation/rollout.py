"""The loop of an episode: reset, plan, execute, until success or the step limit."""

import hashlib
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, cast

from policies.executor import PlanExecutor
from policies.interface import PlanRequest, PolicySpec
from results.records import EpisodeKey, EpisodeRecord, Outcome
from tasks.observation import CAMERAS, FloatArray, Observation, RobotState
from tasks.protocols import Start

if TYPE_CHECKING:
    # Its import needs OpenGL; the parent of workers does not, and workers say what is missing.
    from tasks.simulation.simulator import Slice


class Environment(Protocol):
    """The environment of a rollout, such as ``tasks.environment.LiberoEnv``."""

    @property
    def max_steps(self) -> int:
        """Control steps an episode may last."""

    @property
    def elapsed(self) -> int:
        """Control steps executed in this episode."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode; the options are ``init_state`` or ``start``, and ``cameras``."""

    def execute(
        self,
        actions: FloatArray,
        *,
        history: int = 1,
        cameras: Sequence[str] | None = None,
        record: Sequence[str] = (),
    ) -> "Slice":
        """Execute (n, 7) actions; stop early at success or at the step limit."""

    def info(self) -> dict[str, Any]:
        """Return facts about the latest step, by the keys of ``LiberoEnv``'s info."""

    def close(self) -> None:
        """Free the simulation."""


class Planner(Protocol):
    """The source of plans: a policy in this process, or one behind a pipe."""

    def start(self, key: EpisodeKey) -> Start | None:
        """Return the start of an episode; None for its initial state."""

    def begin(self, env: Any, seed: int) -> None:
        """Prepare for an episode in an environment that was just reset."""

    def plan(self, request: PlanRequest) -> FloatArray:
        """Return one plan, (horizon, 7)."""


@dataclass(frozen=True, kw_only=True)
class StepEvent:
    """One executed control step, for subscribers.

    Attributes:
        step: Control steps executed so far, this one included.
        plan: Number of the plan that is being executed, from 0; −1 before the first.
        starts_plan: True at the first step of a plan.
        action: The executed action, (7,) in [−1, 1].
        observation: The observation after it.
        delay: Control steps that plans are late.
        holding: The hand was held still, in a pause or as no plan covered the step.
    """

    step: int
    plan: int
    starts_plan: bool
    action: FloatArray
    observation: Observation
    delay: int = 0
    holding: bool = False


class Subscriber(Protocol):
    """An observer of an episode, such as a video writer.

    Attributes:
        cameras: Cameras to render at every step.
    """

    cameras: tuple[str, ...]

    def begin(self, observation: Observation, max_steps: int) -> None:
        """The episode starts with this observation."""

    def step(self, event: StepEvent) -> None:
        """A control step was executed."""

    def end(self, outcome: Outcome) -> str | None:
        """The episode is over; the path of a video in the run folder, if there is one."""

    def abort(self) -> None:
        """The episode broke; remove what is half-made."""


def plan_seed(key: EpisodeKey, plan: int) -> int:
    """Return the seed of one plan's randomness, in [0, 2⁶³).

    It is a hash, so that it depends on the episode alone and differs between neighbours.

    Args:
        key: The episode.
        plan: Number of the plan in the episode, from 0.
    """
    text = f"{key.suite}/{key.task}/{key.init_state}/{key.seed}/{plan}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def run_episode(
    env: Environment,
    planner: Planner,
    spec: PolicySpec,
    executor: PlanExecutor,
    *,
    key: EpisodeKey,
    task_name: str,
    facts: Mapping[str, Any] = MappingProxyType({}),
    attempt: int = 1,
    subscribers: Sequence[Subscriber] = (),
) -> EpisodeRecord:
    """Run one episode.

    Images are rendered only for the policy's history and for subscribers.

    Args:
        env: An environment of the key's task.
        planner: Gives the plans.
        spec: The spec of the policy behind the planner.
        executor: A new plan executor.
        key: The episode.
        task_name: For the record.
        facts: Further fields of the record; ``instruction`` is told to the policy.
        attempt: Number of this try.
        subscribers: Called at every step.

    Returns:
        The record, with outcome ``success`` or ``failure``; errors are raised.
    """
    started = time.perf_counter()
    recorded = tuple(c for c in CAMERAS if any(c in s.cameras for s in subscribers))
    try:
        start = planner.start(key)
        start_option = {"init_state": key.init_state} if start is None else {"start": start}
        cameras = tuple(dict.fromkeys((*spec.cameras, *recorded)))
        options = {**start_option, "cameras": cameras}
        if "instruction" in facts:
            options["instruction"] = facts["instruction"]
        first, info = env.reset(seed=key.seed, options=options)
        observation = cast(Observation, first)
        planner.begin(env, plan_seed(key, -1))
        for subscriber in subscribers:
            subscriber.begin(observation, env.max_steps)
        success, plans, starved = _act(
            env, planner, spec, executor, key, observation, subscribers, recorded
        )
        outcome: Outcome = "success" if success else "failure"
        videos = [subscriber.end(outcome) for subscriber in subscribers]
        end = env.info()
    except BaseException:
        for subscriber in subscribers:
            subscriber.abort()
        raise
    first_held = end.get("first_held", {})
    return EpisodeRecord(
        **key._asdict(),
        task_name=task_name,
        **facts,
        outcome=outcome,
        steps=env.elapsed,
        first_success_step=env.elapsed if success else None,
        plans=plans,
        wall_s=round(time.perf_counter() - started, 3),
        video=next((video for video in videos if video), None),
        scene_hash=info.get("scene_hash"),
        goals_first_held={name: first_held.get(name) for name in end["goals"]},
        held_steps=end.get("held_steps"),
        success_held=end.get("success_held"),
        attempt=attempt,
        starved_steps=starved if executor.delay.steps else None,
    )


def _act(
    env: Environment,
    planner: Planner,
    spec: PolicySpec,
    executor: PlanExecutor,
    key: EpisodeKey,
    observation: Observation,
    subscribers: Sequence[Subscriber],
    recorded: tuple[str, ...],
) -> tuple[bool, int, int]:
    """Plan and execute to the end.

    Returns:
        Whether it succeeded, the number of plans, and of steps held still for want of a plan.
    """
    window = deque([_visible(observation, spec.cameras)], maxlen=spec.history)
    plans = starved = 0
    shown = -1
    while env.elapsed < env.max_steps:
        before = env.elapsed
        request = PlanRequest(
            window=tuple(window),
            instruction=observation["instruction"],
            seed=plan_seed(key, plans),
            step=before,
            previous=executor.remaining,
            episode=f"{key.suite}/{key.task}/{key.init_state}/{key.seed}",
            committed=executor.committed,
        )
        rows = executor.add(planner.plan(request), hand=cast(RobotState, window[-1]))
        actions = rows[: env.max_steps - before]
        last = before + len(actions) >= env.max_steps  # no plan follows that would see images
        result = env.execute(
            actions,
            history=spec.history,
            cameras=() if last else spec.cameras,
            record=recorded,
        )
        for index, seen in enumerate(result.observations):
            window.append(_visible(seen, spec.cameras))
            number = executor.latest.plans[index]
            starved += executor.latest.starved[index]
            event = StepEvent(
                step=before + index + 1,
                plan=number,
                starts_plan=number != shown,
                action=actions[index],
                observation=seen,
                delay=executor.delay.steps,
                holding=executor.latest.holding[index],
            )
            shown = number
            for subscriber in subscribers:
                subscriber.step(event)
        plans += 1
        if result.success:
            return True, plans, starved
    return False, plans, starved


def _visible(observation: Observation, cameras: Sequence[str]) -> Observation:
    """Leave out images rendered for subscribers, so that they change nothing for the policy."""
    hidden = {camera for camera in CAMERAS if camera not in cameras}
    visible = {name: value for name, value in observation.items() if name not in hidden}
    return cast(Observation, visible)
