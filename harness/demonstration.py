"""One attempt at a demonstration: the expert acts without cameras, a success is then rendered."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic.dataclasses import dataclass

from harness.collection_config import CollectionConfig
from tasks.errors import SimulatorError
from tasks.observation import CAMERAS, FloatArray, Observation
from tasks.protocols import Protocol, get_protocol
from tasks.simulation.simulator import Simulator
from tasks.suites import Task

_HELD_STEPS = 10
_STILL_STEPS = 40
_START_SEED = 100_000
_SLID = 0.02


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


class _Motion(NamedTuple):
    """A motion that succeeded, T steps: executed and intended actions, states before each."""

    actions: FloatArray
    intended: FloatArray
    states: FloatArray


def attempt_demo(config: CollectionConfig, task: Task, parts: Path, index: int) -> Attempt:
    """Run one attempt in a worker, unless its file is there already."""
    note = parts / f"attempt_{index:05d}.json"
    if note.exists():
        return Attempt(**json.loads(note.read_text()))
    start = time.perf_counter()
    simulator = _simulator(task, get_protocol(config.protocol, resolution=config.resolution))
    seed = attempt_seed(config, index)
    motion = _plan(simulator, config, seed)
    if isinstance(motion, str):
        attempt = Attempt(index=index, kept=False, reason=motion)
    else:
        _render(simulator, attempt_file(parts, index), seed, motion)
        attempt = Attempt(index=index, kept=True, steps=len(motion.actions))
    plain = asdict(attempt) | {"wall_s": round(time.perf_counter() - start, 2)}
    writing = note.with_suffix(".writing")
    writing.write_text(json.dumps(plain))
    writing.replace(note)
    return Attempt(**plain)


def _plan(simulator: Simulator, config: CollectionConfig, seed: int) -> _Motion | str:
    """Let the expert act without cameras; return its motion, or why it is no demo."""
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
    intended: list[FloatArray] = []
    states: list[FloatArray] = []
    held = 0
    while held <= _HELD_STEPS:
        if expert.failure is not None:
            return expert.failure
        if len(actions) >= limit:
            return f"no success within {limit} steps"
        states.append(simulator.get_state())
        actions.append(expert.plan([request])[0][0])
        intended.append(expert.intended)
        simulator.step(actions[-1])
        held = held + 1 if simulator.success() else 0
    for _ in range(_STILL_STEPS):
        simulator.step(expert.plan([request])[0][0])
    if not simulator.success():
        return f"success did not last {_STILL_STEPS} steps"
    if expert.failed_grasp:
        return "a grasp failed on the way"
    return _Motion(actions=np.stack(actions), intended=np.stack(intended), states=np.stack(states))


def _render(simulator: Simulator, part: Path, seed: int, motion: _Motion) -> None:
    """Execute the motion again with cameras: pictures belong to the instant the robot sees.

    Raises:
        SimulatorError: The simulation did not repeat itself.
    """
    from training.demo_writer import write_demo

    observations: list[Observation] = [simulator.reset(None, seed=seed, cameras=CAMERAS)]
    for step, action in enumerate(motion.actions):
        if not np.array_equal(simulator.get_state(), motion.states[step]):
            raise SimulatorError(
                f"Executing seed {seed} of {simulator.task.name} again gave another state at step "
                f"{step}; the simulation is not deterministic here."
            )
        if step + 1 < len(motion.actions):
            observations.append(simulator.step(action, cameras=CAMERAS))
    write_demo(
        part,
        observations=observations,
        actions=motion.actions,
        intended=motion.intended,
        states=motion.states,
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


def attempt_seed(config: CollectionConfig, attempt: int) -> int:
    """Seeds of demonstrations start far from those of evaluations."""
    return _START_SEED * (1 + config.seed) + attempt


def attempt_file(parts: Path, index: int) -> Path:
    """Return the file of an attempt that became a demonstration."""
    return parts / f"attempt_{index:05d}.hdf5"
