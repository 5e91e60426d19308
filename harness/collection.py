"""Collecting demonstrations: the expert acts without cameras, successes are then rendered.

An attempt is a seed: it fixes the start (sampled as LIBERO samples it, so it is none of the
evaluation's initial states), the fixtures and the expert's noise. Attempts are taken in order and
the first successes kept, so a collection does not depend on workers, and each finished attempt is
a file of its own, so it survives a kill.
"""

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tasks.errors import ConfigError, SimulatorError
from tasks.observation import CAMERAS, FloatArray, Observation
from tasks.protocols import Protocol, get_protocol
from tasks.simulator import Simulator
from tasks.suites import Task, find_task

_HELD_STEPS = 10
_STILL_STEPS = 40
_MAX_YIELD_LOSS = 4
_START_SEED = 100_000
_SLID = 0.02


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class CollectionConfig:
    """What to collect."""

    suite: str
    """The suite's name."""
    tasks: tuple[int, ...]
    """Indices of its tasks."""
    out: Path
    """Folder of the demo files, ``<out>/<suite>/<task>_demo.hdf5``."""
    demos: int = Field(default=12, ge=1, le=10_000)
    """Demonstrations per task."""
    noise: float = Field(default=0.15, ge=0, le=1)
    """Standard deviation of the expert's action noise, in action units."""
    speed: float = Field(default=1.0, gt=0, le=1)
    """The expert's largest action; 0.7 is near a human's pace."""
    protocol: str = "openvla"
    """Settling and orientation."""
    resolution: int = Field(default=128, ge=16, le=2048)
    """Height and width of the pictures, pixels; LIBERO's own demos have 128."""
    seed: int = Field(default=0, ge=0)
    """Of the whole collection."""
    workers: int = Field(default=2, ge=1)
    """Processes; not part of what is collected."""

    def recipe(self) -> dict[str, Any]:
        """Return what determines the demonstrations, as plain data."""
        plain = asdict(self)
        for name in ("out", "workers", "tasks"):
            del plain[name]
        return plain | {"expert": "scripted", "start_states": "sampled"}


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try of the expert.

    Attributes:
        index: Number of the attempt.
        kept: Whether it became a demonstration.
        steps: Its length.
        reason: Why it was not kept.
        wall_s: Seconds it took.
    """

    index: int
    kept: bool
    steps: int = 0
    reason: str = ""
    wall_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What became of one task.

    Attributes:
        task: Index in the suite.
        path: The demo file.
        attempts: All attempts in order, up to the last one kept; empty if the file was there.
    """

    task: int
    path: Path
    attempts: tuple[Attempt, ...] = field(default_factory=tuple)


Progress = Callable[[Task, Attempt], None]


def collect(config: CollectionConfig, progress: Progress | None = None) -> list[Collected]:
    """Collect demonstrations of every task; finished ones are not collected again.

    Args:
        config: What to collect.
        progress: Called after each attempt, in order.

    Raises:
        ConfigError: Unknown suite or task, or the folder holds demos made otherwise.
        SimulatorError: The expert fails too often.
    """
    tasks = [find_task(config.suite, index) for index in config.tasks]
    for task in tasks:
        _check_existing(config, task)
    return [_collect_task(config, task, progress) for task in tasks]


def _collect_task(config: CollectionConfig, task: Task, progress: Progress | None) -> Collected:
    from training.demo_writer import merge_demos

    path = config.out / task.demo_file
    if path.exists():
        return Collected(task=task.index, path=path)
    parts = _parts_folder(config, task)
    parts.mkdir(parents=True, exist_ok=True)
    attempts: list[Attempt] = []
    for attempt in _attempts(config, task, parts):
        attempts.append(attempt)
        if progress is not None:
            progress(task, attempt)
    kept = [_part(parts, a.index) for a in attempts if a.kept]
    protocol = get_protocol(config.protocol, resolution=config.resolution)
    provenance = config.recipe() | {
        "task": task.name,
        "attempts": len(attempts),
        "scene_seeds": [_seed(config, a.index) for a in attempts if a.kept],
    }
    merge_demos(path, kept, task, protocol, provenance)
    shutil.rmtree(parts)
    return Collected(task=task.index, path=path, attempts=tuple(attempts))


