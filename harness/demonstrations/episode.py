"""The expert plays one episode without cameras, judged strictly.

A success must hold for some steps, still be true later when the expert has long stepped back, and
have come without a failed grasp: an object that balances for a moment does not count.
"""

import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.demonstrations.attempts import (
    Attempt,
    Seconds,
    attempt_file,
    attempt_note,
    demo_start,
    write_attempt,
)
from harness.demonstrations.config import CollectionConfig
from harness.demonstrations.playback import Motion, cached_simulator, record
from policies.expert import ExpertPolicy
from policies.interface import PlanRequest
from tasks.observation import FloatArray
from tasks.protocols import IndexedStart, SampledStart
from tasks.simulation.simulator import Simulator
from tasks.suites import Task

HELD_STEPS = 10
"""Control steps for which the goal must hold without a break."""

STILL_STEPS = 40
"""Control steps later at which it must still hold."""

_APART = 0.005
"""Metres between fingers that hold something; without an object they meet."""

_SLID = 0.02
"""Metres that an object may move while the scene settles."""


class StrictEpisode(NamedTuple):
    """An episode of the expert, judged strictly.

    Attributes:
        motion: The motion; None if the episode failed.
        reason: Why it failed.
        steps: Control steps until success or failure was certain.
    """

    motion: Motion | None
    reason: str
    steps: int


def play_strictly(
    simulator: Simulator, expert: ExpertPolicy, start: SampledStart | IndexedStart
) -> StrictEpisode:
    """Let the expert act until its success is certain or lost.

    Args:
        simulator: The simulator, at the start.
        expert: The expert; it begins a new episode.
        start: The start; its seed is that of the expert's noise as well.

    Raises:
        UnsupportedGoalError: The expert has no skill for the task.
    """
    expert.begin(simulator, start.seed)
    instruction = simulator.protocol.instruction_of(simulator.task)
    request = PlanRequest(window=[], instruction=instruction, seed=start.seed)
    limit = simulator.protocol.step_limit(simulator.task.suite)
    actions: list[FloatArray] = []
    intended: list[FloatArray] = []
    states: list[FloatArray] = []
    held = 0
    # A goal such as In() can hold while the object is still gripped: a demonstration lets go.
    while held <= HELD_STEPS or (held <= HELD_STEPS + STILL_STEPS and _grips(simulator, actions)):
        if expert.failure is not None:
            return StrictEpisode(None, expert.failure, len(actions))
        if len(actions) >= limit:
            return StrictEpisode(None, f"no success within {limit} steps", limit)
        states.append(simulator.get_state())
        actions.append(expert.plan([request])[0][0])
        intended.append(expert.intended)
        simulator.step(actions[-1])
        held = held + 1 if simulator.success() else 0
    for _ in range(STILL_STEPS):
        simulator.step(expert.plan([request])[0][0])
    if not simulator.success():
        return StrictEpisode(None, f"success did not last {STILL_STEPS} steps", len(actions))
    if expert.failed_grasp:
        return StrictEpisode(None, "a grasp failed on the way", len(actions))
    motion = Motion(
        start=start,
        actions=np.stack(actions),
        intended=np.stack(intended),
        states=np.stack(states),
    )
    return StrictEpisode(motion, "", len(actions))


def _grips(simulator: Simulator, actions: list[FloatArray]) -> bool:
    """Whether the gripper closes on something that keeps its fingers apart."""
    fingers = simulator.env.robots[0]._ref_gripper_joint_pos_indexes
    qpos = np.asarray(simulator.env.sim.data.qpos)[fingers]
    return bool(actions[-1][-1] > 0 and qpos[0] - qpos[1] > _APART)


class Stopwatch:
    """Measures consecutive parts of some work."""

    def __init__(self) -> None:
        self._now = time.perf_counter(), time.process_time()

    def lap(self) -> Seconds:
        """Return the seconds since the previous lap."""
        before, self._now = self._now, (time.perf_counter(), time.process_time())
        return round(self._now[0] - before[0], 3), round(self._now[1] - before[1], 3)


def make_attempt(config: CollectionConfig, task: Task, parts: Path, index: int) -> Attempt:
    """Make an attempt in this process, unless its files are there already."""
    note = attempt_note(parts, index)
    if note.exists():
        return Attempt(**json.loads(note.read_text(encoding="utf-8")))
    watch = Stopwatch()
    simulator = cached_simulator(task, config.rules())
    built = watch.lap()
    motion, reason, _ = _play(simulator, config, demo_start(config, task, index))
    planned = watch.lap()
    if motion is not None:
        record(simulator, attempt_file(parts, index), motion)
    attempt = Attempt(
        index=index,
        kept=motion is not None,
        steps=0 if motion is None else len(motion.actions),
        reason=reason,
        build=built,
        plan=planned,
        render=watch.lap(),
    )
    write_attempt(parts, attempt)
    return attempt


def _play(
    simulator: Simulator, config: CollectionConfig, start: SampledStart | IndexedStart
) -> StrictEpisode:
    """Begin an episode and let the expert act, without cameras."""
    simulator.begin(start)
    if simulator.settling_shift > _SLID:
        shift = simulator.settling_shift
        return StrictEpisode(None, f"an object slid {shift:.2f} m before the start", 0)
    expert = ExpertPolicy(speed=config.speed, noise=config.noise)
    return play_strictly(simulator, expert, start)
