"""The expert plays one episode without cameras, judged strictly.

A success must hold for some steps, still be true later when the expert has long stepped back, and
have come without a failed grasp: an object that balances for a moment does not count.
"""

from typing import NamedTuple

import numpy as np

from policies.expert import ExpertPolicy
from policies.interface import PlanRequest
from tasks.observation import FloatArray
from tasks.simulation.simulator import Simulator

HELD_STEPS = 10
"""Control steps for which the goal must hold without a break."""

STILL_STEPS = 40
"""Control steps later at which it must still hold."""


class Motion(NamedTuple):
    """A motion that succeeded, T steps.

    Attributes:
        actions: (T, 7) as executed.
        intended: (T, 7) as they would have been without noise.
        states: (T, D) of the simulator before each action.
    """

    actions: FloatArray
    intended: FloatArray
    states: FloatArray


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


def play_strictly(simulator: Simulator, expert: ExpertPolicy, seed: int) -> Outcome:
    """Let the expert act from the simulator's present state until its success is certain or lost.

    Args:
        simulator: Reset and settled.
        expert: Any episode of its own ends here.
        seed: Of the expert's noise.

    Raises:
        UnsupportedGoalError: The expert has no skill for the task.
    """
    expert.begin(simulator, seed)
    request = PlanRequest(window=[], instruction=simulator.task.instruction, seed=seed)
    limit = simulator.protocol.step_limit(simulator.task.suite)
    actions: list[FloatArray] = []
    intended: list[FloatArray] = []
    states: list[FloatArray] = []
    held = 0
    while held <= HELD_STEPS:
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
    motion = Motion(np.stack(actions), np.stack(intended), np.stack(states))
    return Outcome(motion, "", len(actions))