def _attempts(config: CollectionConfig, task: Task, parts: Path) -> Iterator[Attempt]:
    """Yield attempts in order until enough were kept, running as many ahead as can be needed."""
    limit = config.demos + _MAX_YIELD_LOSS * config.demos + 8
    finished: dict[int, Attempt] = {}
    pending: dict[Future[Attempt], int] = {}
    kept = following = started = 0
    workers = min(config.workers, config.demos)
    with ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_one_thread
    ) as pool:
        try:
            while kept < config.demos:
                while following in finished and kept < config.demos:
                    attempt = finished.pop(following)
                    kept, following = kept + attempt.kept, following + 1
                    yield attempt
                if following >= limit:
                    raise SimulatorError(
                        f"The expert kept {kept} of {following} attempts at {task.name}, too few. "
                        f"Lower --noise (now {config.noise}) or --speed (now {config.speed})."
                    )
                outstanding = len(pending) + sum(a.kept for a in finished.values())
                while outstanding < min(workers, config.demos - kept) and started < limit:
                    pending[pool.submit(_attempt, config, task, parts, started)] = started
                    started, outstanding = started + 1, outstanding + 1
                if pending and following not in finished:
                    for future in wait(pending, return_when=FIRST_COMPLETED).done:
                        finished[pending.pop(future)] = future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _attempt(config: CollectionConfig, task: Task, parts: Path, index: int) -> Attempt:
    """Run one attempt in a worker, unless its file is there already."""
    note = parts / f"attempt_{index:05d}.json"
    if note.exists():
        return Attempt(**json.loads(note.read_text()))
    import time

    start = time.perf_counter()
    simulator = _simulator(task, get_protocol(config.protocol, resolution=config.resolution))
    seed = _seed(config, index)
    motion = _plan(simulator, config, seed)
    if isinstance(motion, str):
        attempt = Attempt(index=index, kept=False, reason=motion)
    else:
        actions, states = motion
        _render(simulator, _part(parts, index), seed, actions, states)
        attempt = Attempt(index=index, kept=True, steps=len(actions))
    plain = asdict(attempt) | {"wall_s": round(time.perf_counter() - start, 2)}
    writing = note.with_suffix(".writing")
    writing.write_text(json.dumps(plain))
    writing.replace(note)
    return Attempt(**plain)


def _plan(
    simulator: Simulator, config: CollectionConfig, seed: int
) -> tuple[FloatArray, FloatArray] | str:
    """Let the expert act without cameras; return actions and states, or why it is no demo."""
    from policies.expert import ExpertPolicy
    from policies.interface import PlanRequest

    expert = ExpertPolicy(speed=config.speed, noise=config.noise)
    simulator.reset(None, seed=seed)
    if simulator.settling_shift > _SLID:
        return f"an object slid {simulator.settling_shift:.2f} m before the start"
    expert.begin(simulator, seed)
    request = PlanRequest(window=[], instruction=simulator.task.instruction, seed=seed)
    limit = simulator.protocol.step_limit(simulator.task.suite)
    actions: list[FloatArray] = []
    states: list[FloatArray] = []
    held = 0
    while held <= _HELD_STEPS:
        if len(actions) >= limit:
            return f"no success within {limit} steps" + (
                f" ({expert.failure})" if expert.failure else ""
            )
        states.append(simulator.get_state())
        actions.append(expert.plan([request])[0][0])
        simulator.step(actions[-1])
        held = held + 1 if simulator.success() else 0
    for _ in range(_STILL_STEPS):
        simulator.step(expert.plan([request])[0][0])
    if not simulator.success():
        return f"success did not last {_STILL_STEPS} steps"
    if expert.failed_grasp:
        return "a grasp failed on the way"
    return np.stack(actions), np.stack(states)


def _render(
    simulator: Simulator, part: Path, seed: int, actions: FloatArray, states: FloatArray
) -> None:
    """Execute the motion again with cameras: pictures belong to the instant the robot sees.

    Raises:
        SimulatorError: The simulation did not repeat itself.
    """
    from training.demo_writer import write_demo

    observations: list[Observation] = [simulator.reset(None, seed=seed, cameras=CAMERAS)]
    for step, action in enumerate(actions):
        if not np.array_equal(simulator.get_state(), states[step]):
            raise SimulatorError(
                f"Executing seed {seed} of {simulator.task.name} again gave another state at step "
                f"{step}; the simulation is not deterministic here."
            )
        if step + 1 < len(actions):
            observations.append(simulator.step(action, cameras=CAMERAS))
    write_demo(
        part,
        observations=observations,
        actions=actions,
        states=states,
        model_xml=simulator.model_xml(),
        orientation=simulator.protocol.orientation,
        attributes={"scene_seed": seed, "scene_hash": simulator.scene_hash()},
    )


_cached: dict[str, Simulator] = {}


def _simulator(task: Task, protocol: Protocol) -> Simulator:
    """Return this worker's simulator of a task; one is kept at a time."""
    key = f"{task.suite}/{task.index}/{protocol.hash}"
    if key not in _cached:
        for other in _cached.values():
            other.close()
        _cached.clear()
        _cached[key] = Simulator(task, protocol)
    return _cached[key]


def _one_thread() -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LP_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _seed(config: CollectionConfig, attempt: int) -> int:
    """Seeds of demonstrations start far from those of evaluations."""
    return _START_SEED * (1 + config.seed) + attempt


def _part(parts: Path, index: int) -> Path:
    return parts / f"attempt_{index:05d}.hdf5"


def _parts_folder(config: CollectionConfig, task: Task) -> Path:
    digest = json.dumps(config.recipe() | {"demos": 0}, sort_keys=True)
    import hashlib

    short = hashlib.sha256(digest.encode()).hexdigest()[:8]
    return config.out / ".parts" / f"{task.suite}_{task.index:02d}_{short}"


def _check_existing(config: CollectionConfig, task: Task) -> None:
    """Refuse a demo file that was made with other settings."""
    from training.demo_reader import read_provenance

    path = config.out / task.demo_file
    if not path.exists():
        return
    there = read_provenance(path)
    wanted = config.recipe()
    differing = [
        f"{name}: {there.get(name)!r} there, {value!r} asked"
        for name, value in wanted.items()
        if there.get(name) != value
    ]
    if differing:
        raise ConfigError(
            f"'{path}' holds demos made otherwise ({'; '.join(differing)}). "
            "Fix: give another --out, or remove the file."
        )
