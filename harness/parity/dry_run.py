"""Acting a demonstration out in the simulator, from any of its recorded states."""

from collections.abc import Sequence

import numpy as np

from tasks.demos.reader import Recording
from tasks.errors import ConfigError
from tasks.observation import FloatArray, Observation
from tasks.protocols import StoredStart
from tasks.simulation.simulator import Simulator
from tasks.suites import Task

RUN_UP = 8
"""Control steps before one that counts: what the simulator keeps beside its state, the gripper's
integrator and the controller's latest orientation, is settled by the commands before."""

_ALMOST_STILL = 1e-12


class DryRun:
    """The environment put into the states of a demonstration.

    Args:
        recording: The demonstration.
        simulator: Of the task it demonstrates, with the resolution of its images; it is reset.

    Attributes:
        moved: How far a fixture stands at most from where it stands in the evaluation's first
            episode, metres; None where the file does not say where it stood.
        joints: (T, 7) rad, the arm in the recorded states.
        fingers: (T, 2) metres, the fingers in them.

    Raises:
        ConfigError: The demonstration is another task's.
        SpecMismatchError: So is its MJCF.
    """

    def __init__(self, recording: Recording, simulator: Simulator) -> None:
        self._recording, self._simulator = recording, simulator
        simulator.reset(0)
        self._check_states(simulator.task)
        before = _fixed(simulator)
        start = StoredStart(state=recording.states[0], model_xml=recording.model_xml or "")
        simulator.begin(start)
        moved = float(np.linalg.norm(_fixed(simulator) - before, axis=1).max())
        self.moved = None if recording.model_xml is None else moved
        robot = simulator.env.robots[0]
        self._arm = 1 + np.asarray(robot._ref_joint_pos_indexes)
        self._hand = 1 + np.asarray(robot._ref_gripper_joint_pos_indexes)
        self.joints: FloatArray = recording.states[:, self._arm]
        self.fingers: FloatArray = recording.states[:, self._hand]
        # The first step after a reset acts from the reset's pose, so it is none of ours.
        simulator.step(still(-1.0))

    def show(self, row: int, cameras: Sequence[str] = ()) -> Observation:
        """Return what a recorded state shows, without any action."""
        self.restore(row)
        return self._simulator.observe(cameras=cameras)

    def arrive(self, row: int, actions: FloatArray, cameras: Sequence[str] = ()) -> Observation:
        """Return what the environment shows on arriving at a row by the action before it.

        Args:
            row: From 1.
            actions: (T, 7), the demonstration's.
            cameras: Cameras whose images are wanted.
        """
        self.enter(row - 1, actions)
        return self._simulator.step(actions[row - 1], cameras=cameras)

    def enter(self, row: int, actions: FloatArray) -> None:
        """Put the simulator into a recorded state, with what it keeps beside it."""
        start = max(0, row - RUN_UP)
        self.restore(start)
        # One for the controller, and as many as the start of the demonstration is too near.
        waiting = 1 + RUN_UP - (row - start)
        self.follow(np.stack([still(actions[start, 6])] * waiting))
        if row > start:
            self.restore(start)
            self.follow(actions[start:row])
        self.restore(row)

    def restore(self, row: int) -> None:
        """Put the simulator into a recorded state, nothing beside it."""
        self._simulator.set_state(self._recording.states[row])

    def follow(self, actions: FloatArray) -> FloatArray:
        """Execute (n, 7) actions; return the simulator's state after each, (n, D)."""
        states = []
        for action in actions:
            self._simulator.step(action)
            states.append(self._simulator.get_state())
        return np.stack(states)

    def arm_of(self, states: FloatArray) -> FloatArray:
        """Return the arm's joints in simulator states: (..., 7) rad."""
        return states[..., self._arm]

    def fingers_of(self, states: FloatArray) -> FloatArray:
        """Return the fingers in simulator states: (..., 2) metres."""
        return states[..., self._hand]

    def _check_states(self, task: Task) -> None:
        has, needs = self._recording.states.shape[1], len(self._simulator.get_state())
        if has != needs:
            raise ConfigError(
                f"'{self._recording.path}' has states of {has} numbers, {task.suite} task "
                f"{task.index} ({task.name}) of {needs}: it is another task's. "
                "Fix: give its own with --suite and --task."
            )


def _fixed(simulator: Simulator) -> FloatArray:
    """Return where bodies are in those that hold them, (n, 3) metres: fixtures are in the world."""
    positions: FloatArray = simulator.env.sim.model._model.body_pos.copy()
    return positions


def still(grip: float) -> FloatArray:
    """Return an action (7,) that holds the arm where it is."""
    # Not exactly 0: for a rotation of 0 robosuite turns back to the latest one it was given.
    action: FloatArray = np.full(7, _ALMOST_STILL)
    action[6] = grip
    return action
