"""Executing a demonstration's actions in the simulator: without cameras, then with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.demos.motion import (
    Contacts,
    contact_phases,
    goal_phases,
    merged,
    motion_phases,
    phases_to_json,
)
from tasks.demos.schema import PHASES_ATTRIBUTE
from tasks.demos.start import start_attributes
from tasks.errors import SimulatorError
from tasks.observation import CAMERAS, FloatArray
from tasks.protocols import Protocol, Start
from tasks.simulation.goals import ContactMonitor
from tasks.simulation.simulator import Simulator
from tasks.suites import Task
from training.demos.writer import write_demo


@dataclass(frozen=True, kw_only=True)
class Motion:
    """A motion of T steps.

    Attributes:
        start: How its episode begins.
        actions: (T, 7) as executed.
        intended: (T, 7) without the demonstrator's noise; None where it is not known.
        states: (T, D) the simulator's state before each action.
    """

    start: Start
    actions: FloatArray
    intended: FloatArray | None
    states: FloatArray


@dataclass(frozen=True, kw_only=True)
class Execution:
    """The execution of T actions without cameras.

    Attributes:
        states: (T, D) the states before each action.
        success: Whether the goal holds after the last action.
        reached: The step after which it first held, from 1; None where it never did.
    """

    states: FloatArray
    success: bool
    reached: int | None


def execute(simulator: Simulator, start: Start, actions: FloatArray) -> Execution:
    """Execute actions from a start, without cameras.

    Args:
        simulator: Of the demonstration's task.
        start: Where the episode begins.
        actions: (T, 7).

    Raises:
        ConfigError: The start belongs to another task.
    """
    simulator.begin(start)
    states = []
    reached: int | None = None
    for step, action in enumerate(actions, start=1):
        states.append(simulator.get_state())
        simulator.step(action)
        if reached is None and simulator.goals is not None and simulator.goals.success:
            reached = step
    return Execution(states=np.stack(states), success=simulator.success(), reached=reached)


def record(
    simulator: Simulator, path: Path, motion: Motion, attributes: Mapping[str, Any] | None = None
) -> None:
    """Execute a motion again with cameras and write it as a demonstration, its phases noted.

    The robot sees at an instant inside a control step, so images cannot be rendered from the
    states alone.

    Args:
        simulator: Of the demonstration's task, with a renderer.
        path: The file to write, of one demonstration.
        motion: The motion.
        attributes: More attributes of the demonstration.

    Raises:
        SimulatorError: The simulation did not repeat itself.
    """
    observations = [simulator.begin(motion.start, cameras=CAMERAS)]
    monitor = ContactMonitor(simulator.env)
    holding: list[dict[str, bool]] = []
    contacts: list[Contacts] = []
    for step, action in enumerate(motion.actions):
        if not np.array_equal(simulator.get_state(), motion.states[step]):
            raise SimulatorError(
                f"Executing a motion of {simulator.task.name} again gave another state at step "
                f"{step}; the simulation is not deterministic here."
            )
        assert simulator.goals is not None
        holding.append(simulator.goals.holding)
        contacts.append(monitor.touching())
        if step + 1 < len(motion.actions):
            observations.append(simulator.step(action, cameras=CAMERAS))
    phases = merged(
        motion_phases(motion.actions, np.stack([o["ee_pos"] for o in observations])),
        goal_phases(holding),
        contact_phases(contacts),
    )
    write_demo(
        path,
        observations=observations,
        actions=motion.actions,
        intended=motion.intended,
        states=motion.states,
        model_xml=simulator.model_xml(),
        orientation=simulator.protocol.orientation,
        attributes={
            "scene_hash": simulator.scene_hash(),
            PHASES_ATTRIBUTE: phases_to_json(phases),
            **start_attributes(motion.start),
            **(attributes or {}),
        },
    )


_cached: dict[str, Simulator] = {}


def cached_simulator(task: Task, protocol: Protocol, *, images: bool = True) -> Simulator:
    """Return this process's simulator of a task; one is kept at a time."""
    changed = "" if task.perturbation is None else task.perturbation.hash
    key = f"{task.suite}/{task.index}/{protocol.hash}/{images}/{changed}"
    if key not in _cached:
        for other in _cached.values():
            other.close()
        _cached.clear()
        _cached[key] = Simulator(task, protocol, images=images)
    return _cached[key]
