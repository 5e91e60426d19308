"""The policy ``replay``: it executes demonstrations, open loop, each from its own start.

It shows whether demonstrations, simulator and evaluation belong together: demonstrations collected
on the same versions succeed in every episode, step for step. Official ones were recorded on other
versions and some drift off (LIBERO's issue 16).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from policies.baselines import HORIZON
from policies.interface import PlanRequest, PolicySpec
from tasks.actions import check_actions
from tasks.demos.file import open_demos
from tasks.demos.folders import demo_task
from tasks.demos.lerobot.dataset import is_dataset
from tasks.demos.lerobot.task import is_lerobot_task, task_paths
from tasks.demos.source import DemoSource
from tasks.demos.start import read_start
from tasks.errors import ConfigError, SpecMismatchError
from tasks.observation import ACTION_DIM, FloatArray
from tasks.protocols import IndexedStart, SampledStart, Start
from tasks.suites import Task, find_task

StartChoice = Literal["auto", "stored"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ReplayedDemo:
    """A demonstration of T steps.

    Attributes:
        source: File and group, for messages.
        actions: (T, 7) in [−1, 1], as executed.
        state: (D,) the simulator's state before the first action, as stored; None in LeRobot sets.
        start: The start of its episode.
    """

    source: str
    actions: FloatArray
    state: FloatArray | None
    start: Start


class ReplayPolicy:
    """Executes demonstrations. Episode k of a task replays the k-th demonstration of its file.

    Demonstrations start from states of their own, not from a task's initial states. A start whose
    origin is in the file is made again, bit for bit; otherwise state and fixtures are set as
    stored, without the controller's memory of earlier steps.

    Args:
        demos: A demo file, or a folder with LIBERO's layout.
        demo: The demonstration of every episode, counted from 0 in the order of the file; by
            default the episode's initial state counts.
        start: ``stored`` to set the stored state in any case.
    """

    starts = "demos"

    def __init__(
        self, demos: Path, *, demo: int | None = None, start: StartChoice = "auto"
    ) -> None:
        self._demos, self._number, self._choice = demos, demo, start
        self._demo: ReplayedDemo | None = None

    @property
    def spec(self) -> PolicySpec:
        """64 steps per plan, no cameras, privileged."""
        return PolicySpec(name="replay", horizon=HORIZON, privileged=True, exec_horizon=HORIZON)

    def check_episodes(self, suite: str, tasks: Sequence[int], init_states: Sequence[int]) -> str:
        """Read every demonstration that will be replayed; return a hash of them.

        Raises:
            ConfigError: A file or a demonstration is missing or damaged.
            SpecMismatchError: A file is another task's.
        """
        digest = hashlib.sha256()
        for task in tasks:
            for init_state in init_states:
                demo = self._load(suite, task, init_state)
                digest.update(demo.actions.tobytes())
                if demo.state is not None:
                    digest.update(demo.state.tobytes())
        return digest.hexdigest()

    def start(self, suite: str, task: int, init_state: int) -> Start:
        """Load the demonstration of an episode and give its start."""
        self._demo = self._load(suite, task, init_state)
        return self._demo.start

    def begin(self, simulator: Any, seed: int) -> None:
        """Check that a start that was made again is the demonstration's.

        Raises:
            ConfigError: No episode was started.
            SpecMismatchError: It differs: other versions or another protocol made it.
        """
        demo, state = self._started(), np.asarray(simulator.get_state())
        start = demo.start
        if demo.state is None or np.array_equal(state, demo.state):
            return
        if not isinstance(start, SampledStart | IndexedStart):
            return
        distance = np.abs(state - demo.state).max() if state.shape == demo.state.shape else np.inf
        raise SpecMismatchError(
            f"{demo.source} starts from another state than its seed {start.seed} gives here "
            f"(up to {distance:.2g} apart): it was collected under another protocol or on other "
            "versions. Fix: give the --protocol it was collected under, or --option.start stored "
            "to start from the stored state, from which a replay may drift off."
        )

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Give the demonstration's actions from the current step on.

        Args:
            requests: Exactly one; its ``step`` counts.

        Returns:
            One (64, 7) plan; after the demonstration's end the arm stands still, the gripper as it
            was.

        Raises:
            ConfigError: No episode was started, or more than one request came.
        """
        actions = self._started().actions
        if len(requests) != 1:
            raise ConfigError(f"Replay got {len(requests)} requests; it serves exactly one.")
        plan = np.zeros((HORIZON, ACTION_DIM))
        plan[:, -1] = actions[-1, -1]
        remaining = actions[requests[0].step :][:HORIZON]
        plan[: len(remaining)] = remaining
        return [plan]

    def _started(self) -> ReplayedDemo:
        if self._demo is None:
            raise ConfigError("Replay has no episode; call start(suite, task, init_state) first.")
        return self._demo

    def _load(self, suite: str, task: int, init_state: int) -> ReplayedDemo:
        task_of_demo = find_task(suite, task)
        number = init_state if self._number is None else self._number
        path = self._file(task_of_demo)
        return read_replayed(path, task_of_demo, number, stored=self._choice == "stored")

    def _file(self, task: Task) -> Path:
        if self._demos.is_file() or is_lerobot_task(self._demos):
            return self._demos
        if is_dataset(self._demos):
            return self._lerobot_task(task)
        if not self._demos.is_dir():
            raise ConfigError(f"The demos '{self._demos}' do not exist. Fix: give --option.demos.")
        relative = Path(task.demo_file)
        for file in (self._demos / relative, self._demos / relative.name):
            if file.is_file():
                return file
        raise ConfigError(
            f"There are no demos of {task.suite} task {task.index}: neither '{relative}' nor "
            f"'{relative.name}' is in '{self._demos}'. Fix: give --tasks that have demos, or "
            "collect them with 'libero-bench collect'."
        )

    def _lerobot_task(self, task: Task) -> Path:
        for path in task_paths(self._demos):
            with open_demos(path) as file:
                if demo_task(file).name == task.name:
                    return path
        raise ConfigError(
            f"The LeRobot data set '{self._demos}' has no demos of {task.suite} task {task.index}. "
            "Fix: give --tasks that have demos."
        )


