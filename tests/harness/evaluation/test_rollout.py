import dataclasses
from typing import Any

import numpy as np
import pytest

from harness.evaluation.rollout import StepEvent, plan_seed, run_episode
from policies.executor import PlanExecutor
from results.records import EpisodeKey, EpisodeRecord
from tasks.errors import SpecMismatchError
from tasks.observation import CAMERAS, Observation
from tests.harness.doubles import EchoEnvironment, LocalPlanner, RecordingPolicy

KEY = EpisodeKey("libero_object", 0, 3, 7)


class Witness:
    def __init__(self, cameras: tuple[str, ...] = CAMERAS) -> None:
        self.cameras = cameras
        self.steps: list[StepEvent] = []
        self.events: list[str] = []

    def begin(self, observation: Observation, max_steps: int) -> None:
        self.events.append("begin")

    def step(self, event: StepEvent) -> None:
        self.steps.append(event)

    def end(self, outcome: str) -> str | None:
        self.events.append(outcome)
        return "videos/a.mp4"

    def abort(self) -> None:
        self.events.append("abort")


def run(
    env: EchoEnvironment,
    policy: RecordingPolicy,
    exec_horizon: int = 8,
    *,
    key: EpisodeKey = KEY,
    **more: Any,
) -> EpisodeRecord:
    executor = PlanExecutor(64, exec_horizon)
    return run_episode(
        env, LocalPlanner(policy), policy.spec, executor, key=key, task_name="zero", **more
    )


def test_a_failure_uses_all_steps_and_a_success_stops() -> None:
    record = run(EchoEnvironment(goal=1e9), RecordingPolicy())
    assert (record.outcome, record.steps, record.plans) == ("failure", 40, 5)
    assert record.first_success_step is None
    assert record.goals_first_held == {"Moved(it)": None}
    env = EchoEnvironment(goal=0.1)
    record = run(env, RecordingPolicy())
    assert record.outcome == "success"
    assert record.first_success_step == record.steps == env.elapsed < 40
    assert record.goals_first_held == {"Moved(it)": env.elapsed}
    assert record.held_steps is None
    assert record.scene_hash == "0-3-7"


def test_how_long_success_lasted_is_on_record_where_the_environment_says_so() -> None:
    class Holding(EchoEnvironment):
        def info(self) -> dict[str, Any]:
            return super().info() | {"held_steps": 2, "success_held": False}

    record = run(Holding(goal=0.1), RecordingPolicy())
    assert (record.outcome, record.held_steps, record.success_held) == ("success", 2, False)


def test_the_window_grows_to_the_history_and_is_in_order() -> None:
    policy = RecordingPolicy(history=3)
    run(EchoEnvironment(goal=1e9), policy, exec_horizon=1)
    steps = [[int(seen["ee_pos"][0]) for seen in r.window] for r in policy.requests]
    assert steps[:4] == [[0], [0, 1], [0, 1, 2], [1, 2, 3]]
    assert [r.step for r in policy.requests] == list(range(40))
    assert all("agentview" in seen for r in policy.requests for seen in r.window)


def test_only_the_needed_pictures_are_rendered() -> None:
    env = EchoEnvironment(goal=1e9)
    run(env, RecordingPolicy(history=2))
    assert env.pictures == 1 + 4 * 2  # the start, then two after each slice but the last
    assert [call["n"] for call in env.calls] == [8] * 5
    env = EchoEnvironment(goal=1e9, max_steps=20)
    run(env, RecordingPolicy(history=2, cameras=CAMERAS))
    assert env.pictures == 2 + 2 * 2 * 2
    assert [call["n"] for call in env.calls] == [8, 8, 4]
    env = EchoEnvironment(goal=1e9)
    run(env, RecordingPolicy(cameras=()))
    assert env.pictures == 0


def test_watching_changes_nothing_for_the_policy() -> None:
    alone, watched, witness = RecordingPolicy(), RecordingPolicy(), Witness()
    first = run(EchoEnvironment(), alone)
    second = run(EchoEnvironment(), watched, subscribers=[witness])
    same = dataclasses.replace(second, wall_s=first.wall_s, video=None)
    assert same == first
    for one, other in zip(alone.requests, watched.requests, strict=True):
        for seen, also_seen in zip(one.window, other.window, strict=True):
            assert seen.keys() == also_seen.keys()
    assert second.video == "videos/a.mp4"


def test_a_subscriber_sees_every_step_with_pictures() -> None:
    witness = Witness()
    record = run(EchoEnvironment(goal=1e9), RecordingPolicy(), subscribers=[witness])
    assert [event.step for event in witness.steps] == list(range(1, 41))
    assert [event.step for event in witness.steps if event.starts_plan] == [1, 9, 17, 25, 33]
    assert witness.steps[-1].plan == record.plans - 1
    assert all(set(CAMERAS) <= set(event.observation) for event in witness.steps)
    assert witness.events == ["begin", "failure"]


def test_a_broken_episode_is_aborted_and_raises() -> None:
    class Short(RecordingPolicy):
        def plan(self, requests: Any) -> Any:
            return [np.zeros((3, 7)) for _ in requests]

    witness = Witness()
    with pytest.raises(SpecMismatchError, match=r"shape \(3, 7\)"):
        run(EchoEnvironment(), Short(), subscribers=[witness])
    assert witness.events == ["begin", "abort"]


def test_seeds_of_plans_are_distinct_and_stay_what_they_are() -> None:
    keys = [EpisodeKey(s, t, i, 7) for s in ("a", "b") for t in range(3) for i in range(10)]
    seeds = {plan_seed(key, plan) for key in keys for plan in range(-1, 20)}
    assert len(seeds) == len(keys) * 21
    assert all(0 <= seed < 2**63 for seed in seeds)
    # A change here changes every stochastic policy's results.
    assert plan_seed(KEY, 0) == GOLDEN


GOLDEN = 1175597185863550478


def test_a_request_brings_the_rest_of_the_plan_before() -> None:
    policy = RecordingPolicy()
    planner = LocalPlanner(policy)
    env = EchoEnvironment(goal=1e9)
    executor = PlanExecutor(64, 8)
    key = EpisodeKey("libero_object", 0, 0, 7)
    run_episode(env, planner, policy.spec, executor, key=key, task_name="zero")
    first, second = policy.requests[:2]
    assert first.previous is None
    np.testing.assert_array_equal(second.previous, policy.plan([first])[0][8:])
