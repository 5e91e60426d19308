"""Whole evaluations on both sides: the same episodes, and failures that say why."""

import io
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from harness.benchmarks import reference_rollout
from harness.benchmarks.config import EvaluationSpeedConfig
from harness.benchmarks.evaluation_rates import TimedPolicy
from harness.benchmarks.evaluation_speed import (
    Measurement,
    check_exit,
    compare_evaluations,
    figures_of,
)
from harness.benchmarks.reference_rollout import ReferenceConfig, ReferenceEpisode, play_all
from harness.evaluation.environments import LiberoSpec
from harness.evaluation.rollout import run_episode
from policies.executor import PlanExecutor
from policies.interface import Policy
from policies.registry import PolicyConfig
from results.records import EpisodeKey
from tasks.errors import ConfigError, SimulatorError
from tasks.observation import ACTION_DIM
from tasks.protocols import get_protocol
from tests.harness.doubles import LocalPlanner


def config(**changes: object) -> ReferenceConfig:
    settings = {"policy": PolicyConfig(name="expert"), "tasks": (("libero_object", 0),)}
    return ReferenceConfig(**{**settings, "episodes": 1, **changes})  # type: ignore[arg-type]


@pytest.mark.sim
@pytest.mark.slow
def test_the_loop_and_eval_play_the_same_episode() -> None:
    told: list[tuple[str, int]] = []
    figures = compare_evaluations(config(), [1], lambda what, done: told.append((what, done)))
    assert figures.same_episodes
    assert (figures.policy, figures.episodes, figures.successes) == ("expert", 1, 1)
    assert set(figures.ours_s) == {1}
    assert told[0] == ("official loop", 0)
    assert told[-1][0] == "ours, 1 worker"
    assert [done for _, done in told] == sorted(done for _, done in told)


@pytest.mark.sim
@pytest.mark.slow
def test_the_loop_executes_goals_of_the_hand_as_eval_does(
    small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy sees the same states and pictures before each of its plans."""
    policy = PolicyConfig(name="rdt", checkpoint=str(small_checkpoint), device="cpu").build()
    assert isinstance(policy, Policy) and policy.spec.width > ACTION_DIM
    protocol = replace(get_protocol(resolution=128), max_steps={"libero_goal": 40})
    monkeypatch.setattr(reference_rollout, "get_protocol", lambda **_: protocol)
    task = ("libero_goal", 0)
    theirs, ours = TimedPolicy(policy), TimedPolicy(policy)  # which keep what they were asked
    witnessed = cast(PolicyConfig, SimpleNamespace(build=lambda: theirs))
    (played,) = play_all(config(policy=witnessed, tasks=(task,), exec_horizon=16))

    env = LiberoSpec(suite=task[0], protocol=protocol).build(task[1], images=True)
    executor = PlanExecutor(policy.spec.horizon, 16, width=policy.spec.width)
    key = EpisodeKey(*task, 0, protocol.seed)
    record = run_episode(env, LocalPlanner(ours), policy.spec, executor, key=key, task_name="turn")
    env.close()
    assert (played.steps, played.success) == (40, False)
    assert (record.steps, record.outcome) == (40, "failure")
    assert [request.step for request in ours.requests] == [0, 16, 32]
    for one, other in zip(theirs.requests, ours.requests, strict=True):
        assert (one.seed, one.step, one.instruction) == (other.seed, other.step, other.instruction)
        for seen, also in zip(one.window, other.window, strict=True):
            assert seen.keys() == also.keys()
            for name, value in seen.items():
                np.testing.assert_array_equal(value, also[name], err_msg=name)  # type: ignore[literal-required]


def test_rdt_needs_a_checkpoint() -> None:
    with pytest.raises(ConfigError, match=r"--policies rdt needs a checkpoint\. Fix: add"):
        EvaluationSpeedConfig(policies=("expert", "rdt"))


def test_a_side_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(SimulatorError, match=r"the official loop ended with code 1.*Fix: run"):
        compare_evaluations(config(), [1])


def test_what_a_process_says_while_it_is_taken_down_is_not_its_reason() -> None:
    log = io.StringIO("ValueError: too wide\nException ignored in: <f>\nEGLError: gone\n")
    with pytest.raises(SimulatorError, match=r"code 1: ValueError: too wide\. Fix"):
        check_exit(1, "the loop", log)


def test_episodes_that_differ_are_said() -> None:
    def measured(seconds: float, steps: int) -> Measurement:
        episode = ReferenceEpisode(
            suite="libero_object", task=0, init_state=0, success=True, steps=steps
        )
        return Measurement(seconds=seconds, episodes=[episode])

    official = measured(8.0, 90)
    figures = figures_of("expert", official, {1: measured(4.0, 90), 2: measured(2.0, 91)})
    assert (figures.policy, figures.episodes, figures.successes) == ("expert", 1, 1)
    assert not figures.same_episodes
    assert (figures.ratio(1), figures.ratio(2)) == (2.0, 4.0)
    assert figures_of("expert", official, {1: measured(4.0, 90)}).same_episodes
