"""The expert plays one episode without cameras, judged strictly.

A success must hold for some steps, still be true later when the expert has long stepped back, and
have come without a failed grasp: an object that balances for a moment does not count.
"""

import json
import time
from dataclasses import replace
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
"""Metres between fingers that hold something; closed on nothing they meet."""


class Outcome(NamedTuple):
    """What became of an episode.

    Attributes:
        motion: What was done, or None if it failed.
        reason: Why it failed.
        steps: Control steps until it was decided.
    """

    motion: Motion | None
    reason: str
    steps: int


def play_strictly(
    simulator: Simulator, expert: ExpertPolicy, start: SampledStart | IndexedStart
) -> Outcome:
    """Let the expert act until its success is certain or lost.

    Args:
        simulator: Its episode has begun there.
        expert: Any episode of its own ends here.
        start: Where the episode began; its seed is that of the expert's noise as well.

    Raises:
        UnsupportedGoalError: The expert has no skill for the task.
    """
    expert.begin(simulator, start.seed)
    words = simulator.protocol.instruction_of(simulator.task)
    request = PlanRequest(window=[], instruction=words, seed=start.seed)
    limit = simulator.protocol.step_limit(simulator.task.suite)
    actions: list[FloatArray] = []
    intended: list[FloatArray] = []
    states: list[FloatArray] = []
    held = 0
    # A goal such as In() can hold while the object is still gripped: a demonstration lets go.
    while held <= HELD_STEPS or (held <= HELD_STEPS + STILL_STEPS and _grips(simulator, actions)):
        if expert.failure is not None:
            return Outcome(None, expert.failure, len(actions))
        if len(actions) >= limit:
            return Outcome(None, f"no success within {limit} steps", limit)
        states.append(simulator.get_state())
        actions.append(expert.plan([request])[0][0])
        intended.append(expert.intended)
        simulator.step(actions[-1])
        held = held + 1 if simulator.success() else 0
    for _ in range(STILL_STEPS):
        simulator.step(expert.plan([request])[0][0])
    if not simulator.success():
        return Outcome(None, f"success did not last {STILL_STEPS} steps", len(actions))
    if expert.failed_grasp:
        return Outcome(None, "a grasp failed on the way", len(actions))
    motion = Motion(
        start=start,
        actions=np.stack(actions),
        intended=np.stack(intended),
        states=np.stack(states),
    )
    return Outcome(motion, "", len(actions))


def _grips(simulator: Simulator, actions: list[FloatArray]) -> bool:
    """Whether the gripper is told to close and something keeps its fingers apart."""
    fingers = simulator.env.robots[0]._ref_gripper_joint_pos_indexes
    qpos = np.asarray(simulator.env.sim.data.qpos)[fingers]
    return bool(actions[-1][-1] > 0 and qpos[0] - qpos[1] > _APART)


_SLID = 0.02


class Stopwatch:
    """Measures one stretch of work after another."""

    def __init__(self) -> None:
        self._now = time.perf_counter(), time.process_time()

    def lap(self) -> Seconds:
        """Return the seconds since the latest lap."""
        before, self._now = self._now, (time.perf_counter(), time.process_time())
        return round(self._now[0] - before[0], 3), round(self._now[1] - before[1], 3)


def attempt_demo(config: CollectionConfig, task: Task, parts: Path, index: int) -> Attempt:
    """Run one attempt in a worker, unless its file is there already."""
    note = attempt_note(parts, index)
    if note.exists():
        return Attempt(**json.loads(note.read_text(encoding="utf-8")))
    watch = Stopwatch()
    simulator = cached_simulator(task, config.rules())
    built = watch.lap()
    start = demo_start(config, task, index)
    motion = _plan(simulator, config, start)
    planned = watch.lap()
    if isinstance(motion, str):
        attempt = Attempt(index=index, kept=False, reason=motion)
    else:
        record(simulator, attempt_file(parts, index), motion)
        attempt = Attempt(index=index, kept=True, steps=len(motion.actions))
    attempt = replace(attempt, build=built, plan=planned, render=watch.lap())
    write_attempt(parts, attempt)
    return attempt


def _plan(
    simulator: Simulator, config: CollectionConfig, start: SampledStart | IndexedStart
) -> Motion | str:
    """Let the expert act without cameras; return its motion, or why it is no demo."""
    simulator.begin(start)
    if simulator.settling_shift > _SLID:
        return f"an object slid {simulator.settling_shift:.2f} m before the start"
    expert = ExpertPolicy(speed=config.speed, noise=config.noise)
    outcome = play_strictly(simulator, expert, start)
    return outcome.reason if outcome.motion is None else outcome.motion
