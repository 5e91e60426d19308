"""The same episode key gives the same bytes: in any order, process and company."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from harness.benchmarks.environment_speed import rough_actions
from tasks.observation import CAMERAS
from tasks.protocols import get_protocol
from tasks.simulation.simulator import Simulator
from tasks.suites import find_task

SUITE = "libero_goal"
PROTOCOL = get_protocol(resolution=32)
KEYS = [(7, 0), (7, 3), (0, 2)]
"""Task and initial state; task 7 turns a stove on, task 0 opens a drawer."""


def trajectory(simulator: Simulator, init_state: int, steps: int = 40) -> bytes:
    """Play one episode; return all its states and a picture of each camera."""
    first = simulator.reset(init_state)
    parts = [simulator.scene_hash().encode(), first["ee_pos"].tobytes()]
    for action in rough_actions(steps, init_state):
        simulator.step(action)
        parts.append(simulator.get_state().tobytes())
    last = simulator.step(action, cameras=CAMERAS)
    return b"".join([*parts, *(last[camera].tobytes() for camera in CAMERAS)])


def play(keys: list[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """Play episodes in the order given, one simulator for each task."""
    simulators: dict[int, Simulator] = {}
    played = {}
    try:
        for task, init_state in keys:
            if task not in simulators:
                simulators[task] = Simulator(find_task(SUITE, task), PROTOCOL)
            played[task, init_state] = trajectory(simulators[task], init_state)
    finally:
        for simulator in simulators.values():
            simulator.close()
    return played


@pytest.fixture(scope="module")
def reference() -> dict[tuple[int, int], bytes]:
    return play(KEYS)


@pytest.mark.sim
def test_in_another_order_and_again(reference) -> None:
    assert len(set(reference.values())) == len(KEYS)
    again = play([KEYS[2], KEYS[1], KEYS[0]])
    assert again == reference


@pytest.mark.sim
def test_one_episode_alone_as_after_a_resume(reference) -> None:
    assert play([KEYS[1]]) == {KEYS[1]: reference[KEYS[1]]}


@pytest.mark.sim
def test_in_two_processes_at_once(reference) -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        halves = list(pool.map(play, [[KEYS[1], KEYS[0]], [KEYS[2]]]))
    assert halves[0] | halves[1] == reference


@pytest.mark.sim
def test_interleaved_step_by_step_with_another_environment(reference) -> None:
    (task, init_state), (other_task, other_state) = KEYS[0], KEYS[2]
    first = Simulator(find_task(SUITE, task), PROTOCOL)
    second = Simulator(find_task(SUITE, other_task), PROTOCOL)
    try:
        parts = [first.reset(init_state)["ee_pos"].tobytes()]
        second.reset(other_state, cameras=CAMERAS)
        for step, action in enumerate(rough_actions(40, init_state)):
            first.step(action)
            if step == 20:
                second.reset(other_state + 1)
            second.step(-action, cameras=CAMERAS if step % 10 == 0 else ())
            parts.append(first.get_state().tobytes())
        last = first.step(action, cameras=CAMERAS)
        parts += [last[camera].tobytes() for camera in CAMERAS]
        assert first.scene_hash().encode() + b"".join(parts) == reference[KEYS[0]]
    finally:
        second.close()
        first.close()
