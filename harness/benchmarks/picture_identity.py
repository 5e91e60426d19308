"""Are our pictures robosuite's own, pixel for pixel, and what does each cost?

Two simulations at a time take turns in one process, so that each draws between pictures of the
other. Every picture is drawn three times of the same poses: by robosuite, by us without kept
layers, and as environments do.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np

from harness.benchmarks.environment_speed import PLAN, rough_actions
from policies.expert import ExpertPolicy
from policies.interface import PlanningError, PlanRequest, UnsupportedGoalError
from tasks.observation import CAMERAS, FloatArray
from tasks.protocols import get_protocol
from tasks.simulation.simulator import Simulator
from tasks.suites import find_task

_EACH_STEP = 8
_STATES = 6


@dataclass(kw_only=True)
class PictureFigures:
    """What was compared of one task's pictures."""

    suite: str
    """Name of the suite."""

    task: int
    """Index of the task."""

    pictures: int = 0
    """Pictures that were compared."""

    different: int = 0
    """Pictures of which a pixel differed from robosuite's, with or without layers."""

    first_difference: str = ""
    """Where the first one was."""

    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    """CPU seconds of a picture, by camera and by who drew it."""


class PictureComparison:
    """One task's simulation, and renderers of several sizes for it.

    Args:
        suite: The suite.
        task: Index of the task.
        sizes: Heights and widths of the pictures, which take turns.
        steps: Control steps of each of the two episodes.
    """

    def __init__(self, suite: str, task: int, sizes: Sequence[int], steps: int) -> None:
        self.figures = PictureFigures(suite=suite, task=task)
        self._simulator = Simulator(find_task(suite, task), get_protocol(resolution=max(sizes)))
        self._renderers = [self._simulator.renderers(size) for size in sizes]
        self._steps = steps
        self._spent = {camera: dict.fromkeys(self._renderers[0], 0.0) for camera in CAMERAS}

    def play(self) -> Iterator[str]:
        """Play two episodes and set states; yield what was drawn, each time pictures were.

        The first episode is the expert's, the second one's actions are random and its scene is
        that of another reset. Pictures are those of two steps in 16, and of a few steps in a row.
        """
        simulator, states = self._simulator, []
        for init_state, actions in ((0, self._expert()), (1, iter(rough_actions(self._steps)))):
            simulator.reset(init_state)
            yield self._compare(f"reset to {init_state}")
            for step, action in zip(range(self._steps), actions, strict=False):
                simulator.step(action)
                if step % PLAN >= PLAN - 2 or step < _EACH_STEP:
                    states.append(simulator.get_state())
                    yield self._compare(f"initial state {init_state}, step {step}")
        for state in states[:: max(len(states) // _STATES, 1)]:
            simulator.set_state(state)
            yield self._compare("a state that was set")

    def close(self) -> None:
        """Free the simulation."""
        count = max(self.figures.pictures // len(CAMERAS), 1)
        self.figures.seconds = {
            camera: {way: spent / count for way, spent in ways.items()}
            for camera, ways in self._spent.items()
        }
        self._simulator.close()

    def _expert(self) -> Iterator[FloatArray]:
        """Yield the expert's actions, and random ones where it has no more."""
        expert, words = ExpertPolicy(), self._simulator.task.name
        request = PlanRequest(window=[], instruction=words, seed=0)
        try:
            expert.begin(self._simulator, 0)
            while expert.failure is None:
                yield expert.plan([request])[0][0]
        except (UnsupportedGoalError, PlanningError):
            pass
        yield from rough_actions(self._steps, seed=1)

    def _compare(self, where: str) -> str:
        """Draw both cameras in each way at one of the sizes."""
        figures = self.figures
        renderers = self._renderers[figures.pictures // len(CAMERAS) % len(self._renderers)]
        for camera in CAMERAS:
            pictures: dict[str, Any] = {}
            for way, renderer in renderers.items():
                before = time.process_time()
                pictures[way] = renderer.render(camera)
                self._spent[camera][way] += time.process_time() - before
            figures.pictures += 1
            if not all(np.array_equal(pictures["robosuite"], each) for each in pictures.values()):
                figures.different += 1
                figures.first_difference = figures.first_difference or f"{camera}, {where}"
        return where


def compare_pictures(
    tasks: Sequence[tuple[str, int]],
    sizes: Sequence[int],
    steps: int,
    report: Callable[[str], None] = lambda what: None,
) -> Iterator[PictureFigures]:
    """Compare pictures of tasks, two simulations at a time taking turns.

    Args:
        tasks: Suite and index of each.
        sizes: Heights and widths of the pictures.
        steps: Control steps of each episode; a task has two.
        report: Told what has been drawn, each time pictures were.

    Yields:
        What was found of each task, in order.
    """
    for start in range(0, len(tasks), 2):
        pair = [PictureComparison(*task, sizes, steps) for task in tasks[start : start + 2]]
        try:
            for turn in zip_longest(*(comparison.play() for comparison in pair)):
                for comparison, where in zip(pair, turn, strict=True):
                    if where is not None:
                        report(f"{comparison.figures.suite} {comparison.figures.task}: {where}")
        finally:
            for comparison in pair:
                comparison.close()
        yield from (comparison.figures for comparison in pair)