def build_replay(
    *,
    demos: Path,
    demo: Annotated[int, Field(ge=0)] | None = None,
    start: StartChoice = "auto",
) -> ReplayPolicy:
    """Executes demonstrations again, each from where it started.

    Args:
        demos: A demo file, or a folder with LIBERO's layout.
        demo: The demonstration of every episode, counted from 0 in the order of the file; by
            default episode k replays the k-th.
        start: ``stored`` to set the stored state even where the file says how the start came about.
    """
    return ReplayPolicy(demos, demo=demo, start=start)


def read_replayed(path: Path, task: Task, number: int, *, stored: bool = False) -> ReplayedDemo:
    """Read a demonstration.

    Args:
        path: The demo file.
        task: The task that it must be of.
        number: Its number, from 0 in the order of the names.
        stored: Whether to start from the stored state in any case.

    Raises:
        ConfigError: The file is damaged or has no such demonstration.
        SpecMismatchError: It is another task's.
    """
    with open_demos(path) as file:
        _check_task(file, task)
        names = file.demos()
        if number >= len(names):
            raise ConfigError(
                f"'{path}' has no demonstration {number}, it holds {len(names)}. "
                f"Allowed: 0 to {len(names) - 1}, so at most --episodes {len(names)}."
            )
        group = f"data/{names[number]}"
        actions = file.numbers(f"{group}/actions", (ACTION_DIM,)).astype(np.float64)
        state = None
        if file.keeps_states:
            state = file.numbers(f"{group}/states", (None,), steps=len(actions), rows=0)
            state = state.astype(np.float64)
        return ReplayedDemo(
            source=f"'{path}' {names[number]}",
            actions=np.clip(check_actions(actions), -1.0, 1.0),
            state=state,
            start=read_start(file, names[number], stored=stored),
        )


def _check_task(file: DemoSource, task: Task) -> None:
    """Refuse another task's file."""
    demonstrated = demo_task(file)
    if demonstrated.name != task.name:
        raise SpecMismatchError(
            f"'{file.path}' holds demos of '{demonstrated.name}', but {task.suite} task "
            f"{task.index} is '{task.name}'. Fix: give that task with --tasks, or a folder "
            "with a file for each."
        )
