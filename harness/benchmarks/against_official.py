"""Our environment against LIBERO's own, on the same machine, in the same run.

CPU time of the whole process is compared, renderer threads included: it does not depend on what
else the machine does. The two sides take turns, so that a change of the clock hits both.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.benchmarks.bystander import Bystander
from tasks.observation import CAMERAS, FloatArray

PLAN = 16
"""Control steps from one plan, and its pictures, to the next."""

_PICTURES = 10
_RESETS = 5


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The same thing, measured on both sides."""

    official: float
    """LIBERO's own environment."""

    ours: float
    """This project's."""

    @property
    def ratio(self) -> float:
        """How many times less ours takes."""
        return self.official / self.ours


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured on one task; CPU seconds unless said otherwise."""

    suite: str
    """Name of the suite."""

    task: int
    """Index of the task."""

    steps: int
    """Control steps of the stepping and of the episode."""

    stepping: Pair
    """All steps without pictures."""

    episode: Pair
    """All steps with what a policy sees: officially two pictures at every step, ours two pictures
    of each camera for a plan of 16 steps."""

    reset: Pair
    """One reset with an initial state set: officially hard and with pictures, ours soft."""

    first: Pair
    """From nothing but imports to the first observation with both pictures; ours with the
    compiled model in the cache."""

    memory: Pair
    """Resident memory an environment adds to the process, 10⁶ bytes."""

    process: Pair
    """Resident memory of the process with it, 10⁶ bytes."""

    pictures: dict[str, Pair]
    """One picture of each camera at 256 pixels: robosuite's drawing against ours."""

    identical: bool
    """Whether both sides ended in exactly the same states."""


def compare(
    suite: str, task: int, steps: int, report: Callable[[str], None] = lambda stage: None
) -> Figures:
    """Measure one task.

    Args:
        suite: The suite.
        task: Index of the task.
        steps: Control steps.
        report: Told what is measured next.

    Raises:
        SimulatorError: One of the sides failed.
    """
    actions = rough_actions(steps)
    report("stepping")
    with (
        Bystander("ours", suite, task, images=False) as ours,
        Bystander("official", suite, task, images=False) as official,
    ):
        for side in (ours, official):
            side.call("build")
        stepping = _turns(official, ours, actions, 3)
        same = _same(official, ours)
    report("first observation")
    opened = [_opening(name, suite, task) for name in ("official", "ours")]
    report("episode")
    with (
        Bystander("ours", suite, task, images=True) as ours,
        Bystander("official", suite, task, images=True) as official,
    ):
        for side in (ours, official):
            side.call("build")
        episode = _turns(official, ours, actions, -(-steps // PLAN))
        same = same and _same(official, ours)
        report("pictures")
        pictures = {camera: _pictures(ours, camera) for camera in CAMERAS}
        report("resets")
        resets = [
            np.mean([side.call("reset").cpu_s for _ in range(count)])
            for side, count in ((official, 2), (ours, _RESETS))
        ]
    return Figures(
        suite=suite,
        task=task,
        steps=steps,
        stepping=stepping,
        episode=episode,
        reset=Pair(official=float(resets[0]), ours=float(resets[1])),
        first=Pair(official=opened[0].cpu_s, ours=opened[1].cpu_s),
        memory=Pair(official=opened[0].added_mb, ours=opened[1].added_mb),
        process=Pair(official=opened[0].memory_mb, ours=opened[1].memory_mb),
        pictures=pictures,
        identical=same,
    )


@dataclass(frozen=True, kw_only=True)
class _Opening:
    cpu_s: float
    memory_mb: float
    added_mb: float


def _opening(side: str, suite: str, task: int) -> _Opening:
    """Make an environment in a process that nothing else competes with for memory."""
    with Bystander(side, suite, task, images=True) as alone:
        before = alone.call("prepare").memory_mb
        built = alone.call("build")
    return _Opening(cpu_s=built.cpu_s, memory_mb=built.memory_mb, added_mb=built.memory_mb - before)


def rough_actions(steps: int, seed: int = 0) -> FloatArray:
    """Return actions that make the arm push into things, (steps, 7).

    A direction is held for ten steps, more often down than up, the gripper opening and closing.

    Args:
        steps: How many.
        seed: The same seed gives the same actions.
    """
    rng = np.random.default_rng(seed)
    held = np.repeat(rng.uniform(-1, 1, (-(-steps // 10), 7)), 10, axis=0)[:steps]
    held[:, 2] -= 0.4
    held[:, 6] = np.sign(held[:, 6])
    noise = rng.normal(0, 0.1, held.shape) * (np.arange(7) < 6)
    actions: FloatArray = np.clip(held + noise, -1, 1)
    return actions


def _turns(official: Bystander, ours: Bystander, actions: FloatArray, turns: int) -> Pair:
    """Execute actions on both sides, turn by turn; return the CPU seconds of each."""
    spent = {official: 0.0, ours: 0.0}
    for side in spent:
        side.call("act", actions[:1])  # what is loaded or compiled at first use
    for part in np.array_split(actions, turns):
        for side in spent:
            spent[side] += side.call("act", part).cpu_s
    return Pair(official=spent[official], ours=spent[ours])


def _same(official: Bystander, ours: Bystander) -> bool:
    return np.array_equal(official.call("state").value, ours.call("state").value)


def _pictures(ours: Bystander, camera: str) -> Pair:
    """Render the present state in turns; return the CPU seconds of one picture."""
    spent = {False: 0.0, True: 0.0}
    for cull in spent:
        ours.call("picture", camera, cull)  # what is made at first use
    for _ in range(_PICTURES):
        for cull in spent:
            spent[cull] += ours.call("picture", camera, cull).cpu_s / _PICTURES
    return Pair(official=spent[False], ours=spent[True])
