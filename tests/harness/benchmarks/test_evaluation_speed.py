"""Whole evaluations on both sides: the same episodes, and failures that say why."""

import io
import sys
from pathlib import Path

import pytest

from harness.benchmarks.config import EvaluationSpeedConfig
from harness.benchmarks.evaluation_speed import (
    Measurement,
    check_exit,
    compare_evaluations,
    figures_of,
)
from harness.benchmarks.reference_rollout import ReferenceConfig, ReferenceEpisode
from policies.registry import PolicyConfig
from tasks.errors import ConfigError, SimulatorError


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
def test_the_loop_executes_goals_of_the_hand_as_eval_does(small_checkpoint: Path) -> None:
    """An episode that fails, in the suite whose episodes are shortest."""
    learned = PolicyConfig(name="rdt", checkpoint=str(small_checkpoint))
    changes = {"policy": learned, "resolution": 128, "tasks": (("libero_spatial", 0),)}
    figures = compare_evaluations(config(**changes, exec_horizon=64), [1])
    assert figures.same_episodes and figures.episodes == 1


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
