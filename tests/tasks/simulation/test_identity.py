"""Bit for bit the same as LIBERO's own environment, whatever ran before."""

import numpy as np
import pytest

from harness.benchmarks.environment_speed import rough_actions
from tasks.observation import CAMERAS
from tasks.protocols import get_protocol
from tasks.simulation.simulator import Simulator
from tasks.suites import find_task

from . import official as theirs

PROTOCOL = get_protocol(resolution=64)

TASKS = [
    ("libero_spatial", 4),  # a drawer, the bowl in it
    ("libero_spatial", 5),  # the bowl on the ramekin
    ("libero_object", 0),
    ("libero_goal", 0),  # opens a drawer
    ("libero_goal", 7),  # turns on the stove
    ("libero_10", 2),  # the stove and a pot
    ("libero_10", 9),  # the microwave
    ("libero_90", 1),  # a drawer and a bowl
]
PICTURED = {("libero_goal", 7), ("libero_10", 9), ("libero_object", 0)}


@pytest.mark.sim
@pytest.mark.parametrize(("suite", "index"), TASKS)
def test_identical_to_the_official_environment(suite: str, index: int) -> None:
    task = find_task(suite, index)
    pictured = (suite, index) in PICTURED
    cameras = CAMERAS if pictured else ()
    simulator = Simulator(task, PROTOCOL, images=pictured)
    contacts = 0
    try:
        with theirs.official(task, PROTOCOL, images=pictured) as env:
            for init_state, count in ((0, 180), (1, 30)):
                compare(simulator.reset(init_state, cameras=cameras), env.next_episode(init_state))
                for plan in np.array_split(rough_actions(count, init_state), count // 15):
                    contacts += play(simulator, env, plan, cameras)
                model = env.env.sim.model._model
                np.testing.assert_array_equal(simulator.env.sim.model.body_pos, model.body_pos)
                np.testing.assert_array_equal(simulator.env.sim.model.body_quat, model.body_quat)
    finally:
        simulator.close()
    assert contacts > 20, "the arm must have touched things for this to say anything"


def play(simulator: Simulator, env: theirs.Official, plan: np.ndarray, cameras) -> int:
    """Execute a plan in both, pictures at the last two steps; count steps with contact."""
    touching = 0
    for start in range(len(plan)):
        action = plan[start]
        near_end = start >= len(plan) - 2
        ours = simulator.execute(action[None], cameras=cameras if near_end else ())
        seen = env.step(action, images=near_end)
        compare(ours.observations[-1], seen)
        np.testing.assert_array_equal(simulator.get_state(), env.env.get_sim_state())
        assert ours.success == bool(env.done) == env.env.check_success()
        touching += arm_touches(simulator)
    return touching


def compare(ours, seen) -> None:
    for name, official_name in theirs.VECTORS.items():
        np.testing.assert_array_equal(ours[name], seen[official_name])
    for name, official_name in theirs.CAMERAS.items():
        if name in ours:
            np.testing.assert_array_equal(ours[name], seen[official_name][::-1, ::-1])


def arm_touches(simulator: Simulator) -> bool:
    model, data = simulator.env.sim.model._model, simulator.env.sim.data._data
    bodies = model.geom_bodyid[data.contact.geom]
    names = {model.body(int(body)).name for body in np.unique(bodies)}
    return any(name.startswith(("robot0_", "gripper0_")) for name in names)


@pytest.mark.sim
def test_a_slice_shows_what_single_official_steps_show() -> None:
    task = find_task("libero_goal", 7)
    actions = rough_actions(20, 5)
    simulator = Simulator(task, PROTOCOL)
    try:
        simulator.reset(4)
        for action in -actions:  # another episode first: nothing of it may be left
            simulator.step(action)
        simulator.reset(0)
        result = simulator.execute(actions, cameras=("wrist",), history=2, record=("agentview",))
        with theirs.official(task, PROTOCOL, images=True) as env:
            env.next_episode(0)
            for ours, action in zip(result.observations, actions, strict=True):
                compare(ours, env.step(action, images=True))
        assert ["wrist" in o for o in result.observations] == [False] * 18 + [True] * 2
        assert all("agentview" in o for o in result.observations)
    finally:
        simulator.close()


@pytest.mark.sim
def test_two_simulators_in_one_process_do_not_mix_their_pictures() -> None:
    first = Simulator(find_task("libero_object", 0), PROTOCOL)
    alone = first.reset(0, cameras=CAMERAS)
    second = Simulator(find_task("libero_goal", 0), PROTOCOL)
    other = second.reset(0, cameras=CAMERAS)
    beside = first.reset(0, cameras=CAMERAS)
    again = second.reset(0, cameras=CAMERAS)
    second.close()
    after = first.reset(0, cameras=CAMERAS)
    first.close()
    for camera in CAMERAS:
        np.testing.assert_array_equal(beside[camera], alone[camera])
        np.testing.assert_array_equal(after[camera], alone[camera])
        np.testing.assert_array_equal(again[camera], other[camera])
