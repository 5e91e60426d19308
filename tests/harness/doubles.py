"""Environments and policies that need no LIBERO, and some that break."""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from policies.baselines import RandomPolicy
from policies.interface import PlanRequest, PolicySpec
from policies.registry import PolicyConfig
from results.latency import LatencyHistogram, LatencyRecorder
from results.records import EpisodeKey
from tasks.errors import PrerequisiteError
from tasks.observation import FloatArray, Observation
from tasks.protocols import Start
from tasks.settings import settings

PIXELS = 16


@dataclass
class Slice:
    """As ``tasks.simulation.simulator.Slice``, whose import would slow down every worker."""

    observations: list[Observation] = field(default_factory=list)
    success: bool = False


class EchoEnvironment:
    """Shows what was asked of it; succeeds once the first action components add up to a goal.

    Attributes:
        calls: Keyword arguments of each ``execute``.
        pictures: How many pictures were rendered.
    """

    def __init__(self, task: int = 0, *, max_steps: int = 40, goal: float = 3.0) -> None:
        self.task, self.max_steps, self.goal = task, max_steps, goal
        self.elapsed = 0
        self.pictures = 0
        self.calls: list[dict[str, Any]] = []
        self.closed = False
        self.init_state = 0
        self.total = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        options = options or {}
        self.init_state = options["init_state"]
        self.elapsed, self.total = 0, 0.0
        self.pictures, self.calls = 0, []
        first = dict(self._observe(options["cameras"]))
        return first, {"scene_hash": f"{self.task}-{self.init_state}-{seed}"}

    def execute(
        self,
        actions: FloatArray,
        *,
        history: int = 1,
        cameras: Sequence[str] | None = None,
        record: Sequence[str] = (),
    ) -> Slice:
        self.calls.append({"n": len(actions), "history": history, "cameras": cameras})
        result = Slice()
        for index, action in enumerate(actions):
            self.elapsed += 1
            self.total += float(action[0])
            near_end = index >= len(actions) - history
            wanted = {*record, *((cameras or ()) if near_end else ())}
            result.observations.append(self._observe(sorted(wanted)))
            if self.total >= self.goal:
                result.success = True
                break
        return result

    def info(self) -> dict[str, Any]:
        reached = {"Moved(it)": self.elapsed} if self.total >= self.goal else {}
        return {"goals": {"Moved(it)": bool(reached)}, "first_held": reached}

    def close(self) -> None:
        self.closed = True

    def _observe(self, cameras: Sequence[str]) -> Observation:
        observation = Observation(
            joint_pos=np.zeros(7),
            ee_pos=np.array([self.elapsed, self.init_state, self.task], dtype=float),
            ee_quat=np.array([0.0, 0.0, 0.0, 1.0]),
            gripper_qpos=np.array([0.04, -0.04]),
            instruction=f"do task {self.task}",
        )
        for camera in cameras:
            self.pictures += 1
            level = self.elapsed % 256
            observation[camera] = np.full((PIXELS, PIXELS, 3), level, np.uint8)  # type: ignore[literal-required]
        return observation


class BrokenEnvironment(EchoEnvironment):
    """Breaks in chosen episodes, the first few times, whatever process it is in."""

    def __init__(self, task: int, recipe: "EchoSpec") -> None:
        super().__init__(task)
        self.recipe = recipe

    def execute(self, actions: FloatArray, **how: Any) -> Slice:
        trouble = self.recipe.troubles.get((self.task, self.init_state))
        if trouble and self._again(trouble):
            if trouble.kind == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if trouble.kind == "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            if trouble.kind == "hang":
                time.sleep(1000)
            if trouble.kind == "fill":
                fill_disk(Path(self.recipe.folder))
                return super().execute(actions, **how)
            raise RuntimeError(f"broke at step {self.elapsed}")
        return super().execute(actions, **how)

    def _again(self, trouble: "Trouble") -> bool:
        marks = Path(self.recipe.folder) / f"trouble-{self.task}-{self.init_state}"
        count = len(marks.read_text()) if marks.exists() else 0
        if count >= trouble.times:
            return False
        marks.write_text("x" * (count + 1))
        return True


