"""The comparison of environments: which calls count, for which backend, and equal states."""

from typing import Any, ClassVar, Self

import numpy as np
import pytest
from rich.console import Console

from harness.benchmarks import environment_speed
from harness.benchmarks.environment_backends import WAYS
from harness.benchmarks.environment_speed import compare, rough_actions
from harness.benchmarks.subprocess_runner import BackendPair, Timed
from harness.benchmarks.tables import environment_tables
from tasks.observation import CAMERAS

COSTS = {
    "Official": {"act": 3.0, "build": 7.0, "reset": 0.5},
    "Ours": {"act": 1.0, "build": 2.0, "reset": 0.25},
}
"""CPU seconds of a call, of ``act`` by action."""

MEMORY = {
    "Official": {"prepare": 300.0, "build": 900.0},
    "Ours": {"prepare": 200.0, "build": 350.0},
}


PICTURE_COSTS = dict(zip(WAYS, (0.75, 0.25, 0.125), strict=True))
"""CPU seconds of a picture: as robosuite draws it, without kept layers, with them."""


class CountedProcess:
    """Stands in for a backend's process: each call has a known cost and is noted."""

    calls: ClassVar[list[tuple[str, str, bool]]] = []
    states: ClassVar[dict[tuple[str, bool], float]] = {}

    def __init__(self, backend: type[Any], suite: str, task: int, *, images: bool) -> None:
        assert (suite, task) == ("libero_goal", 3)
        self.name, self.images = backend.__name__, images

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def call(self, method: str, *arguments: Any) -> Timed:
        self.calls.append((self.name, method, self.images))
        cost = COSTS[self.name].get(method, 0.0)
        if method == "act":
            cost *= len(arguments[0])
        if method == "picture":
            cost = PICTURE_COSTS[arguments[1]]
        return Timed(
            value=np.full(3, self.states.get((self.name, self.images), 0.0)),
            cpu_s=cost,
            wall_s=99.0,
            memory_mb=MEMORY[self.name].get(method, 0.0),
        )


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[CountedProcess]:
    monkeypatch.setattr(environment_speed, "BackendProcess", CountedProcess)
    monkeypatch.setattr(CountedProcess, "calls", [])
    monkeypatch.setattr(CountedProcess, "states", {})
    return CountedProcess


def test_each_figure_is_of_its_calls_alone(counted: type[CountedProcess]) -> None:
    parts: list[str] = []
    figures = compare("libero_goal", 3, 40, parts.append)
    assert parts == ["stepping", "first observation", "episode", "pictures", "resets"]
    assert (figures.suite, figures.task, figures.steps) == ("libero_goal", 3, 40)
    # The first action, which loads and compiles, is executed once more and does not count.
    assert figures.stepping == figures.episode == BackendPair(official=120.0, ours=40.0)
    assert figures.stepping.ratio == 3.0
    assert figures.reset == BackendPair(official=0.5, ours=0.25)
    assert figures.first == BackendPair(official=7.0, ours=2.0)
    assert figures.memory == BackendPair(official=600.0, ours=150.0)
    assert figures.process == BackendPair(official=900.0, ours=350.0)
    assert list(figures.pictures) == list(CAMERAS)
    for ways in figures.pictures.values():
        assert ways == pytest.approx(PICTURE_COSTS)
    assert figures.identical


def test_backends_take_turns_plan_by_plan(counted: type[CountedProcess]) -> None:
    compare("libero_goal", 3, 40)
    for images in (False, True):
        acts = [
            name for name, method, shown in counted.calls if method == "act" and shown == images
        ]
        assert acts == ["Official", "Ours"] * (1 + 3)  # a warm-up, and three turns of 40 steps


@pytest.mark.parametrize("images", [False, True])
def test_a_state_that_differs_in_either_run_is_noticed(
    counted: type[CountedProcess], images: bool
) -> None:
    counted.states["Ours", images] = 1e-12
    figures = compare("libero_goal", 3, 16)
    assert not figures.identical
    console = Console(width=250, color_system=None)
    with console.capture() as capture:
        console.print(environment_tables([figures]))
    shown = capture.get()
    assert "NO" in shown
    assert "120 → 40" not in shown
    assert "48.0 → 16.0 (3.0×)" in shown
    assert "750 → 250 → 125" in shown


def test_rough_actions_are_repeatable_and_allowed() -> None:
    actions = rough_actions(45, seed=4)
    assert actions.shape == (45, 7)
    assert np.abs(actions).max() <= 1
    assert set(actions[:, 6]) == {-1.0, 1.0}
    np.testing.assert_array_equal(actions, rough_actions(45, seed=4))
    assert not np.array_equal(actions, rough_actions(45, seed=5))


@pytest.mark.sim
@pytest.mark.slow
def test_both_environments_end_in_the_same_states_and_ours_takes_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment_speed, "_PICTURES", 4)
    figures = compare("libero_object", 0, 32)
    assert figures.identical
    assert figures.episode.ratio > 2  # the official one renders every step
    assert figures.reset.ratio > 2
    assert set(figures.pictures) == set(CAMERAS)
    assert 100 < figures.memory.ours < figures.process.ours
