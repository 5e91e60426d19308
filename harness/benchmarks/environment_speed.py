"""Our environment against LIBERO's own, on the same machine, in the same run.

CPU time of the whole process is compared, renderer threads included: it does not depend on what
else the machine does. The two backends take turns, so that a change of the clock hits both.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.benchmarks.environment_backends import WAYS, Official, Ours
from harness.benchmarks.subprocess_runner import BackendPair, BackendProcess
from tasks.observation import CAMERAS, FloatArray

PLAN = 16
"""Control steps from one plan, and its images, to the next."""

_WARMING = 2
_PICTURES = 20
_RESETS = 5


@dataclass(frozen=True, kw_only=True)
class EnvironmentFigures:
    """Figures of one task; CPU seconds unless said otherwise."""

    suite: str
    """Name of the suite."""

    task: int
    """Index of the task."""

    steps: int
    """Control steps of the stepping and of the episode."""

    stepping: BackendPair
    """All steps without images."""

    episode: BackendPair
    """All steps with a policy's images: officially one of each camera at every step, ours two of
    each camera for a plan of 16 steps."""

    reset: BackendPair
    """One reset with an initial state set: officially hard and with images, ours soft."""

    first: BackendPair
    """From nothing but imports to the first observation with both images; ours with the
    compiled model in the cache."""

    memory: BackendPair
    """Resident memory an environment adds to the process, 10⁶ bytes."""

    process: BackendPair
    """Resident memory of the process with it, 10⁶ bytes."""

    pictures: dict[str, dict[str, float]]
    """One image of each camera at 256 pixels, two of every 16 control steps: as robosuite draws
    it, ours without what is kept of earlier images, and ours."""

    identical: bool
    """Whether both backends ended in exactly the same states."""


def compare(
    suite: str, task: int, steps: int, report: Callable[[str], None] = lambda stage: None
) -> EnvironmentFigures:
    """Measure one task.

    Args:
        suite: The suite.
        task: Index of the task.
        steps: Control steps.
        report: Called with the name of each part before it is measured.

    Raises:
        SimulatorError: One of the backends failed.
    """
    actions = rough_actions(steps)
    report("stepping")
    with (
        BackendProcess(Ours, suite, task, images=False) as ours,
        BackendProcess(Official, suite, task, images=False) as official,
    ):
        for backend in (ours, official):
            backend.call("build")
        stepping = _turns(official, ours, actions, 3)
        identical = _same_states(official, ours)
    report("first observation")
    official_start, our_start = (_start_up(backend, suite, task) for backend in (Official, Ours))
    report("episode")
    with (
        BackendProcess(Ours, suite, task, images=True) as ours,
        BackendProcess(Official, suite, task, images=True) as official,
    ):
        for backend in (ours, official):
            backend.call("build")
        episode = _turns(official, ours, actions, -(-steps // PLAN))
        identical = _same_states(official, ours) and identical
        report("pictures")
        pictures = _pictures(ours, actions)
        report("resets")
        resets = [
            np.mean([backend.call("reset").cpu_s for _ in range(count)])
            for backend, count in ((official, 2), (ours, _RESETS))
        ]
    return EnvironmentFigures(
        suite=suite,
        task=task,
        steps=steps,
        stepping=stepping,
        episode=episode,
        reset=BackendPair(official=float(resets[0]), ours=float(resets[1])),
        first=BackendPair(official=official_start.cpu_s, ours=our_start.cpu_s),
        memory=BackendPair(official=official_start.added_mb, ours=our_start.added_mb),
        process=BackendPair(official=official_start.memory_mb, ours=our_start.memory_mb),
        pictures=pictures,
        identical=identical,
    )


@dataclass(frozen=True, kw_only=True)
class _StartUp:
    cpu_s: float
    memory_mb: float
    added_mb: float


def _start_up(backend: type[Ours] | type[Official], suite: str, task: int) -> _StartUp:
    """Build an environment in a process of its own."""
    with BackendProcess(backend, suite, task, images=True) as alone:
        before = alone.call("prepare").memory_mb
        built = alone.call("build")
    return _StartUp(cpu_s=built.cpu_s, memory_mb=built.memory_mb, added_mb=built.memory_mb - before)


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


def _turns(
    official: BackendProcess, ours: BackendProcess, actions: FloatArray, turns: int
) -> BackendPair:
    """Execute actions on both backends in turns; return the CPU seconds of each."""
    spent = {official: 0.0, ours: 0.0}
    for backend in spent:
        backend.call("act", actions[:1])  # loads and compiles at first use
    for part in np.array_split(actions, turns):
        for backend in spent:
            spent[backend] += backend.call("act", part).cpu_s
    return BackendPair(official=spent[official], ours=spent[ours])


def _same_states(official: BackendProcess, ours: BackendProcess) -> bool:
    return np.array_equal(official.call("state").value, ours.call("state").value)


def _pictures(ours: BackendProcess, actions: FloatArray) -> dict[str, dict[str, float]]:
    """Render two of every 16 steps in turns; return the CPU seconds of one image."""
    spent: dict[str, dict[str, float]] = {}
    turns = np.resize([PLAN - 1, 1], _WARMING + _PICTURES)
    begins = np.cumsum(turns) - turns
    for turn, (begin, steps) in enumerate(zip(begins, turns, strict=True)):
        ours.call("move", np.take(actions, range(begin, begin + steps), axis=0, mode="wrap"))
        for camera in CAMERAS:
            ways = spent.setdefault(camera, dict.fromkeys(WAYS, 0.0))
            for way in ways:
                taken = ours.call("picture", camera, way).cpu_s
                ways[way] += taken / _PICTURES if turn >= _WARMING else 0.0
    return spent