def fill_disk(folder: Path) -> None:
    """Leave no room on the file system of a folder, by a file ``ballast``."""
    with (folder / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """How often an episode breaks, and how: ``raise``, ``die``, ``stop`` (the process), ``hang``,
    or ``fill`` (the disk)."""

    kind: str = "raise"
    times: int = 1


@dataclass(frozen=True, kw_only=True)
class EchoSpec:
    """Builds echo environments for three tasks, with ten initial states by default."""

    suite: str = "libero_object"
    folder: str = ""
    troubles: dict[tuple[int, int], Trouble] = field(default_factory=dict)
    unbuildable: bool = False
    states: int = 10
    starts: str | None = None

    def task_names(self) -> tuple[str, ...]:
        return ("zero", "one", "two")

    def init_states(self, task: int) -> int:
        return self.states

    def fingerprints(self, tasks: Sequence[int]) -> dict[str, str]:
        return {str(task): "f" * 64 for task in tasks}

    def scene(self, task: int) -> int:
        return task

    def facts(self, task: int) -> dict[str, Any]:
        return {}

    def build(self, task: int, *, images: bool) -> EchoEnvironment:
        if self.unbuildable:
            raise PrerequisiteError("There is no EGL. Install it.")
        return BrokenEnvironment(task, self)


class RecordingPolicy(RandomPolicy):
    """Random, with cameras and history; keeps what it was asked."""

    def __init__(self, *, history: int = 2, cameras: tuple[str, ...] = ("agentview",)) -> None:
        self.requests: list[PlanRequest] = []
        self.batches: list[int] = []
        self._history, self._cameras = history, cameras

    @property
    def spec(self) -> PolicySpec:
        return PolicySpec(
            name="recording",
            horizon=64,
            history=self._history,
            cameras=self._cameras,
            exec_horizon=8,
        )

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        self.requests += requests
        self.batches.append(len(requests))
        return super().plan(requests)


class FragilePolicy(RecordingPolicy):
    """Breaks whenever a request of one initial state is in the batch."""

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        if any(request.window[-1]["ee_pos"][1] == 1 for request in requests):
            raise ValueError("cannot look at this")
        return super().plan(requests)


class LocalPlanner:
    """Asks a policy in this process."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy
        self.begun: list[int] = []

    def start(self, key: EpisodeKey) -> Start | None:
        return None

    def begin(self, env: Any, seed: int) -> None:
        self.begun.append(seed)

    def plan(self, request: PlanRequest) -> FloatArray:
        plan: FloatArray = self.policy.plan([request])[0]
        return plan


class RememberingPolicy(RecordingPolicy):
    """Random; remembers its episodes, notes who planned for what, and dies where it is told to."""

    def __init__(self, config: "RememberingConfig") -> None:
        super().__init__()
        self.config = config
        self.last_steps: dict[str, int] = {}
        self.recorder = LatencyRecorder()
        self.recorder.answered(60.0)  # a request before any run

    def latency(self) -> LatencyHistogram:
        return self.recorder.histogram()

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        time.sleep(self.config.seconds)
        self.recorder.answered(self.config.seconds, len(requests))
        folder = Path(self.config.folder)
        with (folder / f"batches-{os.getpid()}").open("a") as file:
            file.write(" ".join(request.episode for request in requests) + "\n")
        for request in requests:
            if request.step and request.episode not in self.last_steps:
                raise RuntimeError(f"{request.episode} is not remembered at step {request.step}")
            self.last_steps[request.episode] = request.step
            mark = folder / f"died-{request.episode.replace('/', '-')}"
            if request.episode in self.config.deadly and request.step and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().plan(requests)


@settings
class RememberingConfig(PolicyConfig):
    """Builds ``RememberingPolicy`` in any process."""

    folder: str
    seconds: float = 0.0
    deadly: tuple[str, ...] = ()
    building: Literal["works", "refuses", "dies"] = "works"

    def build(self) -> RememberingPolicy:
        if self.building == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.building == "refuses":
            raise PrerequisiteError("There is no such device. Fix: name another.")
        return RememberingPolicy(self)
