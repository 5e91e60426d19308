"""A straightforward evaluation over LIBERO's own environment, as published scripts have it.

One process, one environment at a time: seed, and for each episode a hard reset, the initial state,
settling, and then a plan and its steps one by one, both cameras rendered at every step. It has the
scenes and the policy noise that ``libero-bench eval`` has, so both must give the same episodes.

It shares no loop with ``harness.evaluation.rollout``: it is what that one is compared with.
"""

import json
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from pydantic import TypeAdapter

from harness.evaluation.rollout import plan_seed
from policies.executor import PlanExecutor
from policies.interface import PlanRequest
from policies.registry import AnyPolicy, PolicyConfig
from results.records import EpisodeKey
from tasks.actions import action_now
from tasks.observation import Observation
from tasks.opengl import prepare
from tasks.protocols import Protocol, get_protocol
from tasks.suites import Instructions, Task, find_task

_CAMERAS = {"agentview": "agentview_image", "wrist": "robot0_eye_in_hand_image"}


@dataclass(frozen=True, kw_only=True)
class ReferenceConfig:
    """Settings of the loop: the first episodes of some tasks."""

    policy: PolicyConfig
    """How to build the policy."""
    tasks: tuple[tuple[str, int], ...]
    """Suite and index of each task."""
    episodes: int
    """Episodes per task, from initial states 0, 1, …"""
    exec_horizon: int | None = None
    """Steps executed per plan; the policy's own by default."""
    resolution: int | None = None
    """Pixels of the images; the protocol's by default."""
    instructions: Instructions | None = None
    """Which sentence the policy is told; the protocol's by default."""


@dataclass(frozen=True, kw_only=True)
class ReferenceEpisode:
    """One episode."""

    suite: str
    task: int
    init_state: int
    success: bool
    steps: int


REFERENCE_CONFIG: TypeAdapter[ReferenceConfig] = TypeAdapter(ReferenceConfig)
REFERENCE_EPISODE: TypeAdapter[ReferenceEpisode] = TypeAdapter(ReferenceEpisode)


def play_all(config: ReferenceConfig) -> Iterator[ReferenceEpisode]:
    """Play every episode, in order.

    Args:
        config: What to evaluate.

    Yields:
        Each episode when it is over.
    """
    prepare()
    from libero.libero.envs.env_wrapper import OffScreenRenderEnv

    policy = config.policy.build()
    protocol = get_protocol(resolution=config.resolution, instructions=config.instructions)
    for suite, index in config.tasks:
        task = find_task(suite, index)
        env: Any = OffScreenRenderEnv(
            bddl_file_name=str(task.bddl_file),
            camera_heights=protocol.resolution,
            camera_widths=protocol.resolution,
        )
        env.seed(protocol.scene(0).seed)
        for state in range(config.episodes):
            yield _play(env, task, state, protocol, policy, config.exec_horizon)
        env.close()


def _play(
    env: Any,
    task: Task,
    state: int,
    protocol: Protocol,
    policy: AnyPolicy,
    exec_horizon: int | None,
) -> ReferenceEpisode:
    key = EpisodeKey(task.suite, task.index, state, protocol.seed)
    env.reset()
    seen = env.set_init_state(task.init_states()[state])
    for _ in range(protocol.settle_steps):
        seen, _, _, _ = env.step(np.asarray(protocol.settle_action))
    spec = policy.spec
    if spec.privileged:
        cast(Any, policy).begin(SimpleNamespace(env=env.env), plan_seed(key, -1))
    executor = PlanExecutor(spec.horizon, exec_horizon or spec.exec_horizon, width=spec.width)
    window = deque([_observation(seen, task, protocol)], maxlen=spec.history)
    limit, steps, plans = protocol.step_limit(task.suite), 0, 0
    while steps < limit:
        request = PlanRequest(
            window=tuple(window),
            instruction=protocol.instruction_of(task),
            seed=plan_seed(key, plans),
            step=steps,
            previous=executor.remaining,
        )
        for action in executor.add(policy.plan([request])[0])[: limit - steps]:
            hand = seen["robot0_eef_pos"], seen["robot0_eef_quat"]
            seen, _, done, _ = env.step(action_now(action, *hand))
            window.append(_observation(seen, task, protocol))
            steps += 1
            if done:
                return _played(key, True, steps)
        plans += 1
    return _played(key, False, steps)


def _played(key: EpisodeKey, success: bool, steps: int) -> ReferenceEpisode:
    return ReferenceEpisode(
        suite=key.suite, task=key.task, init_state=key.init_state, success=success, steps=steps
    )


def _observation(seen: dict[str, Any], task: Task, protocol: Protocol) -> Observation:
    observation = Observation(
        joint_pos=seen["robot0_joint_pos"],
        ee_pos=seen["robot0_eef_pos"],
        ee_quat=seen["robot0_eef_quat"],
        gripper_qpos=seen["robot0_gripper_qpos"],
        instruction=protocol.instruction_of(task),
    )
    turn = -1 if protocol.orientation == "rotate180" else 1
    for camera, name in _CAMERAS.items():
        observation[camera] = np.ascontiguousarray(seen[name][::turn, ::turn])  # type: ignore[literal-required]
    return observation


def main() -> None:
    """Read a ``ReferenceConfig`` from the first argument; print a line of JSON for each episode."""
    out, sys.stdout = sys.stdout, sys.stderr  # LIBERO prints
    for played in play_all(REFERENCE_CONFIG.validate_python(json.loads(sys.argv[1]))):
        out.write(REFERENCE_EPISODE.dump_json(played).decode() + "\n")
        out.flush()


if __name__ == "__main__":
    main()
