"""Our environment against LIBERO's own, on the same machine, in the same run.

CPU time of the whole process is compared, renderer threads included: it does not depend on what
else the machine does. The two sides take turns, so that a change of the clock hits both.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from harness.benchmarks.subprocess_runner import BackendProcess
from tasks.observation import CAMERAS, FloatArray
from tasks.opengl import prepare
from tasks.protocols import get_protocol
from tasks.suites import find_task

PLAN = 16
"""Control steps from one plan, and its pictures, to the next."""

WAYS = ("robosuite", "culled", "ours")
"""How pictures are drawn: everything; what can be seen; of that what is not kept."""

_WARMING = 2
_PICTURES = 20
_RESETS = 5


@dataclass(frozen=True, kw_only=True)
class BackendPair:
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
class EnvironmentFigures:
    """What was measured on one task; CPU seconds unless said otherwise."""

    suite: str
    """Name of the suite."""

    task: int
    """Index of the task."""

    steps: int
    """Control steps of the stepping and of the episode."""

    stepping: BackendPair
    """All steps without pictures."""

    episode: BackendPair
    """All steps with what a policy sees: officially two pictures at every step, ours two pictures
    of each camera for a plan of 16 steps."""

    reset: BackendPair
    """One reset with an initial state set: officially hard and with pictures, ours soft."""

    first: BackendPair
    """From nothing but imports to the first observation with both pictures; ours with the
    compiled model in the cache."""

    memory: BackendPair
    """Resident memory an environment adds to the process, 10⁶ bytes."""

    process: BackendPair
    """Resident memory of the process with it, 10⁶ bytes."""

    pictures: dict[str, dict[str, float]]
    """One picture of each camera at 256 pixels, two of every 16 control steps: as robosuite draws
    it, ours without what is kept of earlier pictures, and ours."""

    identical: bool
    """Whether both sides ended in exactly the same states."""


def compare(
    suite: str, task: int, steps: int, report: Callable[[str], None] = lambda stage: None
) -> EnvironmentFigures:
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
        BackendProcess(Ours, suite, task, images=False) as ours,
        BackendProcess(Official, suite, task, images=False) as official,
    ):
        for side in (ours, official):
            side.call("build")
        stepping = _turns(official, ours, actions, 3)
        same = _same(official, ours)
    report("first observation")
    opened = [_opening(backend, suite, task) for backend in (Official, Ours)]
    report("episode")
    with (
        BackendProcess(Ours, suite, task, images=True) as ours,
        BackendProcess(Official, suite, task, images=True) as official,
    ):
        for side in (ours, official):
            side.call("build")
        episode = _turns(official, ours, actions, -(-steps // PLAN))
        same = same and _same(official, ours)
        report("pictures")
        pictures = _pictures(ours, actions)
        report("resets")
        resets = [
            np.mean([side.call("reset").cpu_s for _ in range(count)])
            for side, count in ((official, 2), (ours, _RESETS))
        ]
    return EnvironmentFigures(
        suite=suite,
        task=task,
        steps=steps,
        stepping=stepping,
        episode=episode,
        reset=BackendPair(official=float(resets[0]), ours=float(resets[1])),
        first=BackendPair(official=opened[0].cpu_s, ours=opened[1].cpu_s),
        memory=BackendPair(official=opened[0].added_mb, ours=opened[1].added_mb),
        process=BackendPair(official=opened[0].memory_mb, ours=opened[1].memory_mb),
        pictures=pictures,
        identical=same,
    )


@dataclass(frozen=True, kw_only=True)
class _Opening:
    cpu_s: float
    memory_mb: float
    added_mb: float


def _opening(backend: "type[Ours | Official]", suite: str, task: int) -> _Opening:
    """Make an environment in a process that nothing else competes with for memory."""
    with BackendProcess(backend, suite, task, images=True) as alone:
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


def _turns(
    official: BackendProcess, ours: BackendProcess, actions: FloatArray, turns: int
) -> BackendPair:
    """Execute actions on both sides, turn by turn; return the CPU seconds of each."""
    spent = {official: 0.0, ours: 0.0}
    for side in spent:
        side.call("act", actions[:1])  # what is loaded or compiled at first use
    for part in np.array_split(actions, turns):
        for side in spent:
            spent[side] += side.call("act", part).cpu_s
    return BackendPair(official=spent[official], ours=spent[ours])


def _same(official: BackendProcess, ours: BackendProcess) -> bool:
    return np.array_equal(official.call("state").value, ours.call("state").value)


def _pictures(ours: BackendProcess, actions: FloatArray) -> dict[str, dict[str, float]]:
    """Render two of every 16 steps in turns; return the CPU seconds of one picture."""
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


_OFFICIAL_CAMERAS = ["agentview", "robot0_eye_in_hand"]


class Side(Protocol):
    """One of the two environments.

    Both have one task at 256 pixels; a protocol without settling, so that a reset is a reset.
    """

    def prepare(self) -> None:
        """Do nothing: when it is asked, everything is imported."""

    def build(self) -> None:
        """Make the environment, as far as the first observation."""

    def reset(self) -> None:
        """Start the first episode over, in the scene of one reset after seeding."""

    def act(self, actions: FloatArray) -> None:
        """Execute (n, 7) actions, with pictures of both cameras if it has a renderer."""

    def state(self) -> FloatArray:
        """Return time, qpos and qvel."""


class Ours:
    """This project's simulator: pictures of the last two steps of each call only.

    Args:
        suite: The suite.
        task: Index of the task.
        images: Whether it has a renderer.
    """

    def __init__(self, suite: str, task: int, *, images: bool) -> None:
        from tasks.simulation.simulator import Simulator

        self._make = Simulator
        self._task = find_task(suite, task)
        self._protocol = dataclasses.replace(get_protocol(), settle_steps=0)
        self._images = images
        self._cameras: Sequence[str] = CAMERAS if images else ()
        self._simulator: Any = None
        self._renderers: dict[str, Any] = {}

    def prepare(self) -> None:
        """Do nothing: when it is asked, everything is imported."""

    def build(self) -> None:
        """Make the environment, as far as the first observation."""
        self._simulator = self._make(self._task, self._protocol, images=self._images)
        self._simulator.reset(0, cameras=self._cameras)

    def reset(self) -> None:
        """Start the first episode over."""
        self._simulator.reset(0)

    def act(self, actions: FloatArray) -> None:
        """Execute a slice of a plan."""
        self._simulator.execute(actions, cameras=self._cameras, history=2)

    def state(self) -> FloatArray:
        """Return time, qpos and qvel."""
        state: FloatArray = self._simulator.get_state()
        return state

    def move(self, actions: FloatArray) -> None:
        """Execute actions without a picture."""
        self._simulator.execute(actions)

    def picture(self, camera: str, way: str) -> None:
        """Render one picture of the present state, in one of ``WAYS``."""
        if not self._renderers:
            self._renderers = self._simulator.renderers(self._protocol.resolution)
        self._renderers[way].render(camera)


class Official:
    """LIBERO's ``OffScreenRenderEnv`` as evaluators use it: two pictures at every step.

    Args:
        suite: The suite.
        task: Index of the task.
        images: Whether its observations have pictures.
    """

    def __init__(self, suite: str, task: int, *, images: bool) -> None:
        prepare()
        from libero.libero.envs.env_wrapper import OffScreenRenderEnv

        self._make = OffScreenRenderEnv
        self._task = find_task(suite, task)
        self._protocol = get_protocol()
        self._images = images
        self._env: Any = None

    def prepare(self) -> None:
        """Do nothing: when it is asked, everything is imported."""

    def build(self) -> None:
        """Make the environment, as far as the first observation."""
        size = self._protocol.resolution
        self._env = self._make(
            bddl_file_name=str(self._task.bddl_file),
            camera_names=_OFFICIAL_CAMERAS,
            camera_heights=size,
            camera_widths=size,
            use_camera_obs=self._images,
            ignore_done=True,
        )
        self._env.seed(self._protocol.scene(0).seed)
        self.reset()

    def reset(self) -> None:
        """Reset, which draws another scene, and set the first initial state."""
        self._env.reset()
        self._env.set_init_state(self._task.init_states()[0])

    def act(self, actions: FloatArray) -> None:
        """Execute actions one by one, as evaluators do."""
        for action in actions:
            _, _, done, _ = self._env.step(action)
            if done:
                return

    def state(self) -> FloatArray:
        """Return time, qpos and qvel."""
        return np.asarray(self._env.get_sim_state())
