"""Whole evaluations on both sides: the same episodes, and failures that say why."""

import io
import sys

import pytest

from harness.benchmarks import evaluation_speed
from harness.benchmarks.evaluation_speed import EvaluationFigures, compare_evaluations
from harness.benchmarks.reference_rollout import LoopConfig
from harness.recipes.config import SHIPPED
from policies.registry import PolicyConfig
from tasks.errors import SimulatorError


def config(**changes: object) -> LoopConfig:
    settings = {"policy": PolicyConfig(name="expert"), "tasks": (("libero_object", 0),)}
    return LoopConfig(**{**settings, "episodes": 1, **changes})  # type: ignore[arg-type]


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
def test_the_loop_executes_goals_of_the_hand_as_eval_does() -> None:
    learned = PolicyConfig(name="rdt", checkpoint=str(SHIPPED / "drawer-bowl-start"))
    changes = {"policy": learned, "tasks": (("libero_90", 1),), "resolution": 128}
    figures = compare_evaluations(config(**changes, exec_horizon=64), [1])
    assert figures.same_episodes and figures.episodes == 1


def test_a_side_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(SimulatorError, match=r"the official loop ended with code 1.*Fix: run"):
        compare_evaluations(config(), [1])


def test_what_a_process_says_while_it_is_taken_down_is_not_its_reason() -> None:
    log = io.StringIO("ValueError: too wide\nException ignored in: <f>\nEGLError: gone\n")
    with pytest.raises(SimulatorError, match=r"code 1: ValueError: too wide\. Fix"):
        evaluation_speed._check(1, "the loop", log)


def test_episodes_that_differ_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.benchmarks.reference_rollout import Played

    def played(steps: int) -> list[Played]:
        return [Played(suite="libero_object", task=0, init_state=0, success=True, steps=steps)]

    monkeypatch.setattr(evaluation_speed, "_time_official", lambda *_: (8.0, played(90)))
    monkeypatch.setattr(evaluation_speed, "_time_ours", lambda *_: (2.0, played(91)))
    figures = compare_evaluations(config(), [2])
    assert figures == EvaluationFigures(
        policy="expert",
        episodes=1,
        official_s=8.0,
        ours_s={2: 2.0},
        successes=1,
        same_episodes=False,
    )
    assert figures.ratio(2) == 4.0
